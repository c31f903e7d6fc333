"""The closed table of what a pickle may call: containers, tensors, arrays, and the wrappers around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from torch import Tensor

from mlvgm.weights.pickles import arrays, tensors
from mlvgm.weights.pickles.budget import Context, Refused
from mlvgm.weights.pickles.scalars import Global, check_key
from mlvgm.weights.record import Record


def _dict(context: Context, items: Any = ()) -> dict[Any, Any]:
    """A dict of pairs, or of another dict."""
    pairs = list(items.items()) if isinstance(items, dict) else _items(context, items)
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise Refused("makes a dict of something that is no pairs")
    return {check_key(key): value for key, value in pairs}


def _tuple(context: Context, items: Any = ()) -> tuple[Any, ...]:
    return tuple(_items(context, items))


def _set(context: Context, items: Any = ()) -> set[Any]:
    return {check_key(item) for item in _items(context, items)}


def _items(context: Context, items: Any = ()) -> list[Any]:
    if not isinstance(items, tuple | list | set):
        raise Refused(f"makes a container of a value of type {type(items).__name__}")
    context.budget.step(len(items))
    return list(items)


def _bytes(context: Context, content: Any = b"", encoding: Any = "latin1") -> bytes:
    """Bytes, also as the text that old protocols keep them in."""
    if isinstance(content, str) and encoding in ("latin1", "latin-1"):
        context.budget.spend(len(content))
        return content.encode("latin-1")
    if isinstance(content, bytes):
        return content
    raise Refused("makes bytes of something that is no text")


def _complex(context: Context, real: Any = 0, imaginary: Any = 0) -> complex:
    if not isinstance(real, int | float) or not isinstance(imaginary, int | float):
        raise Refused("makes a complex number of something else")
    return complex(real, imaginary)


def _object(context: Context, kind: Any, base: Any, state: Any) -> Any:
    """What protocols 0 and 1 make objects of: a class, the built-in it derives from, and the built-in's value."""
    if not isinstance(kind, Global) or not isinstance(base, Global):
        raise Refused("makes an object of something that is no class")
    if kind.name in _DICTS or base.name == "builtins.dict":
        return _dict(context, () if state is None else state)
    if base.name != "builtins.object" or state is not None:
        raise Refused("makes an object of a class that is no plain record")
    return Record(kind.name, {})


def _persistent_object(context: Context, meta: Any) -> Record:
    """An object of StyleGAN's persistence: its class name and state; the source text beside them is left out."""
    state = meta.get("state") if isinstance(meta, dict) else None
    if not isinstance(state, dict) or not isinstance(name := meta.get("class_name"), str):
        raise Refused("has a persistence object without class name or state")
    return Record(name, state)


def _path(context: Context, *parts: Any) -> str:
    if not all(isinstance(part, str) for part in parts):
        raise Refused("makes a path of something that is no text")
    context.budget.spend(sum(map(len, parts)))
    return str(PurePosixPath(*parts))


def _device(context: Context, kind: Any, index: Any = None) -> str:
    if not isinstance(kind, str) or not (index is None or isinstance(index, int)):
        raise Refused("names a device by something that is no text")
    return kind if index is None else f"{kind}:{index}"


def _storage_bytes(context: Context, content: Any) -> Any:
    if not isinstance(content, bytes):
        raise Refused("has a nested file of something that is no bytes")
    context.budget.spend(len(content))
    return context.load_bytes(content)


def _typed(context: Context, function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor of a subclass or with attributes of its own: the tensor alone."""
    if not isinstance(function, Global) or function.name not in _TENSORS or not isinstance(arguments, tuple):
        raise Refused("makes a tensor by something that makes none")
    return _TENSORS[function.name](context, *arguments)


def _text(context: Context, text: Any) -> str:
    if not isinstance(text, str):
        raise Refused("has text of something else")
    return text


_Function = Callable[..., Any]
_DICTS: Final[Mapping[str, _Function]] = {
    "builtins.dict": _dict,
    "collections.OrderedDict": _dict,
    "collections.Counter": _dict,
    "collections.defaultdict": lambda context, factory=None, items=(): _dict(context, items),
    "dnnlib.util.EasyDict": _dict,
    "dnnlib.EasyDict": _dict,
}
_TENSORS: Final[Mapping[str, Callable[..., Tensor]]] = {
    "torch._utils._rebuild_tensor": tensors.rebuild,
    "torch._utils._rebuild_tensor_v2": tensors.rebuild,
    "torch._utils._rebuild_tensor_v3": tensors.rebuild_with_dtype,
    "torch._utils._rebuild_parameter": tensors.parameter,
    "torch._utils._rebuild_parameter_with_state": tensors.parameter,
}
ADMITTED: Final[Mapping[str, _Function]] = {
    **_DICTS,
    **_TENSORS,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch.storage._load_from_bytes": _storage_bytes,
    "torch.Size": _tuple,
    "torch.device": _device,
    "torch.serialization._get_layout": _text,
    "numpy._core.multiarray._reconstruct": arrays.reconstruct,
    "numpy._core.multiarray.scalar": arrays.scalar,
    "numpy._core.numeric._frombuffer": arrays.from_buffer,
    "numpy.dtype": arrays.dtype,
    "builtins.list": _items,
    "builtins.tuple": _tuple,
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "builtins.complex": _complex,
    "_codecs.encode": _bytes,
    "copyreg._reconstructor": _object,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
    **dict.fromkeys(("pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath"), _path),
    **dict.fromkeys(("pathlib.PurePath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath"), _path),
}
BUILDABLE = (arrays.Array, arrays.DType)
