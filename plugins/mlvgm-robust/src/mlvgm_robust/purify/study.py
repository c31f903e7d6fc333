"""Components of a command: names and options in, checked objects out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from mlvgm.configuration.build import build_data, build_part, build_placed
from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys
from mlvgm.plugins.load import Resolved, component
from mlvgm.protocols.attack import Attack
from mlvgm.protocols.classifier import Classifier
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.generator import Encodes
from mlvgm.reading import read
from mlvgm_robust.evaluation.admissible import check_attackable, check_radius
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol
from mlvgm_robust.purify.config import PurifyConfig, Row


@dataclass(frozen=True)
class Study:
    """Everything a purification run composes.

    Args:
        data: where images come from.
        attacks: attacks by label.
        defences: defence of each row, in order.
        samples: sample ids.
        protocol: draws and seeds.
        classifiers: by their configuration as JSON.
    """

    data: Dataset
    attacks: Mapping[str, Attack]
    defences: Mapping[str, Defence]
    samples: tuple[int, ...]
    protocol: Protocol
    classifiers: Mapping[str, Classifier] = field(default_factory=dict)


def build_generators(config: PurifyConfig) -> dict[str, Any]:
    """The generators of all rows by their configuration as JSON, each loaded once."""
    named = {row.generator.model_dump_json(): row.generator for row in config.rows if row.generator is not None}
    return {key: build_placed("generators", one, config.device) for key, one in named.items()}


def without_encoder(config: PurifyConfig, generators: Mapping[str, Any]) -> tuple[int, ...]:
    """Numbers of the rows whose purifier needs an encoder and that have none: neither named nor the generator's own."""
    return tuple(
        number
        for number, row in enumerate(config.rows)
        if row.generator is not None
        and row.encoder is None
        and lacks_encoder(component("purifiers", row.purifier.name), generators[row.generator.model_dump_json()])
    )


def lacks_encoder(purifier: Resolved, generator: Any) -> bool:
    """Whether the purifier needs an encoder and the generator has none."""
    return bool(purifier.component.capabilities.get("needs_encoder")) and not isinstance(generator, Encodes)


def build_study(config: PurifyConfig, generators: Mapping[str, Any] | None = None, *, attacking: bool = True) -> Study:
    """Load everything a run needs; all inputs are checked here, before a run directory is made.

    Args:
        config: the resolved configuration.
        generators: what :func:`build_generators` gave, if they are loaded already.
        attacking: build the attacks as well, and refuse those that cannot work on a defence.

    Raises:
        MlvgmError: weights, data, classifier or options are not what they should be.
    """
    data, samples = build_data(config.data, split=config.split, limit=config.limit)
    highest = 0
    for start in range(0, len(samples), 256):  # every image is read once, so that a broken one is found now
        _, labels = read(data, config.split, samples[start : start + 256])
        if bool((labels < 0).any()):
            raise InputError(f"images of split '{config.split}' of data '{config.data.name}' have no labels")
        highest = max(highest, int(labels.max()))
    chosen = {one.model_dump_json(): one for one in (row.classifier or config.classifier for row in config.rows)}
    classifiers = {key: build_placed("classifiers", one, config.device, data=data.info) for key, one in chosen.items()}
    for key, one in chosen.items():
        if classifiers[key].classes <= highest:
            raise ConfigError(
                f"classifier '{one.name}' has {classifiers[key].classes} classes, images of '{data.info.name}' have "
                f"labels up to {highest}",
                hint="choose a classifier of this data",
            )
    loaded = build_generators(config) if generators is None else generators
    encoding: dict[tuple[str, str], Any] = {}

    def generator_of(row: Row) -> Any:
        if row.generator is None:
            return None
        key = (row.generator.model_dump_json(), "" if row.encoder is None else row.encoder.model_dump_json())
        if key not in encoding:
            generator = loaded[key[0]]
            if row.encoder is not None:
                generator = build_part("encoders", row.encoder, generator=generator)
            # An encoder may take another size than the generator makes; the purifier works in the encoder's.
            shape = getattr(generator, "encoder_image", generator.image).shape
            if shape != data.info.image.shape:
                raise ConfigError(
                    f"generator '{row.generator.name}' works on images {shape}, "
                    f"data set '{data.info.name}' has {data.info.image.shape}",
                    hint="choose weights trained on this data",
                )
            encoding[key] = generator
        return encoding[key]

    wanted = config.attacks if attacking else ()
    attacks: dict[str, Attack] = {row.label: build_part("attacks", row.attack) for row in wanted}
    for attack in attacks.values():
        check_radius(attack.info, data.info.image.shape)
    probe = read(data, config.split, samples[:1])[0].to(config.device)
    defences = {}
    for row in config.rows:
        purifier = build_placed("purifiers", row.purifier, config.device, generator=generator_of(row))
        classifier = classifiers[(row.classifier or config.classifier).model_dump_json()]
        defence = Defence(classifier, purifier, votes=config.votes, rule=config.rule, clamp=config.clamp)
        for label, attack in attacks.items():
            if row.label in config.attacked()[label]:
                check_attackable(defence, attack.info, gradient=config.gradient)
        with torch.no_grad():  # what does not fit the images is refused now, not in the first unit
            defence.draw(probe, Keys.of(seed=config.seed, purpose="probe", samples=samples[:1]))
        defences[row.label] = defence
    return Study(data, attacks, defences, samples, protocol_of(config), classifiers)


def protocol_of(config: PurifyConfig) -> Protocol:
    """How attacks are run and scored."""
    return Protocol(
        eot=config.eot,
        selection=config.selection,
        score=config.score,
        seed=config.seed,
        memory=config.memory,
        gradient=config.gradient,
    )
