"""One image file → one tensor in [0, 1]. Whatever is wrong with a file is said in one message that names it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from mlvgm.errors import InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".npy"})
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_HINT = "repair or remove the file"
# Luma of ITU-R BT.601, as Pillow computes grey.
_LUMA = (0.299, 0.587, 0.114)

# Modes of Pillow: with transparency, and with more than eight bits.
_CLEAR, _DEEP = ("LA", "PA", "RGBA", "RGBa", "La"), ("I", "F")

Result = TypeVar("Result")


def image_size(file: Path) -> tuple[int, int]:
    """Height and width, from the header alone.

    Raises:
        InputError: the header is broken.
    """

    def read() -> tuple[int, int]:
        if file.suffix.lower() == ".npy":
            height, width = np.load(file, mmap_mode="r", allow_pickle=False).shape[:2]
            return height, width
        with Image.open(file) as image:
            # Orientations 5 to 8 lie on their side. The base class's method: that of PNG decodes the whole file.
            turned = Image.Image.getexif(image).get(0x0112, 1) >= 5
            return (image.width, image.height) if turned else (image.height, image.width)

    return _guarded(file, read)


def alterations(file: Path, *, channels: int, size: tuple[int, int]) -> tuple[str, ...]:
    """What :func:`read_image` changes about a file, in words; read from the header alone.

    Raises:
        InputError: the header is broken.
    """
    said = () if image_size(file) == size else (f"resized to {size[1]}×{size[0]}",)
    found = colours(file)
    if found != channels:
        said = (*said, "made grey" if channels == 1 else "grey repeated as red, green and blue")
    if file.suffix.lower() == ".npy":
        return said

    def read() -> tuple[str, ...]:
        with Image.open(file) as image:
            words = {
                "turned as their EXIF data say": Image.Image.getexif(image).get(0x0112, 1) > 1,
                "read without transparency": image.mode in _CLEAR or "transparency" in image.info,
                "first of several frames taken": getattr(image, "n_frames", 1) > 1,
                "cut from 16 to 8 bits": image.mode.startswith(_DEEP),
            }
            return tuple(text for text, so in words.items() if so)

    return (*said, *_guarded(file, read))


def colours(file: Path) -> int:
    """1 for a grey image, 3 for others; from the header alone.

    Raises:
        InputError: the header is broken.
    """

    def read() -> int:
        if file.suffix.lower() == ".npy":
            shape = np.load(file, mmap_mode="r", allow_pickle=False).shape
            return 3 if len(shape) == 3 and shape[2] == 3 else 1
        with Image.open(file) as image:
            return 1 if image.mode in ("1", "L", "LA") or image.mode.startswith(_DEEP) else 3

    return _guarded(file, read)


def read_image(file: Path, *, channels: int, size: tuple[int, int] | None = None) -> Tensor:
    """Decode a file.

    Args:
        file: PNG, JPEG, BMP, WebP, or an array ``.npy`` of shape (H, W), (H, W, 1) or (H, W, 3): floats in [0, 1] or
            unsigned bytes.
        channels: what it is converted to, 3 for colour or 1 for grey.
        size: (height, width) it is resized to, bilinear and antialiased; None leaves it.

    Shape:
        output: (channels, H, W) float32 in [0, 1].

    Raises:
        InputError: the file is broken, or its values are not in [0, 1].
    """
    decode = _decode_array if file.suffix.lower() == ".npy" else _decode_picture
    pixels = _convert(torch.from_numpy(_guarded(file, lambda: decode(file))).permute(2, 0, 1), channels)
    if size is not None and pixels.shape[1:] != size:
        pixels = F.interpolate(pixels[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)
    return pixels


def _guarded(file: Path, read: Callable[[], Result]) -> Result:
    try:
        return read()
    except _BROKEN as error:
        raise InputError(f"image {file} is broken: {error}", hint=_HINT) from error


def _decode_picture(file: Path) -> NDArray[np.float32]:
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion to 8 bits clips them
            return np.asarray(image, dtype=np.float32)[:, :, None] / np.float32(65535)
        image = image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    return np.atleast_3d(np.asarray(image, dtype=np.float32)) / np.float32(255)


def _decode_array(file: Path) -> NDArray[np.float32]:
    values = np.load(file, allow_pickle=False)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 3)) or not values.size:
        raise InputError(f"expected an array (H, W), (H, W, 1) or (H, W, 3) in {file}, came {values.shape}", hint=_HINT)
    if values.dtype == np.uint8:
        values = values / np.float32(255)
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError(f"expected floats in [0, 1] or unsigned bytes in {file}, came {values.dtype}", hint=_HINT)
    if not np.isfinite(values).all():
        raise InputError(f"image {file} has NaN or infinite pixels", hint=_HINT)
    if values.min() < 0 or values.max() > 1:
        raise InputError(
            f"expected pixels in [0, 1] in {file}, came {values.min():.4g} to {values.max():.4g}",
            hint="scale the array",
        )
    return np.atleast_3d(values.astype(np.float32))


def _convert(pixels: Tensor, channels: int) -> Tensor:
    if channels == 3:
        return pixels.expand(3, -1, -1).contiguous()
    if len(pixels) == 1:
        return pixels
    return torch.einsum("c,chw->hw", torch.tensor(_LUMA), pixels)[None].clamp(0, 1)
