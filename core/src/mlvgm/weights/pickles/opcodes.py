"""Pickle's opcodes: what each of them has the machine do. The standard library decodes them."""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from mlvgm.weights.pickles.budget import Context, Refused
from mlvgm.weights.pickles.machine import Machine


def run(file: BinaryIO, context: Context) -> Any:
    """The value of the pickle that starts at the position of ``file``, which is left after its end.

    Raises:
        Refused: it calls something that is not admitted, or breaks the machine's rules.
        Exception: whatever a damaged pickle fails with.
    """
    machine = Machine(context)
    for opcode, argument, _ in pickletools.genops(file):
        context.budget.step()
        action = _ACTIONS.get(opcode.name)
        if action is None:
            raise Refused(f"uses the pickle opcode {opcode.name}, which no checkpoint needs")
        action(machine, argument)
    return machine.result


_Action = Callable[[Machine, Any], None]
_SCALARS = (
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES "
    "SHORT_BINBYTES BINBYTES8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8"
)
_ACTIONS: dict[str, _Action] = {
    **dict.fromkeys(_SCALARS.split(), Machine.push_scalar),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine.get),
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    "BYTEARRAY8": lambda machine, value: machine.push(bytes(value)),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_SET": lambda machine, _: machine.push(set()),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
    "LIST": lambda machine, _: machine.push(machine.pop_mark()),
    "DICT": Machine.dictionary,
    "FROZENSET": Machine.frozen_set,
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_mark()),
    "ADDITEMS": lambda machine, _: machine.add(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "MARK": Machine.mark,
    "POP": Machine.pop_one,
    "POP_MARK": Machine.drop_mark,
    "DUP": lambda machine, _: machine.push(machine.top()),
    "MEMOIZE": Machine.memoize,
    "GLOBAL": Machine.name,
    "STACK_GLOBAL": Machine.stack_name,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.new_object,
    "NEWOBJ_EX": Machine.new_object_ex,
    "INST": Machine.instance,
    "OBJ": Machine.object,
    "BUILD": Machine.build,
    "PERSID": lambda machine, identity: machine.push(machine.context.persistent(identity)),
    "BINPERSID": Machine.persistent,
    "STOP": Machine.stop,
}
