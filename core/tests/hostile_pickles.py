"""Hostile and damaged checkpoints, written opcode by opcode, for tests of the unpickler."""

from __future__ import annotations

import io
import pickle
import struct
import warnings
import zipfile

from pickled import saved


def text(value: str) -> bytes:
    """The opcode that pushes a string."""
    content = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(content)) + content


def call(module: str, name: str, *arguments: bytes) -> bytes:
    """Opcodes that call a global with arguments that opcodes push."""
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def tensor_call(size: bytes, stride: bytes, *, offset: bytes = b"K\0", count: int = 4) -> bytes:
    """A legacy PyTorch file with one storage and one tensor."""
    storage = b"((" + text("storage") + b"ctorch\nFloatStorage\n" + text("7") + text("cpu") + integer(count) + b"NtQ"
    main = b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + offset + size + stride + b"\x89}tR."
    head = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join([*head, b"\x80\x02" + main, pickle.dumps(["7"], 2), struct.pack("<q", count), b"\0" * 4 * 4])


def legacy_view(numbers: list[float], *, start: int, length: int, offset: int, size: int) -> bytes:
    """A legacy file with a tensor of ``size`` from ``offset`` on in a view (``start``, ``length``) of its storage."""
    view = text("view") + integer(start) + integer(length) + b"\x87"
    storage = b"((" + text("storage") + b"ctorch\nFloatStorage\n" + text("7") + text("cpu") + integer(len(numbers))
    main = b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + view + b"tQ" + integer(offset)
    main += integer(size) + b"\x85" + integer(1) + b"\x85" + b"\x89}tR."
    head = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    content = struct.pack(f"<q{len(numbers)}f", len(numbers), *numbers)
    return b"".join([*head, b"\x80\x02" + main, pickle.dumps(["7"], 2), content])


def integer(value: int) -> bytes:
    content = value.to_bytes(16, "little", signed=True)
    return b"\x8a\x10" + content


def zipped(data: bytes, *, compress: bool = False, order: str = "little", **entries: bytes) -> bytes:
    """A zip archive laid out like PyTorch's, around a pickle."""
    content = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(content, "w", kind) as archive:
        warnings.simplefilter("ignore")
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", order)
        for name, value in entries.items():
            archive.writestr(f"archive/data/{name}", value)
    return content.getvalue()


def overlapping() -> bytes:
    """An archive in which the central directory gives twenty files the same bytes."""
    content = bytearray(zipped(pickle.dumps(1), a=b"\0" * 100_000))
    start = content.rindex(b"PK\x01\x02")
    end = content.rindex(b"PK\x05\x06")
    entry = bytes(content[start:end])
    name = b"archive/data/a"
    copies = b"".join(entry.replace(name, b"archive/data/" + bytes([65 + i])) for i in range(20))
    tail = bytearray(content[end:])
    count = struct.unpack("<H", tail[10:12])[0] + 20
    first = struct.unpack("<I", tail[16:20])[0]
    tail[8:12] = struct.pack("<HH", count, count)
    tail[12:16] = struct.pack("<I", end - first + len(copies))
    return bytes(content[:end]) + copies + bytes(tail)


def hostile(command: str) -> dict[str, bytes]:
    """Files that must be refused; those that call something would run ``command`` in a shell.

    By name, so that a failure says what got through.
    """
    word = text(command)
    system = call("os", "system", word)
    storage_file = saved({"state_dict": {}})
    nested = [system + b"."]
    for _ in range(8):
        nested.append(call("torch.storage", "_load_from_bytes", _bytes(nested[-1])) + b".")
    laughs = b"K\0" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(120))
    calls: dict[str, bytes] = {
        "reduce to os.system": system + b".",
        "reduce to posix.system, protocol 4": b"\x80\x04" + text("posix") + text("system") + b"\x93" + word + b"\x85R.",
        "reduce to eval": call("builtins", "eval", text(f"__import__('os').system({command!r})")) + b".",
        "reduce to exec, Python 2 name": call("__builtin__", "exec", text("raise SystemExit")) + b".",
        "reduce to subprocess": call("subprocess", "getoutput", word) + b".",
        "reduce without arguments": call("os", "abort") + b".",
        "reduce to getattr": call("builtins", "getattr", b"cos\nsystem\n", text("__call__")) + b".",
        "reduce to import_module": call("importlib", "import_module", text("antigravity")) + b".",
        "reduce to torch.load": call("torch", "load", text("/etc/passwd")) + b".",
        "reduce to torch.hub.load": call("torch.hub", "load", word) + b".",
        "reduce to numpy.load": call("numpy", "load", text("/etc/passwd")) + b".",
        "reduce to functools.partial": call("functools", "partial", b"cos\nsystem\n", word) + b".",
        "reduce to pickle.loads": call("pickle", "loads", _bytes(system + b".")) + b".",
        "dotted name": b"\x80\x04" + text("shutil") + text("os.system") + b"\x93" + word + b"\x85R.",
        "name with a new line": b"\x80\x04" + text("o\ns") + text("sys\x1b[31mtem") + b"\x93" + word + b"\x85R.",
        "non-ASCII name": b"\x80\x04" + text("οѕ") + text("system") + b"\x93" + word + b"\x85R.",
        "name that is no text": b"K\1K\2\x93.",
        "inst": b"(" + word + b"ios\nsystem\n.",
        "inst without arguments": b"(ios\nabort\n.",
        "obj": b"(cos\nsystem\n" + word + b"o.",
        "obj of nothing": b"(o.",
        "newobj with arguments": b"cos\nsystem\n" + word + b"\x85\x81.",
        "newobj_ex with keywords": b"\x80\x04cos\nsystem\n(t}" + text("command") + word + b"s\x92.",
        "extension registry": b"\x80\x02\x82\x01.",
        "call of a record": b"(csomewhere\nThing\n)\x81" + word + b"\x85R.",
        "call of a string": word + word + b"\x85R.",
        "arguments that are no tuple": b"ccollections\nOrderedDict\n]R.",
        "build on a function": b"cos\nsystem\n}" + text("__code__") + b"Nsb.",
        "build on a list": b"]}" + text("append") + b"cos\nsystem\nsb.",
        "build on a tensor": zipped(_storage("a", 1) + b"}" + text("x") + b"K\1sb.", a=b"\0" * 4),
        "state without names": b"csomewhere\nThing\n)\x81}K\1K\2sb.",
        "inside a state dict": b"}" + text("weight") + system + b"s.",
        "inside a namespace": b"cargparse\nNamespace\n)\x81}" + text("a") + system + b"sb.",
        "forgotten before the end": system + b"0N.",
        "before an error": system + b"\xff",
        "as a key": b"}" + system + b"Ns.",
        "as a default factory's item": call("collections", "OrderedDict", b"](" + text("a") + system + b"te") + b".",
        "in a persistence object": call(
            "torch_utils.persistence", "_reconstruct_persistent_obj", b"}" + text("state") + system + b"s"
        ) + b".",
        "in a nested file": nested[1],
        "in a nested file of a nested file": nested[2],
        "nested eight deep": nested[8],
        "in a zip file": zipped(system + b"."),
        "in a legacy file": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + system + b".",
        "as a tensor's subclass": call(
            "torch._tensor", "_rebuild_from_type_v2", b"cos\nsystem\n", b"ctorch\nTensor\n", word + b"\x85", b"}"
        ) + b".",
        "as a storage": zipped(b"(" + text("storage") + system + text("a") + text("cpu") + b"K\1tQ.", a=b"\0" * 4),
    }  # fmt: skip
    sizes: dict[str, bytes] = {
        "billion laughs": laughs + b".",
        "deep tuples": b"N" + b"\x85" * 20_000 + b".",
        "deep lists": b"]" * 20_000 + b"a" * 19_999 + b".",
        "deep tuple as a key": b"}N" + b"\x85" * 20_000 + b"Ns.",
        "tuple as a key": b"}K\1\x85Ns.",
        "billion laughs as a key": b"}" + laughs + b"Ns.",
        "list as a key": b"}]Ns.",
        "record as a key": b"}csomewhere\nThing\n)\x81Ns.",
        "tuple in a set": b"\x80\x04\x8f(K\1\x85\x90.",
        "keys that hash alike": b"}(" + b"".join(integer((2**61 - 1) * i) + b"N" for i in range(5000)) + b"u.",
        "list in itself": b"]q\0h\0a.",
        "dict in itself": b"}q\0" + text("a") + b"h\0s.",
        "record in itself": b"cargparse\nNamespace\n)\x81q\0}" + text("a") + b"h\0sb.",
        "tuple in itself through a list": b"]q\0h\0\x85a.",
        "remembered out of order": b"Nr\xff\xff\xff\x7f0j\xfe\xff\xff\x7f.",
        "bytes that claim a size": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"abc.",
        "bytearray that claims a size": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"abc.",
        "text that claims a size": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"abc.",
        "frame that claims a size": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60),
        "integer that claims a size": b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b"\1.",
        "integer of a negative size": b"\x80\x02\x8b" + struct.pack("<i", -4) + b"\1.",
        "integer of many digits": b"I" + b"9" * 100_000 + b"\n.",
        "integer of many bytes": b"\x80\x02\x8b" + struct.pack("<i", 5000) + b"\1" * 5000 + b".",
        "repeated copies of a text": _bytes(b"") + b"0" + text("x" * 100_000) + b"q\0" + b"".join(
            b"0c_codecs\nencode\nh\0" + text("latin1") + b"\x86R" for _ in range(2000)
        ) + b".",
        "repeated nested file": _bytes(storage_file) + b"q\0" + b"".join(
            b"0ctorch.storage\n_load_from_bytes\nh\0\x85R" for _ in range(11_000)
        ) + b".",
        "text that is no Unicode": text("\ud800") + b".",
        "surrogate escaped": b"V\\ud800\n.",
        "empty": b"",
        "nothing but the end": b".",
        "unbalanced bracket": b"t.",
        "odd number of items": b"}(Nu.",
        "buffer out of band": b"\x80\x05\x97.",
        "unknown opcode": b"\x80\x04\x00.",
        "web page": b"<!DOCTYPE html><title>Quota exceeded</title>",
    }  # fmt: skip
    tensors: dict[str, bytes] = {
        "larger than its storage": tensor_call(b"K\5\x85", b"K\1\x85"),
        "offset outside": tensor_call(b"K\1\x85", b"K\1\x85", offset=b"K\4"),
        "negative offset": tensor_call(b"K\1\x85", b"K\1\x85", offset=integer(-1)),
        "negative size": tensor_call(integer(-1) + b"\x85", b"K\1\x85"),
        "negative stride": tensor_call(b"K\2\x85", integer(-1) + b"\x85", offset=b"K\2"),
        "stride outside": tensor_call(b"K\2\x85", b"K\4\x85"),
        "size that overflows": tensor_call(integer(1 << 63) + b"\x85", b"K\1\x85"),
        "product that overflows": tensor_call((integer(1 << 40) * 2) + b"\x86", b"K\0K\0\x86"),
        "expanded to a terabyte": tensor_call(integer(1 << 38) + b"\x85", b"K\0\x85"),
        "empty with a huge side": tensor_call(integer(1 << 50) + b"K\0\x86", b"K\1K\1\x86"),
        "bool as a size": tensor_call(b"\x88\x85", b"K\1\x85"),
        "sizes without strides": tensor_call(b"K\1\x85", b")"),
        "forty sides": tensor_call(b"(" + b"K\1" * 40 + b"t", b"(" + b"K\1" * 40 + b"t"),
        "size of text": tensor_call(text("1") + b"\x85", b"K\1\x85"),
        "storage that claims a size": tensor_call(b"K\1\x85", b"K\1\x85", count=1 << 45),
        "storage that is not there": tensor_call(b"K\1\x85", b"K\1\x85")[:-8],
        "tensor of a list": call("torch._utils", "_rebuild_tensor_v2", b"]K\0K\1\x85K\1\x85\x89}") + b".",
        "storage missing in the zip": zipped(_storage("b", 1) + b".", a=b"\0" * 4),
        "storage too short in the zip": zipped(_storage("a", 2) + b".", a=b"\0" * 4),
        "storage that is the pickle": zipped(_storage("../data.pkl", 1) + b".", a=b"\0" * 4),
        "compressed zip": zipped(pickle.dumps(bytes(1 << 20)), compress=True),
        "overlapping zip": overlapping(),
        "zip with a name twice": zipped(b"N.", a=b"1").replace(b"byteorder", b"data.pkl\0"),
        "zip without pickle": zipped(b"N.").replace(b"data.pkl", b"datA.pkl"),
        "big-endian zip": zipped(b"N.", order="big"),
        "array of objects": _array(b"cnumpy\ndtype\n" + text("O8") + b"\x85R", b"K\1\x85", b"\0" * 8),
        "array larger than its bytes": _array(_float(), b"K\5\x85", b"\0" * 8),
        "array of a huge shape": _array(_float(), integer(1 << 50) + b"K\0\x86", b""),
        "array of a negative shape": _array(_float(), integer(-2) + b"\x85", b"\0" * 8),
        "array without numbers": call("numpy.core.multiarray", "_reconstruct", b"cnumpy\nndarray\n") + b".",
        "array of unknown order": _array(_float(b"!"), b"K\1\x85", b"\0" * 4),
    }
    return {**calls, **sizes, **tensors}


def _bytes(content: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(content)) + content


def _storage(key: str, count: int) -> bytes:
    return b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + integer(count) + b"tQ"


def _float(order: bytes = b"<") -> bytes:
    kind = b"cnumpy\ndtype\n" + text("f4") + b"\x85R"
    return kind + b"(K\3" + text(order.decode()) + b"NNNK\0K\0K\0tb"


def python2_array() -> bytes:
    """An array as Python 2 wrote it: its bytes are a string."""
    return _array(_float(), b"K\2\x85", b"").replace(_bytes(b""), b"U\x08" + struct.pack("<ff", -1.5, 2))


def _array(kind: bytes, shape: bytes, content: bytes) -> bytes:
    empty = call("numpy.core.multiarray", "_reconstruct", b"cnumpy\nndarray\n")
    return b"\x80\x03" + empty + b"(K\1" + shape + kind + b"\x89" + _bytes(content) + b"tb."
