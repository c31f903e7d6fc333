"""Choosing alphas for a defence: from a configuration to its parts and its run directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from mlvgm import plain_yaml
from mlvgm.configuration.build import build_part
from mlvgm.configuration.config import ResolvedConfig
from mlvgm.configuration.files import file_hashes
from mlvgm.errors import InputError
from mlvgm.full_data import NEVER_ON_TEST, check_full
from mlvgm.plugins.load import build
from mlvgm.runs.rundir import RunDirectory
from mlvgm_robust.alphas.config import AlphasConfig
from mlvgm_robust.alphas.method import AlphaMethod, purifier_of
from mlvgm_robust.purify.resolve import with_default_encoder
from mlvgm_robust.purify.study import Study, build_generators, build_study, without_encoder


def build_alphas(config: AlphasConfig) -> tuple[AlphasConfig, Study, AlphaMethod]:
    """Load everything; all inputs are checked here.

    Raises:
        InputError: the data are only the bundled sample, or something else is not what it should be.
        ConfigError: the purifier has no alphas.
    """
    check_full(build_part("datasets", config.study.data), why=NEVER_ON_TEST)
    method: AlphaMethod = build("alphas", config.method.name, config.method.options)
    generators = build_generators(config.study)
    # Only weights tell whether there is an encoder.
    encoderless = without_encoder(config.study, generators)
    resolved = with_default_encoder(ResolvedConfig(config.study, {}), encoderless)
    config = replace(config, study=resolved.config)
    study = build_study(config.study, generators)
    purifier_of(next(iter(study.defences.values())))
    return config, study, method


def open_run(config: AlphasConfig, path: Path | None, *, environment: Mapping[str, Any]) -> RunDirectory:
    """A new run directory, or the one at ``path`` if it is of the same configuration and the same files.

    Raises:
        InputError: ``path`` holds something else, or files have changed.
    """
    text = "# Go on with: mlvgm run alphas … --out THIS_FOLDER, with the same options\n"
    text += yaml.safe_dump(config.plain(), sort_keys=False, allow_unicode=True)
    hashes = file_hashes(config.study)
    if path is not None and (path / "config.yaml").is_file():
        run = RunDirectory.open(path)
        run.refuse_in_use()
        if plain_yaml.read(run.config, what="configuration") != config.plain():
            raise InputError(f"'{path}' is a run of another configuration", hint="choose another --out")
        if run.read_json("inputs.json") != hashes:
            raise InputError(f"weights have changed since '{path}' began", hint="choose another --out")
        return run
    row = config.study.rows[0]
    label = f"alphas-{config.method.name}-{(row.generator or row.purifier).name}"
    return RunDirectory.create(
        path,
        name=label.replace(":", "-").replace("/", "-"),
        config=text,
        environment=environment,
        documents={"inputs.json": hashes},
    )
