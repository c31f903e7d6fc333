"""What ``mlvgm audit`` composes: the checks, and the evaluation they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from mlvgm.configuration.build import build_data, build_part
from mlvgm.configuration.config import ResolvedConfig
from mlvgm.configuration.settings import Setting, Settings, nest
from mlvgm.errors import ConfigError, InputError, MlvgmError, unknown
from mlvgm.plugins.imports import SHOW_CAUSE
from mlvgm.plugins.index import Index
from mlvgm.plugins.load import build, component, preset
from mlvgm.protocols.classifier import Classifier
from mlvgm.protocols.data import Dataset, Split
from mlvgm.reading import read, size_of
from mlvgm_robust.audit.attempts import AuditContext
from mlvgm_robust.audit.check import Check
from mlvgm_robust.audit.configured import configured_attack
from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.imported import imported_defence, untouched
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.audit.verdict import UNUSABLE
from mlvgm_robust.evaluation.admissible import check_attackable
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purify.config import DEFAULT_NAMES, PurifyConfig
from mlvgm_robust.purify.resolve import resolve, with_default_encoder
from mlvgm_robust.purify.study import build_generators, build_study, protocol_of, without_encoder

IMAGES = {"demo": 32, "standard": 256, "rigorous": 512}
_CHECK = "check."
_LAST = 1000


@dataclass(frozen=True)
class UnusableCheck:
    """Stands for an installed check that cannot be made: an audit goes on without it, and says so."""

    info: CheckInfo
    error: MlvgmError

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        return self.info.finding("not run", str(self.error).removesuffix(f" ({SHOW_CAUSE})"), **{UNUSABLE: True})


def build_checks(
    settings: Settings, *, budget: str, only: Sequence[str] = (), skip: Sequence[str] = ()
) -> tuple[list[Check], list[str]]:
    """The installed checks in the order of the requirements they cover, and the names of those left out.

    Args:
        settings: those of checks are ``check.ID.OPTION``; the others are ignored.
        budget: preset of their options, under explicit ones.
        only: ids, or first parts of ids (``sanity``); all if empty.
        skip: likewise, left out.

    Raises:
        ConfigError: a check or one of its options is unknown.
        PluginError: one that is named in ``only`` or has settings cannot be made; of others, the audit says so.
    """
    names = Index.installed().names("checks")
    explicit: dict[str, dict[str, object]] = {}
    for key, setting in settings.items():
        if not key.startswith(_CHECK):
            continue
        name = next((name for name in names if key.startswith(f"{_CHECK}{name}.")), None)
        if name is None:
            raise unknown("option", key, [f"{_CHECK}{name}.…" for name in names])
        explicit.setdefault(name, {})[key.removeprefix(f"{_CHECK}{name}.")] = setting.value
    wanted, unwanted = _matching(names, only) if only else set(names), _matching(names, skip)
    ordered = []
    for name in names:
        if name in wanted - unwanted:
            try:
                resolved = component("checks", name)
                check: Check = build("checks", name, {**preset(resolved, budget), **nest(explicit.get(name, {}))})
                place = int(resolved.component.capabilities.get("requirement", _LAST))
            except MlvgmError as error:
                if name in only or name in explicit:  # the user wants this one
                    raise
                check, place = UnusableCheck(CheckInfo(name), error), _LAST
            ordered.append((place, name, check))
    if not ordered:
        raise ConfigError("no check is left to run", hint="drop some of --only and --skip")
    unusable = [check for _, _, check in ordered if isinstance(check, UnusableCheck)]
    if len(unusable) == len(ordered):
        raise unusable[0].error
    left_out = sorted(set(names) - {name for _, name, _ in ordered})
    return [check for _, _, check in sorted(ordered, key=lambda each: each[:2])], left_out


def _matching(names: Iterable[str], given: Iterable[str]) -> set[str]:
    found = set[str]()
    for text in given:
        matches = {name for name in names if name == text or name.startswith(f"{text}.")}
        if not matches:
            raise unknown("check", text, names)
        found |= matches
    return found


def audit_config(settings: Settings, *, target: str | None, threads: int) -> ResolvedConfig[PurifyConfig]:
    """The configuration of the evaluation under audit: one defence, one attack.

    Args:
        settings: as for ``mlvgm run purify``; those of checks are ignored.
        target: ``module:attribute`` of a whole defence, if one is imported.
        threads: CPU threads.

    Raises:
        ConfigError: an option is unknown, or the settings name several attacks.
    """
    own = {key: value for key, value in settings.items() if not key.startswith(_CHECK)}
    budget = str(own["budget"].value) if "budget" in own else "demo"
    defaults: dict[str, Setting] = {
        "attack.name": Setting("apgd-ce", "audit"),
        "compare": Setting(False, "audit"),
        "limit": Setting(IMAGES.get(budget), "audit"),
    }
    if target is not None:
        idle = [key for key in own if key.split(".")[0] in ("generator", "encoder", "purifier")]
        if idle:
            raise ConfigError(f"'{idle[0]}' has no effect on {target}, which is a whole defence", hint="leave it out")
        defaults["purifier.name"] = Setting("none", "audit")
    resolved = resolve({**defaults, **own}, threads=threads)
    if len(resolved.config.attacks) > 1 or len(resolved.config.rows) > 1:
        raise ConfigError("an audit is of one attack on one defence", hint="run it once for each")
    return resolved


def evaluation_of(config: PurifyConfig) -> ResolvedConfig[PurifyConfig]:
    """The evaluation in a run that an audit of it is about: its first attacked defence under the first attack."""
    attacked = config.attacked()
    row, attack = next((r, a) for r in config.rows for a in config.attacks if r.label in attacked[a.label])
    most = IMAGES[config.budget]
    one = {
        "rows": (row,),
        "attacks": (attack.model_copy(update={"rows": None, "limit": None}),),
        "limit": most if config.limit is None else min(config.limit, most),
    }
    return ResolvedConfig(config.model_copy(update=one), {})


def build_subject(
    resolved: ResolvedConfig[PurifyConfig], *, target: str | None, classifier: bool
) -> tuple[Subject, ResolvedConfig[PurifyConfig]]:
    """Load everything the evaluation under audit needs, and check all inputs.

    Args:
        resolved: what :func:`audit_config` gave.
        target: ``module:attribute`` of a whole defence, or None for the configured one.
        classifier: with ``target``: the configured classifier is the one inside it.

    Returns:
        the subject, and the configuration with the encoder that its generator turned out to need.

    Raises:
        MlvgmError: something is not what it should be.
    """
    config = resolved.config
    pristine: Callable[[Defence], Defence] | None
    if target is None:
        generators = build_generators(config)
        resolved = with_default_encoder(resolved, without_encoder(config, generators))
        study = build_study(resolved.config, generators)
        data, samples, protocol = study.data, study.samples, study.protocol
        (attack,), (defence,) = study.attacks.values(), study.defences.values()
        if config.rows[0].purifier.name == "none":
            defence = replace(defence, purifier=None)
        inside: Classifier | None = defence.classifier
        replayable, pristine = True, partial(_built_again, resolved.config, config.rows[0].purifier.name == "none")
        images, labels = _batch(data, config.split, samples, config.device)
    else:
        data, samples = build_data(config.data, split=config.split, limit=config.limit)
        images, labels = _batch(data, config.split, samples, config.device)
        attack = build_part("attacks", config.attacks[0].attack)
        inside = build_part("classifiers", config.classifier, data=data.info).to(config.device) if classifier else None
        pristine = untouched(target)
        defence, replayable = imported_defence(target, images[:4], votes=config.votes, classifier=inside)
        _check_labels(defence, labels, target)
        check_attackable(defence, attack.info, gradient=config.gradient)
        protocol = protocol_of(config)
        if inside is None and type(defence) is Defence:
            inside = defence.classifier
    named = config.attacks[0].attack
    subject = Subject(
        defence,
        configured_attack(attack, named.name, named.options),
        images,
        labels,
        samples,
        protocol=protocol,
        classifier=inside,
        replayable=replayable,
        reserve=_reserve(data, config, count=len(samples)),
        reference=_reference(data, defence, config.device),
        pristine=None if pristine is None else partial(pristine, defence),
    )
    return subject, resolved


def _batch(data: Dataset, split: Split, samples: Sequence[int], device: str) -> tuple[Tensor, Tensor]:
    if not samples:
        raise ConfigError(f"split '{split}' of data '{data.info.name}' is empty")
    images, labels = read(data, split, samples)
    if bool((labels < 0).any()):
        raise InputError(f"images of split '{split}' of data '{data.info.name}' have no labels")
    return images.to(device), labels.to(device)


def _check_labels(defence: Defence, labels: Tensor, name: str) -> None:
    if int(labels.max()) >= defence.classes:
        raise InputError(
            f"{name} gives {defence.classes} classes, the data have labels up to {int(labels.max())}",
            hint="choose the data it was made for",
        )


def _built_again(config: PurifyConfig, bare: bool, defence: Defence) -> Defence:
    """The configured defence, of parts that nothing was asked of."""
    (again,) = build_study(config, attacking=False).defences.values()
    return replace(again, purifier=None) if bare else again


def _reserve(data: Dataset, config: PurifyConfig, *, count: int) -> tuple[Tensor, Tensor] | None:
    """As many images of the other split, or, where it is not there, the last of this one that are not used; else None.

    The last, because what knows an evaluation by heart may know more images than this one uses.
    """
    other: Split = "validation" if config.split == "test" else "test"
    try:
        images, labels = read(data, other, range(min(count, size_of(data, other))))
    except InputError:  # only a sample of the test split is bundled
        size = size_of(data, config.split)
        images, labels = read(data, config.split, range(max(count, size - count), size))
    if len(images) == 0 or bool((labels < 0).any()):
        return None
    return images.to(config.device), labels.to(config.device)


def _reference(data: Dataset, defence: Defence, device: str) -> Classifier | None:
    """The default classifier of the data, which is undefended; None where it does not fit."""
    try:
        found: Classifier = build("classifiers", DEFAULT_NAMES["classifier"], data=data.info)
    except MlvgmError:  # it is for other images
        return None
    return found.to(device) if found.classes == defence.classes else None


def use_threads(config: PurifyConfig) -> None:
    """Compute with as many threads as the configuration says."""
    torch.set_num_threads(config.threads)
