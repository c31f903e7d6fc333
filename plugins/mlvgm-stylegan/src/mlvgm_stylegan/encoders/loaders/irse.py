"""Tensors of IR-SE-50 and its feature pyramid, with batch norms folded into convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mlvgm_stylegan.encoders.irse import IRSEArchitecture, PerStage

State = dict[str, Tensor]

_EPS = 1e-5
_IR_SE_50 = (3, 4, 14, 3)


def take_pyramid(state: State, *, units: Sequence[int] | None = None) -> tuple[IRSEArchitecture, State]:
    """Architecture and tensors of the feature pyramid in ``state``, from which they are taken.

    Args:
        state: the official layout (``input_layer``, ``body``, ``latlayer1``, ``latlayer2``).
        units: residual units of each stage; None infers them.

    Raises:
        KeyError, ValueError: tensors are missing or of an unknown kind.
    """
    architecture = _infer(state, units)
    ours: State = {}
    for name, value in zip(("weight", "bias"), _take_conv_norm(state, "input_layer.0", "input_layer.1"), strict=True):
        ours[f"body.stem.0.{name}"] = value
    ours["body.stem.1.weight"] = state.pop("input_layer.2.weight")
    block = 0
    for stage, count in enumerate(architecture.units):
        for unit in range(count):
            taken = _take_unit(state, f"body.{block}")
            ours |= {f"body.stages.{stage}.{unit}.{name}": tensor for name, tensor in taken.items()}
            block += 1
    for name, source in (("lateral_middle", "latlayer1"), ("lateral_fine", "latlayer2")):
        ours |= {f"{name}.{part}": state.pop(f"{source}.{part}") for part in ("weight", "bias")}
    return architecture, ours


def numbers(state: State, prefix: str) -> list[int]:
    """Sorted numbers N for which a name starts with ``prefix``.N and a dot."""
    start = f"{prefix}."
    found = {name.removeprefix(start).split(".")[0] for name in state if name.startswith(start)}
    return sorted(int(number) for number in found if number.isdigit())


def _infer(state: State, units: Sequence[int] | None) -> IRSEArchitecture:
    blocks = len(numbers(state, "body"))
    widths = [state[f"body.{block}.res_layer.1.weight"].shape[0] for block in range(blocks)]
    gates = [state[f"body.{block}.res_layer.5.fc1.weight"].shape[0] for block in range(blocks)]
    counts = _units(widths, units)
    firsts = [sum(counts[:stage]) for stage in range(4)]
    if any(len(set(widths[first : first + count])) != 1 for first, count in zip(firsts, counts, strict=True)):
        raise ValueError(f"channels {widths} of the residual units change within the stages of {counts} units")
    stem = state["input_layer.0.weight"]
    return IRSEArchitecture(
        channels=stem.shape[1],
        stem=stem.shape[0],
        widths=_per_stage([widths[first] for first in firsts]),
        units=counts,
        squeezed=_per_stage([gates[first] for first in firsts]),
    )


def _units(widths: list[int], given: Sequence[int] | None) -> PerStage:
    """Units of each stage: as given, or a stage begins where the channels change, or those of IR-SE-50."""
    if given is not None:
        if len(given) != 4 or sum(given) != len(widths):
            raise ValueError(f"stage_units {list(given)} do not make the {len(widths)} residual units of the file")
        return _per_stage(given)
    starts = [0, *(block for block in range(1, len(widths)) if widths[block] != widths[block - 1])]
    if len(starts) == 4:
        return _per_stage([stop - start for start, stop in zip(starts, [*starts[1:], len(widths)], strict=True)])
    if len(widths) == sum(_IR_SE_50):
        return _IR_SE_50
    raise ValueError(f"channels {widths} of the residual units do not tell the four stages; give stage_units")


def _per_stage(values: Sequence[int]) -> PerStage:
    first, second, third, fourth = values
    return first, second, third, fourth


def _take_unit(state: State, name: str) -> State:
    scale, shift = _take_norm(state, f"{name}.res_layer.0")
    weight, bias = _take_conv_norm(state, f"{name}.res_layer.3", f"{name}.res_layer.4")
    ours = {
        "norm.scale": scale[:, None, None].float(),
        "norm.shift": shift[:, None, None].float(),
        "first.weight": state.pop(f"{name}.res_layer.1.weight"),
        "activation.weight": state.pop(f"{name}.res_layer.2.weight"),
        "second.weight": weight,
        "second.bias": bias,
        "gate.squeeze.weight": state.pop(f"{name}.res_layer.5.fc1.weight").flatten(1),
        "gate.excite.weight": state.pop(f"{name}.res_layer.5.fc2.weight").flatten(1),
    }
    if f"{name}.shortcut_layer.0.weight" in state:
        weight, bias = _take_conv_norm(state, f"{name}.shortcut_layer.0", f"{name}.shortcut_layer.1")
        ours |= {"shortcut.weight": weight, "shortcut.bias": bias}
    return ours


def _take_conv_norm(state: State, convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the batch norm after it."""
    scale, shift = _take_norm(state, norm)
    weight = scale[:, None, None, None] * state.pop(f"{convolution}.weight").double()
    return weight.float(), shift.float()


def _take_norm(state: State, name: str) -> tuple[Tensor, Tensor]:
    """Scale and shift, in float64, of a batch norm with its stored statistics."""
    weight, bias, mean, variance = (
        state.pop(f"{name}.{part}").double() for part in ("weight", "bias", "running_mean", "running_var")
    )
    state.pop(f"{name}.num_batches_tracked", None)
    scale = weight / (variance + _EPS).sqrt()
    return scale, bias - mean * scale
