"""What a choice of alphas depends on, from what the user asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlvgm.configuration.part import Part
from mlvgm.configuration.settings import Setting, Settings, nest, part
from mlvgm.errors import ConfigError
from mlvgm.plugins.load import component, config_class, configured, plain
from mlvgm.plugins.options import validate
from mlvgm_robust.purify.config import PurifyConfig
from mlvgm_robust.purify.recipes import resolved_component
from mlvgm_robust.purify.resolve import resolve


class SearchConfig(BaseModel):
    """How alphas are judged and chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(128, ge=1, description="adversarial images alphas are judged on; 1024 as published")
    split: Literal["train", "validation"] = Field("train", description="split they come from; never test")
    eot: int = Field(32, ge=1, description="draws in each gradient while they are made; 32 as published")
    weight: float = Field(0.0, ge=0, le=1, description="of clean accuracy in what is maximised; 0 as published")
    choice: Literal["fresh", "published"] = Field(
        "fresh", description="judge the leaders again on fresh draws, or take the highest observation as it is"
    )
    top: int = Field(5, ge=1, description="leaders that are judged again")
    held_out: int = Field(128, ge=1, description="other images the reported accuracies are of")
    held_out_split: Literal["train", "validation"] = Field("validation", description="split those come from")
    adaptive: int = Field(
        64, ge=0, description="of the held-out images, attacked anew for each vector with its own gradient; 0 is off"
    )


@dataclass(frozen=True)
class AlphasConfig:
    """Everything a choice of alphas depends on.

    Args:
        method: how vectors are found.
        search: how they are judged.
        study: the defence with α = 1, and the attack.
    """

    method: Part
    search: SearchConfig
    study: PurifyConfig

    def plain(self) -> dict[str, Any]:
        """In plain values."""
        parts = {"method": self.method, "search": self.search, "study": self.study}
        return {"run": "alphas"} | {name: one.model_dump(mode="json") for name, one in parts.items()}


def alphas_config(settings: Settings, *, threads: int) -> AlphasConfig:
    """Check every setting: ``method.*`` and ``search.*``, and those of a purification study.

    Unless told otherwise images are not pre-processed (published), and the attack is FGSM in L2 along the sign of the
    gradient (published). Its radius defaults to 1: published were 4 at 256 pixels, 2 at 64.

    Raises:
        ConfigError: an option is unknown or out of bounds, or sets what is chosen here.
        PluginError: a component is unknown or does not load.
    """
    for key in ("purifier.alphas", "rows", "attacks", "radii", "limit", "split"):
        if key in settings and not settings[key].source.startswith("$"):  # the environment may be for other commands
            hint = "see search.images and search.split" if key in ("limit", "split") else "leave it out"
            raise ConfigError(f"'{key}' has no meaning where alphas are chosen", hint=hint)
    method = {key: setting.value for key, setting in part(settings, "method").items()}
    if "name" not in method:
        raise ConfigError("how are alphas to be chosen?", hint="--method; see `mlvgm plugins list --kind alphas`")
    name = str(method.pop("name"))
    chosen = component("alphas", name)
    options = plain(chosen, configured(chosen, {**chosen.given, **nest(method)}))
    given = nest({key: setting.value for key, setting in part(settings, "search").items()})
    judged = validate(SearchConfig, given, prefix="search")
    assert isinstance(judged, SearchConfig)

    own = {key: value for key, value in settings.items() if key.split(".")[0] not in ("method", "search")}
    why = "choosing alphas"
    own = {"attack.name": Setting("fgsm", why)} | own
    purifier = resolved_component("purifier", part(own, "purifier"))
    if not purifier.component.capabilities.get("alphas"):
        raise ConfigError(
            f"purifier '{purifier.entry.name}' has no latents to choose alphas for", hint="take --purifier mlvgm"
        )
    if "noise" in config_class(purifier).model_fields:
        own = {"purifier.noise": Setting(0.0, why)} | own
    if own["attack.name"].value in ("fgsm", ["fgsm"]):
        own = {"attack.direction": Setting("sign", why)} | own
    # One image of a split other than train, to see whether everything fits together.
    probe = "validation" if judged.held_out_split == "validation" else "test"
    fixed = {"purifier.alphas": "constant:1", "compare": False, "limit": 1, "split": probe}
    own |= {key: Setting(value, why) for key, value in fixed.items()}
    study = resolve(own, threads=threads).config
    if len(study.attacks) > 1:
        raise ConfigError("alphas are chosen against one attack", hint="give --attack once")
    return AlphasConfig(Part(name=name, **options), judged, study)
