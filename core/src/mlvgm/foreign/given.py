"""What callers give: images, noise, latents and keys, refused in one line if a component cannot take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.latents import ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise
from mlvgm.protocols.generator import NuisanceSpec

# Noise that purifiers add leaves the box; bytes that nobody has divided by 255 leave it by more.
_NEAR = (-8.0, 9.0)
_FLOATS = (torch.float32, torch.float64)


def check_images(images: Tensor, *, what: str = "images") -> None:
    """Refuse images that are not finite float32 NCHW in [0, 1], one at least.

    Raises:
        InputError: wrong type, shape or range, or NaN.
    """
    _check_kind(images, what, None, (torch.float32,), None)
    _check_finite(images, f"{what}: {{}} pixels are NaN or infinite")
    _check_range(images, what, 0, 1)


def check_batch(
    images: Tensor, *, what: str = "images", spec: ImageSpec | None = None, like: Tensor | None = None
) -> None:
    """Refuse what cannot be a batch of images on its way through a defence, where noise may have left the box.

    Args:
        images: the batch.
        what: it is, for messages.
        spec: what it must be made of; any images by default.
        like: a weight of what takes them: its type and device. Without it single and double precision are admissible,
            which finite differences need, and an attack may see what becomes of NaN.

    Raises:
        InputError: no NCHW tensor, none in it, another size, type or device, NaN with ``like``, or bytes.
    """
    _check_kind(images, what, spec, _FLOATS if like is None else (like.dtype,), None if like is None else like.device)
    if like is not None:
        _check_finite(images, f"{what}: {{}} pixels are NaN or infinite")
    _check_range(images, what, *_NEAR)


def check_noise(
    noise: Noise, latents: Sequence[LatentSpec], nuisances: Sequence[NuisanceSpec] = (), *, like: Tensor, name: str
) -> None:
    """Refuse noise that a generator cannot use.

    Args:
        noise: to be checked.
        latents: of the generator.
        nuisances: that are on.
        like: a weight of the generator: its type and device.
        name: of the generator.

    Raises:
        InputError: another class, number of latents, shape, type or device, no rows, or NaN.
    """
    if not isinstance(noise, Noise):
        raise _no("noise", noise, name, "draw_noise makes it from keys")
    if len(noise.source) != len(latents) or not all(0 <= i < len(noise.values) for i in noise.source):
        made = f"{len(noise.values)} values for {len(noise.source)} latents"
        raise InputError(f"{name} has {len(latents)} latents, the noise has {made}", hint="draw_noise makes it whole")
    values = {spec.name: (noise.of(i), spec.noise_shape) for i, spec in enumerate(latents)}
    _check_values(values | _nuisance(noise.nuisance, nuisances), noise.condition, like=like, what=f"noise of {name}")


def check_latents(
    latents: Latents,
    specs: Sequence[LatentSpec],
    nuisances: Sequence[NuisanceSpec] = (),
    *,
    like: Tensor,
    name: str,
    shared: bool = False,
) -> None:
    """Refuse latents that a generator cannot decode; see :func:`check_noise`.

    ``shared`` admits values of fewer rows, each of which serves as many of the longest.
    """
    if not isinstance(latents, Latents):
        raise _no("latents", latents, name, "to_latents makes them from noise")
    if len(latents.values) != len(specs):
        raise InputError(f"{name} has {len(specs)} latents, got {len(latents.values)}", hint="give one of each")
    values = {spec.name: (value, spec.shape) for spec, value in zip(specs, latents.values, strict=True)}
    what = f"latents of {name}"
    every = values | _nuisance(latents.nuisance, nuisances)
    _check_values(every, latents.condition, like=like, what=what, shared=shared)


def check_keys(keys: Keys, *, name: str) -> None:
    """Refuse what is no keys, or has no rows.

    Raises:
        InputError: it is or has.
    """
    if not isinstance(keys, Keys):
        raise _no("keys", keys, name, 'for instance mlvgm.Keys.of(seed=0, purpose="mine", samples=range(4))')
    if len(keys) == 0:
        raise InputError(f"keys for {name}: there are no rows", hint="give one sample and one draw at least")


def check_classes(classes: Tensor, count: int) -> Tensor:
    """The class numbers; what is none is refused.

    Raises:
        InputError: a number outside 0 … count − 1, or no whole numbers.
    """
    numbers = torch.as_tensor(classes)
    inside = numbers.numel() == 0 or 0 <= int(numbers.min()) <= int(numbers.max()) < count
    if numbers.is_floating_point() or not inside:
        raise InputError(f"expected classes in 0 … {count - 1}, got {numbers.tolist()}")
    return numbers


def _check_values(
    values: Mapping[str, tuple[Tensor, tuple[int, ...]]],
    condition: Tensor | None,
    *,
    like: Tensor,
    what: str,
    shared: bool = False,
) -> None:
    lengths = [len(value) for value, _ in values.values()]
    rows = max(lengths)
    if min(lengths) == 0:
        raise InputError(f"{what}: the batch is empty", hint="give one row at least")
    for name, (value, shape) in values.items():
        fits = tuple(value.shape[1:]) == shape and value.dtype in (torch.float32, like.dtype)
        fits = fits and (len(value) == rows or (shared and rows % len(value) == 0))
        if not fits or value.device != like.device:
            kind = str(like.dtype).removeprefix("torch.")
            raise InputError(
                f"{what}, {name}: expected {kind} {(rows, *shape)} on {like.device}, got {value.dtype} "
                f"{tuple(value.shape)} on {value.device}"
            )
        _check_finite(value, f"{what}, {name}: {{}} numbers are NaN or infinite")
    together = condition is None or len(condition) == rows or (shared and rows % max(len(condition), 1) == 0)
    if condition is not None and not together:
        raise InputError(f"{what}: {rows} rows and {len(condition)} conditions", hint="give every row one")


def _check_kind(
    images: Tensor, what: str, spec: ImageSpec | None, dtypes: Sequence[torch.dtype], device: torch.device | None
) -> None:
    if not isinstance(images, Tensor):
        raise InputError(f"{what}: expected a tensor, got {type(images).__name__}", hint="torch.as_tensor makes one")
    size = "C, H, W" if spec is None else ", ".join(map(str, spec.shape))
    fits = images.ndim == 4 and (spec is None or tuple(images.shape[1:]) == spec.shape)
    here = not images.is_meta and device in (None, images.device)
    if not fits or images.dtype not in dtypes or not here:
        kind = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        hint = "convert bytes with images.float() / 255" if not images.is_floating_point() else None
        if spec is not None and not fits:
            hint = "choose a generator that was trained for these images"
        raise InputError(
            f"{what}: expected {kind} (N, {size}), got {images.dtype} {tuple(images.shape)} on {images.device}",
            hint=hint,
        )
    if len(images) == 0:
        raise InputError(f"{what}: there are no images", hint="give one at least")


def _check_finite(tensor: Tensor, message: str) -> None:
    wrong = int((~tensor.detach().isfinite()).sum())
    if wrong:
        raise InputError(message.format(wrong))


def _check_range(images: Tensor, what: str, lowest: float, highest: float) -> None:
    low, high = (float(edge) for edge in images.detach().aminmax())
    if low < lowest or high > highest:
        raise InputError(f"{what}: expected values in [0, 1], got [{low:.4g}, {high:.4g}]", hint="divide bytes by 255")


def _nuisance(given: Mapping[str, Tensor], wanted: Sequence[NuisanceSpec]) -> dict[str, tuple[Tensor, tuple[int, ...]]]:
    """Those that are there; a generator says itself what is missing, and how to draw it."""
    return {spec.name: (given[spec.name], spec.shape) for spec in wanted if spec.name in given}


def _no(what: str, came: object, name: str, hint: str) -> InputError:
    return InputError(f"{name}: expected {what}, got {type(came).__name__}", hint=hint)
