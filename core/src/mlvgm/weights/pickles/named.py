"""A global that a pickle names: only its name, under which it is looked up in our own tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

# What modules were called in Python 2 and in other versions of numpy and PyTorch.
_MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "pathlib._local": "pathlib",
    "torch.cuda": "torch",
}


@dataclass(frozen=True)
class Named:
    """A class or function that is not there.

    Args:
        name: with its module, ``"collections.OrderedDict"``.
    """

    name: str

    @classmethod
    def of(cls, module: str, attribute: str) -> Self:
        """The name of ``attribute`` in ``module``, in its present form."""
        return cls(f"{_MODULES.get(module, module)}.{attribute}")
