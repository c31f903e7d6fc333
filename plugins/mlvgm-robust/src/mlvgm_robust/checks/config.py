"""Options of the checks, each a class named after its check; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class NoOptions(BaseModel):
    """Nothing to set."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckConfig(NoOptions):
    """Options of every check that runs on images."""

    images: int | None = Field(None, ge=1, description="first images it uses; all if null")


class ActiveTestConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 32}}

    images: int | None = Field(128, ge=1, description="first images it uses; all if null")
    found: float = Field(0.9, gt=0, le=1, description="share of planted examples the attack must find")
    least: int = Field(10, ge=1, description="planted examples below which no share is judged")
    share: float = Field(
        0.9, gt=0, lt=1, description="how far logits must move, of what a plain ascent is known to move them"
    )
    steps: int = Field(20, ge=2, description="of that ascent")


class AdaptiveLatentsConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 10, "restarts": 1, "classes": 1, "samples": 64, "images": 16}
    }

    iterations: int = Field(50, ge=1, description="of each latent attack")
    restarts: int = Field(2, ge=1, description="of latent-drift")
    classes: int = Field(3, ge=1, description="nearest rival classes latent-target tries")
    samples: int = Field(256, ge=1, description="of the generator, among which latent-target finds its goals")
    margin: float = Field(0.02, ge=0, description="tolerated lead of a latent attack, share of images")


class ArtefactsConfig(NoOptions): ...


class BaselinesConfig(CheckConfig):
    margin: float = Field(0.02, ge=0, description="lead over noise and blur that is none")


class BlackboxSquareConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"images": 16, "queries": 50},
        "standard": {"images": 64, "queries": 1000},
    }

    queries: int = Field(5000, ge=1, description="proposals of Square")
    margin: float = Field(0.002, ge=0, description="tolerated lead of the black box, share of images")


class BudgetConfig(NoOptions): ...


class ComplianceConfig(CheckConfig):
    tolerance: float = Field(1e-6, ge=0, description="over the radius and the box, beside 1e-5 of the radius")
    margin: float = Field(0.05, ge=0, description="tolerated rise of robust accuracy after rounding to 8 bits")


class ControlNullConfig(CheckConfig):
    margin: float = Field(0.02, ge=0, description="tolerated difference of accuracies that must agree")


class EotConvergedConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 16}}

    cosine: float = Field(0.3, ge=-1, le=1, description="least mean cosine of two independent gradients")
    doublings: int = Field(1, ge=0, description="how often the attack is repeated with twice the draws")
    margin: float = Field(0.01, ge=0, description="fall of robust accuracy in the last doubling that is no change")


class EotRuleConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 16}}

    draws: int = Field(8, ge=2, description="draws on which the objective is compared with the rule")
    margin: float = Field(0.02, ge=0, description="tolerated lead of the other objective, share of images")


class FailureIndicatorsConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 24}}

    steps: int = Field(10, ge=1, description="plain steps from where the attack stopped")
    margin: float = Field(0.05, ge=0, description="tolerated share of images that they break in addition")
    unavailable: float = Field(0.01, ge=0, le=1, description="tolerated share of images without a gradient")
    unstable: float = Field(0.1, ge=0, le=1, description="tolerated share of images on which draws disagree evenly")


class GradientKindsConfig(CheckConfig):
    margin: float = Field(0.02, ge=0, description="tolerated lead of a cruder gradient, share of images")


class GradientPathConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 8}, "standard": {"images": 16}}

    images: int | None = Field(32, ge=1, description="first images it uses; all if null")
    directions: int = Field(8, ge=1, description="random directions of the finite differences")
    alive: float = Field(0.99, gt=0, le=1, description="share of images with a finite gradient that is not zero")
    error: float = Field(1e-2, gt=0, description="largest relative error of a slope, in double precision")
    agreeing: float = Field(0.95, gt=0, le=1, description="share of slopes that must keep the error; kinks do not")
    step: float = Field(1e-2, gt=0, description="L2 length of the steps in single precision, units of [0, 1] pixels")
    single_error: float = Field(0.3, gt=0, description="largest relative error over the directions of an image there")
    usable: float = Field(0.85, gt=0, le=1, description="share of images that must keep it")


class LeakContextConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 8}, "standard": {"images": 16}}

    images: int | None = Field(32, ge=1, description="first images it uses; all if null")
    draws: int = Field(10, ge=8, description="draws of each image, where noise does not follow the image")
    tolerance: float = Field(1e-2, gt=0, description="tolerated change of logits, of their range")
    rare: float = Field(2e-4, gt=0, lt=1, description="p of a change that no chance explains")


class LeakHistoryConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 8}, "standard": {"images": 16}}

    images: int | None = Field(32, ge=1, description="first images it uses; all if null")
    calls: int = Field(30, ge=1, description="queries near the images between two answers of a new copy")
    tolerance: float = Field(1e-2, gt=0, description="tolerated change of logits, of their range")
    turned: float = Field(0.9, gt=0, le=1, description="least cosine of two gradients of the same image")


class LeakImagesConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"attacked": 16, "factors": (1.0,)},
        "standard": {"attacked": 64},
    }

    margin: float = Field(0.05, ge=0, description="tolerated change of accuracy under a change of images nobody sees")
    gap: float = Field(0.1, ge=0, description="tolerated lead over images that are not in the evaluation")
    attacked: int | None = Field(128, ge=1, description="first images whose robustness is compared with others'")
    factors: tuple[float, ...] = Field((0.5, 1.0), description="times the audited radius, at which that is done")
    moved: float = Field(0.25, ge=0, description="tolerated fall of robustness for images moved by a pixel or two")


class LeakSamplesConfig(CheckConfig):
    margin: float = Field(0.02, ge=0, description="tolerated change of accuracy under other sample ids")


class LossSaneConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 16, "iterations": 20}}

    saturated: float = Field(
        0.05, ge=0, le=1, description="tolerated share of images with a cross-entropy of exactly 0"
    )
    margin: float = Field(0.02, ge=0, description="tolerated lead of another loss, share of images")
    iterations: int = Field(100, ge=1, description="of the attacks on the other losses")


class RandomnessProtocolConfig(CheckConfig):
    margin: float = Field(0.1, ge=0, description="how much lower accuracy under known noise may be")


class ResubmissionConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"attempts": (1, 3, 10), "images": 16}}

    attempts: tuple[int, ...] = Field((1, 10, 100), min_length=1, description="how often an image may be submitted")
    margin: float = Field(0.1, ge=0, description="extra fall against the clean curve that needs a caveat")


class SanityEpsConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"factors": (0.5, 1.0, 2.0), "images": 16}}

    factors: tuple[float, ...] = Field((0.25, 0.5, 1.0, 2.0), min_length=2, description="times the audited radius")
    margin: float = Field(0.02, ge=0, description="a rise of robust accuracy up to this is none")


class SanityIterationsConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"factors": (0.25, 0.5, 1.0)},
        "standard": {"factors": (0.25, 0.5, 1.0, 2.0)},
    }

    factors: tuple[float, ...] = Field((0.1, 0.5, 1.0, 2.0), min_length=2, description="times the audited iterations")
    margin: float = Field(0.02, ge=0, description="a rise of robust accuracy up to this is none")
    settled: float = Field(0.01, ge=0, description="a fall in the last step up to this is none")


class SanityRestartsConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 16}}

    more: int = Field(1, ge=1, description="restarts beyond the audited ones")
    margin: float = Field(0.02, ge=0, description="a rise of robust accuracy up to this is none")
    settled: float = Field(0.01, ge=0, description="a fall in the last step up to this is none")


class SanityUnboundedConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"images": 16, "iterations": (20, 100)},
        "standard": {"images": 32},
    }

    images: int | None = Field(64, ge=1, description="first images it uses; all if null")
    iterations: tuple[int, ...] = Field(
        (100,), min_length=1, description="iterations, the next number only where the last was not enough"
    )


class StatisticsConfig(CheckConfig):
    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"seeds": 1}, "standard": {"seeds": 1}}

    least: int = Field(512, ge=1, description="images below which intervals are too wide")
    seeds: int = Field(3, ge=1, description="seeds of noise and attack, the audited one first")
    least_seeds: int = Field(3, ge=1, description="seeds below which their spread is unknown")


class TransferSurrogateConfig(CheckConfig):
    images: int | None = Field(None, ge=1, description="first images it uses; all if null")
    margin: float = Field(0.002, ge=0, description="tolerated lead of the transfer, share of images")


class TransferUndefendedConfig(CheckConfig):
    margin: float = Field(0.002, ge=0, description="tolerated lead of the transfer, share of images")


class WorstCaseConfig(CheckConfig):
    margin: float = Field(0.02, ge=0, description="how far below the attack under audit the worst case may be")
    refuted: float = Field(0.1, ge=0, description="how far below it the worst case refutes the number")
