"""Whether weights are whole, finite, and fit the component that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlvgm.errors import InputError, MlvgmError, PluginError, unknown
from mlvgm.plugins.check import Check
from mlvgm.plugins.index import Index, noun
from mlvgm.plugins.load import build, component, config_class
from mlvgm.weights.container import read_container
from mlvgm.weights.convert import recognise
from mlvgm.weights.file import check_finite, read_weights
from mlvgm.weights.pickles.scalars import printable
from mlvgm.weights.shipped import Shipped, all_shipped, shipped_file

_KINDS = ("generators", "purifiers", "classifiers")


def verify(names: Sequence[str] = (), *, index: Index | None = None) -> tuple[Check, ...]:
    """Check weights: readable, the file that was published, finite, and fit for their component, which is built.

    Args:
        names: of shipped weights (``"clean"``, ``"nvae/clean"``, ``"generators/nvae/clean"``, or a component's for all
            of its) or paths of weights files; by default everything that ships.
        index: where to look; the installed plugins by default.

    Raises:
        InputError: a name is neither.
    """
    index = Index.installed() if index is None else index
    shipped = all_shipped(index)
    verdicts = []
    for name in names or (weights.name for weights in shipped):
        matches = [weights for weights in shipped if _matches(weights, name)]
        if matches:
            verdicts += [_verdict(weights.name, weights, index) for weights in matches]
        elif Path(name).exists():
            verdicts.append(_verdict(name, Path(name), index))
        else:
            raise unknown("weights", name, [weights.name for weights in shipped], error=InputError)
    return tuple(verdicts)


def _matches(weights: Shipped, name: str) -> bool:
    parts = weights.name.split("/")
    return name in ("/".join(parts), "/".join(parts[1:]), parts[2], "/".join(parts[:2]), parts[1])


def _verdict(name: str, weights: Shipped | Path, index: Index) -> Check:
    try:
        detail = _check_shipped(weights, index) if isinstance(weights, Shipped) else _check_file(weights, index)
    except MlvgmError as error:
        return Check(name, "problem", " ".join(str(error).split()))
    except Exception as error:  # a component meets weights that are not for it with whatever its layers raise
        return Check(name, "problem", printable(f"{type(error).__name__}: {error}"))
    return Check(name, "ok", detail)


def _check_shipped(shipped: Shipped, index: Index) -> str:
    with shipped_file(shipped.weights) as path:
        content = read_weights(path, sha256=shipped.weights.sha256)
        check_finite(content.tensors, path)
    _build(shipped.entry.kind, shipped.entry.qualified, shipped.weights.name, index)
    return f"{len(content.tensors)} tensors, published checksum, builds {shipped.entry.name}"


def _check_file(path: Path, index: Index) -> str:
    content = read_weights(path)
    check_finite(content.tensors, path)
    if not content.format:
        return f"{len(content.tensors)} tensors, a bare state dict, builds {_reader(path, index)}"
    name = content.format.removeprefix("mlvgm-").partition("/")[0]
    kind = next((kind for kind in _KINDS if name in index.names(kind)), "generators")
    try:
        _build(kind, name, str(path), index)
    except PluginError as error:
        raise InputError(f"{path}: no installed {noun(kind)} reads the format '{content.format}': {error}") from error
    return f"{len(content.tensors)} tensors, format {content.format}, builds {name}"


def _reader(path: Path, index: Index) -> str:
    """The classifier that reads a bare state dict as it is.

    Raises:
        InputError: there is none; the hint is what reads it instead.
    """
    for name in index.names("classifiers"):
        try:
            if "weights" in config_class(component("classifiers", name, index=index)).model_fields:
                _build("classifiers", name, str(path), index)
                return name
        except MlvgmError:  # it is of another network, needs more options, or does not load
            continue
    try:
        family, _ = recognise(read_container(path), None, index)
    except InputError as error:
        raise InputError(
            f"{path}: a bare state dict that nobody recognises: {error.message.removeprefix(f'{path}: ')}",
            hint="a generator's goes through `mlvgm weights convert`, with --as and --config for what it does not "
            "tell; a classifier's into the option of the classifier it was made for, such as "
            "`--set classifier.weights=FILE`",
        ) from error
    raise InputError(
        f"{path}: a bare state dict of the generator {family}",
        hint=f"`mlvgm weights convert {path} --to NEW.safetensors` makes a weights file of it",
    )


def _build(kind: str, reference: str, weights: str, index: Index) -> None:
    """Build a component with weights; a classifier for whichever installed data set it fits."""
    options = {"weights": weights}
    problem: MlvgmError = InputError("no data set is installed that the classifier could be for")
    if kind != "classifiers":
        build(kind, reference, options, index=index)
        return
    for name in index.names("datasets"):
        try:
            build(kind, reference, options, index=index, data=build("datasets", name, index=index).info)
            return
        except MlvgmError as error:  # the data are not here, or of other images
            problem = error
    raise problem
