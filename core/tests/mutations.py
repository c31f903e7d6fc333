"""Damaged and invented pickles, for fuzzing the unpickler; a function of the random generator alone."""

from __future__ import annotations

import contextlib
import io
import pickletools
import random
import struct
import zipfile

# Names that make the machine do something, and some that must make it stop.
NAMES = (
    "collections OrderedDict", "collections defaultdict", "collections Counter", "argparse Namespace", "builtins set",
    "builtins dict", "builtins list", "builtins tuple", "builtins bytearray", "_codecs encode",
    "copy_reg _reconstructor",
    "__builtin__ object", "dnnlib.util EasyDict", "dnnlib.tflib.network Network", "numpy dtype", "numpy ndarray",
    "numpy.core.multiarray _reconstruct", "numpy.core.multiarray scalar", "numpy.core.numeric _frombuffer",
    "torch Size", "torch device", "torch float32", "torch FloatStorage", "torch.storage UntypedStorage",
    "torch.storage _load_from_bytes", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter", "torch._tensor _rebuild_from_type_v2", "pathlib PosixPath",
    "torch_utils.persistence _reconstruct_persistent_obj", "os system", "builtins eval", "builtins getattr", "a b",
)  # fmt: skip
_OPCODES = {opcode.name: opcode for opcode in pickletools.opcodes}
_RARE = "STOP PROTO FRAME GET LONG_BINGET EXT1 EXT2 EXT4 NEXT_BUFFER READONLY_BUFFER PERSID BINPERSID"
_USUAL = sorted(_OPCODES.keys() - {*_RARE.split()})
_NUMBERS = (0, 1, 2, 3, 4, 7, 127, 255, 256, 65535, 2**31 - 1, -1, -(2**31))


def mutate(content: bytes, rng: random.Random) -> bytes:
    """A damaged copy: of its bytes, of its opcodes, or both; of the pickle inside, if it is a zip archive."""
    if content.startswith(b"PK") and rng.random() < 0.8:
        return _inside_zip(content, rng)
    changed = content
    for _ in range(rng.choice((1, 1, 1, 1, 2, 8))):
        changed = rng.choice((_bytes, _bytes, _opcodes, _truncated, _spliced))(changed, rng)
    return changed


def invent(rng: random.Random) -> bytes:
    """A pickle of random opcodes and calls that mostly find on the stack what they need, and mostly remember first."""
    values = b"".join(rng.choice((b"K\1", b")", b"}", b"]", b"X\1\0\0\0a")) + b"q" + bytes([i]) for i in range(4))
    parts, levels = [b"\x80\x04" + values], [4]
    for _ in range(rng.randint(1, 60)):
        if rng.random() < 0.3:
            parts.append(_call(rng))
            levels[-1] += 1
            continue
        name = rng.choice(_USUAL if rng.random() < 0.98 else sorted(_OPCODES))
        if _follow(_OPCODES[name], levels) or rng.random() < 0.02:
            parts.append(_opcode(name, rng))
    while len(levels) > 1:
        parts.append(b"t")
        levels.pop()
    return b"".join(parts) + b"."


def _follow(opcode: pickletools.OpcodeInfo, levels: list[int]) -> bool:
    """Whether the stack, its size by brackets in ``levels``, has what ``opcode`` takes; then it is as after it."""
    taken, given = opcode.stack_before, opcode.stack_after
    if pickletools.markobject in taken:
        below = taken.index(pickletools.markobject)
        if len(levels) < 2 or levels[-2] < below:
            return False
        levels.pop()
        levels[-1] += len(given) - below
    elif len(taken) > levels[-1]:
        return False
    elif pickletools.markobject in given:
        levels.append(0)
    else:
        levels[-1] += len(given) - len(taken)
    return True


def _call(rng: random.Random) -> bytes:
    """A global called with a few arguments, remembered, and perhaps given a state."""
    pushes = (
        "SHORT_BINUNICODE",
        "BININT1",
        "NONE",
        "EMPTY_TUPLE",
        "EMPTY_DICT",
        "EMPTY_LIST",
        "SHORT_BINBYTES",
        "GLOBAL",
    )
    values = [_opcode(rng.choice(pushes), rng) for _ in range(rng.randint(0, 6))]
    if values and rng.random() < 0.3:
        values[rng.randrange(len(values))] = _call(rng)
    if rng.random() < 0.3:
        values.append(_opcode("BINGET", rng))
    made = _opcode("GLOBAL", rng) + b"(" + b"".join(values) + b"t" + rng.choice((b"R", b"R", b"R", b"\x81"))
    state = b"}" + _opcode("SHORT_BINUNICODE", rng) + b"K\1sb" if rng.random() < 0.2 else b""
    return made + _opcode("BINPUT", rng) + state


def _bytes(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return content
    changed = bytearray(content)
    position = rng.randrange(len(changed))
    kind = rng.randrange(5)
    if kind == 0:
        changed[position] ^= 1 << rng.randrange(8)
    elif kind == 1:
        changed[position] = rng.randrange(256)
    elif kind == 2:
        del changed[position : position + rng.randint(1, 8)]
    elif kind == 3:
        changed[position:position] = rng.randbytes(rng.randint(1, 8))
    else:
        changed[position : position + 4] = struct.pack("<i", rng.choice(_NUMBERS))
    return bytes(changed)


def _truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))] if content and rng.random() < 0.3 else content


def _spliced(content: bytes, rng: random.Random) -> bytes:
    """A stretch of it repeated elsewhere."""
    if len(content) < 2:
        return content
    start, target = rng.randrange(len(content)), rng.randrange(len(content))
    stretch = content[start : start + rng.randint(1, 200)]
    return content[:target] + stretch + content[target + rng.choice((0, len(stretch))) :]


def _opcodes(content: bytes, rng: random.Random) -> bytes:
    """One opcode removed, repeated, exchanged with another, replaced or added."""
    starts: list[int] = []
    with contextlib.suppress(Exception):  # what came before the damage still counts
        for _, _, position in pickletools.genops(content):
            starts.append(position or 0)
    if len(starts) < 2:
        return _bytes(content, rng)
    at = rng.randrange(len(starts) - 1)
    first, end = starts[at], starts[at + 1]
    kind = rng.randrange(5)
    if kind == 0:
        return content[:first] + content[end:]
    if kind == 1:
        # An opcode may carry megabytes, and the memory of a case is limited.
        times = rng.choice((1, 1, 3, 1000)) if end - first < 10_000 else 1
        return content[:end] + content[first:end] * times + content[end:]
    if kind == 2:
        other = rng.randrange(len(starts) - 1)
        return content[:first] + content[starts[other] : starts[other + 1]] + content[end:]
    added = _opcode(rng.choice(sorted(_OPCODES)), rng)
    return content[: first if kind == 3 else end] + added + content[end:]


def _opcode(name: str, rng: random.Random) -> bytes:
    opcode = _OPCODES[name]
    code = opcode.code.encode("latin-1")
    if opcode.arg is None:
        return code
    kind = opcode.arg.name
    text = rng.choice(("a", "state", "class_name", "storage", "0", "cpu", "latin1", "f4", "<", "é", *NAMES)).encode()
    if name in ("GLOBAL", "INST"):
        return code + rng.choice(NAMES).replace(" ", "\n").encode() + b"\n"
    if "nl" in kind:
        return code + rng.choice((b"1", b"0", b"01", b"'a'", b"2.5", b"7L", text)) + b"\n"
    number = rng.choice(_NUMBERS)
    if name in ("BINPUT", "BINGET"):
        return code + bytes([rng.randrange(4)])
    sizes = {"uint1": "B", "uint2": "H", "uint4": "I", "uint8": "Q", "int4": "i", "float8": "d"}
    if kind in sizes:
        form = sizes[kind]
        if form not in "id":
            number = abs(number) % 256 if rng.random() < 0.8 else abs(number) % 256 ** struct.calcsize(form)
        return code + struct.pack(">d" if form == "d" else "<" + form, number)
    length = len(text) if rng.random() < 0.9 else rng.choice((0, 1, 255, 2**31 - 1))
    width = "B" if kind.endswith("1") else "Q" if kind.endswith("8") else "I"
    return code + struct.pack("<" + width, length % 256 ** struct.calcsize(width)) + text


def _inside_zip(content: bytes, rng: random.Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # damaged before
        return _bytes(content, rng)
    chosen = rng.choice([name for name in entries if name.endswith("data.pkl")] * 8 + sorted(entries))
    entries[chosen] = mutate(entries[chosen], rng) if not entries[chosen].startswith(b"PK") else entries[chosen]
    if rng.random() < 0.05:
        entries.pop(rng.choice(sorted(entries)))
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", zipfile.ZIP_STORED) as archive:
        for name, value in entries.items():
            archive.writestr(name, value)
    return result.getvalue()
