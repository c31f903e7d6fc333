"""The pickle machine: opcodes in, plain containers out. It calls nothing but the admitted functions.

Every container on its stack is one of ours, so no opcode can reach code: BUILD, SETITEMS and APPENDS act on dicts,
lists, sets and :class:`~mlvgm.weights.record.Record` alone, REDUCE and its kin on names in a closed table. Keys are
plain and short to hash, and there is no other place where the machine walks what a file has built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlvgm.weights.pickles.admitted import ADMITTED, BUILDABLE
from mlvgm.weights.pickles.budget import Context, Refused
from mlvgm.weights.pickles.scalars import Global, check_key, check_scalar, printable
from mlvgm.weights.record import Record


class Machine:
    """Stack, brackets and memo of one pickle, with what each group of opcodes does to them."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def pop(self) -> Any:
        if not self.stack:
            raise Refused("takes a value from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise Refused("takes a value from an empty stack")
        return self.stack[-1]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_scalar(self, value: Any) -> None:
        self.stack.append(check_scalar(value))

    def mark(self, _: Any) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        if not self.outer:
            raise Refused("closes a bracket that it did not open")
        items, self.stack = self.stack, self.outer.pop()
        return items

    def drop_mark(self, _: Any) -> None:
        self.pop_mark()

    def stop(self, _: Any) -> None:
        self.result = self.pop()

    def pop_one(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def put(self, index: Any) -> None:
        self.memo[index] = self.top()

    def get(self, index: Any) -> None:
        if index not in self.memo:
            raise Refused("refers to a value that it did not remember")
        self.push(self.memo[index])

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.top()

    def tuple_of(self, count: int) -> None:
        items = tuple(self.pop() for _ in range(count))
        self.push(items[::-1])

    def append(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise Refused(f"appends to {_kind(target)}")
        target.extend(items)

    def add(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, set):
            raise Refused(f"adds items to {_kind(target)}")
        target.update(check_key(item) for item in items)

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        if len(items) % 2:
            raise Refused("sets a key without a value")
        pairs = {check_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}
        if isinstance(target, Record):
            _update(target, pairs)
        elif isinstance(target, dict):
            target.update(pairs)
        else:
            raise Refused(f"sets items of {_kind(target)}")

    def dictionary(self, _: Any) -> None:
        items = self.pop_mark()
        self.push({})
        self.set_items(items)

    def frozen_set(self, _: Any) -> None:
        items = self.pop_mark()
        self.push(set())
        self.add(items)

    def name(self, qualified: str) -> None:
        self.push(Global.of(*qualified.split(" ", 1)))

    def stack_name(self, _: Any) -> None:
        attribute, module = self.pop(), self.pop()
        if not isinstance(module, str) or not isinstance(attribute, str):
            raise Refused("names a global by something that is no text")
        self.push(Global.of(module, attribute))

    def call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Global):
            raise Refused(f"calls {_kind(function)}")
        if not isinstance(arguments, tuple):
            raise Refused(f"calls {printable(function.name)} with arguments that are no tuple")
        admitted = ADMITTED.get(function.name)
        if admitted is None:
            raise Refused(f"calls {printable(function.name)}, which is not among the functions that checkpoints need")
        try:
            self.push(admitted(self.context, *arguments))
        except TypeError as error:
            raise Refused(f"calls {function.name} with arguments it does not take") from error

    def reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        self.call(function, arguments)

    def new(self, kind: Any, arguments: Any) -> None:
        """An object of a class: a record unless the class is admitted or would be called with arguments."""
        if isinstance(kind, Global) and kind.name not in ADMITTED and isinstance(arguments, tuple) and not arguments:
            self.push(Record(kind.name, {}))
        else:
            self.call(kind, arguments)

    def new_object(self, _: Any) -> None:
        arguments, kind = self.pop(), self.pop()
        self.new(kind, arguments)

    def new_object_ex(self, _: Any) -> None:
        keywords, arguments, kind = self.pop(), self.pop(), self.pop()
        if not isinstance(keywords, dict) or keywords:
            raise Refused("makes an object with keyword arguments")
        self.new(kind, arguments)

    def instance(self, qualified: str) -> None:
        arguments = tuple(self.pop_mark())
        self.call(Global.of(*qualified.split(" ", 1)), arguments)

    def object(self, _: Any) -> None:
        kind, *arguments = self.pop_mark() or [None]
        self.call(kind, tuple(arguments))

    def persistent(self, _: Any) -> None:
        self.push(self.context.persistent(self.pop()))

    def build(self, _: Any) -> None:
        state, target = self.pop(), self.top()
        if isinstance(target, Record):
            attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
            for part in (attributes, slots):
                if isinstance(part, dict):
                    self.context.budget.step(len(part))
                    _update(target, part)
                elif part is not None:
                    _update(target, {"state": part})
        elif isinstance(target, BUILDABLE):
            target.build(self.context, state)
        elif not isinstance(target, dict):
            # Attributes of a dict, such as the versions that come with every state dict, say nothing of its items.
            raise Refused(f"gives attributes to {_kind(target)}")


def _update(record: Record, state: Mapping[Any, Any]) -> None:
    if not all(isinstance(key, str) for key in state):
        raise Refused(f"gives {printable(record.name)} attributes without a name")
    attributes: Any = record.state
    attributes.update(state)


def _kind(value: Any) -> str:
    return printable(value.name) if isinstance(value, Global | Record) else f"a value of type {type(value).__name__}"
