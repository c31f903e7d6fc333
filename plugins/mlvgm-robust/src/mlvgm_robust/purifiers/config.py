"""Options of the purifiers; apart from the purifiers, so that options are checked without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mlvgm.errors import ConfigError
from mlvgm_robust.purifiers import schedules


class NoneConfig(BaseModel):
    """Nothing to set."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NoiseConfig(BaseModel):
    """Options of the noise baseline."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm: float = Field(
        4.0, ge=0, allow_inf_nan=False, description="L2 norm of the noise in units of [0, 1] pixels; 0 switches it off"
    )


def odd_kernel(kernel: int | None) -> int | None:
    """``kernel`` if it can be centred on a pixel.

    Raises:
        ConfigError: it is even.
    """
    if kernel is not None and kernel % 2 == 0:
        raise ConfigError(f"blur kernel: expected an odd number of pixels, came {kernel}")
    return kernel


class BlurConfig(BaseModel):
    """Options of the blur baseline."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sigma: float = Field(1.0, ge=0, le=64, description="standard deviation of the blur, pixels; 0 switches it off")
    kernel: int | None = Field(None, ge=1, description="kernel side, odd, pixels; default reaches four sigma")

    _odd = field_validator("kernel")(odd_kernel)


class MlvgmConfig(BaseModel):
    """Options of purification with a generator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blur: float = Field(0.0, ge=0, le=64, description="standard deviation of a Gaussian blur first, pixels; 0 is off")
    blur_kernel: int | None = Field(None, ge=1, description="blur kernel side, odd, pixels; default reaches four sigma")
    noise: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="L2 norm of noise added next, in units of [0, 1] pixels; 0 is off"
    )
    alphas: str | tuple[float, ...] = Field(
        "cosine",
        description="none, linear, cosine, constant:0.5, keep:6, or one number in [0, 1] a latent, coarse → fine",
    )
    attenuation: float = Field(1.0, ge=0, le=1, description="factor on all alphas")

    _odd = field_validator("blur_kernel")(odd_kernel)

    @field_validator("alphas")
    @classmethod
    def _schedule(cls, value: str | tuple[float, ...]) -> str | tuple[float, ...]:
        if isinstance(value, str):
            schedules.parse(value)
        elif not all(0 <= alpha <= 1 for alpha in value):
            raise ValueError(f"alphas: expected numbers in [0, 1], came {list(value)}")
        return value
