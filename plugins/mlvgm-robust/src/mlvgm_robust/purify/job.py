"""The job ``purify``: defences under the same attacks on the same images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mlvgm.configuration.build import build_data, build_part
from mlvgm.configuration.config import ResolvedConfig
from mlvgm.configuration.settings import Settings
from mlvgm.plugins.load import component
from mlvgm.protocols.job import Context, Outcome, Record, Result, Section, Source, Unit
from mlvgm_robust.purify.config import COMPONENTS, PurifyConfig
from mlvgm_robust.purify.metrics import in_short, worst_robust
from mlvgm_robust.purify.plan import purify_plan, small_print
from mlvgm_robust.purify.recorded import AUDIT, attacked, contradiction, problem_of
from mlvgm_robust.purify.resolve import resolve

if TYPE_CHECKING:
    from mlvgm_robust.purify.study import Study
    from mlvgm_robust.purify.units import Block


class PurifyJob:
    """Attacks defences in blocks of images; under protocol ``rigorous`` an audit follows."""

    config = PurifyConfig
    groups: Collection[str] = tuple(COMPONENTS)

    def resolve(self, settings: Settings, *, threads: int) -> ResolvedConfig[PurifyConfig]:
        """Recipes, baselines, several attacks and radii; see :mod:`mlvgm_robust.purify.resolve`."""
        return resolve(settings, threads=threads)

    def name(self, config: PurifyConfig) -> str:
        """The generator, or the purifier without one, and the first attack."""
        row, attacks = config.rows[0], config.attacks
        parts = [(row.generator or row.purifier).name, attacks[0].attack.name]
        if len(attacks) > 1:
            parts.append(f"and-{len(attacks) - 1}")
        return "purify-" + "-".join(part.replace(":", "-").replace("/", "-") for part in parts)

    def plan(self, config: PurifyConfig, study: Study | None) -> Mapping[str, str]:
        """Threat model, attacks, defences, gradient path, randomness, effort; looks at the data."""
        if study is not None:
            return purify_plan(
                config,
                data=study.data.info,
                images=len(study.samples),
                loaded=True,
                classifiers=study.classifiers,
            )
        data, samples = build_data(config.data, split=config.split, limit=config.limit)
        for row in config.attacks:  # only making them can tell which options other libraries' attacks take
            if component("attacks", row.attack.name).argument is not None:
                build_part("attacks", row.attack)
        return purify_plan(config, data=data.info, images=len(samples))

    def load(self, resolved: ResolvedConfig[PurifyConfig]) -> tuple[ResolvedConfig[PurifyConfig], Study]:
        """Generators first: only weights tell whether there is an encoder."""
        from mlvgm_robust.purify.resolve import with_default_encoder
        from mlvgm_robust.purify.study import build_generators, build_study, without_encoder

        generators = build_generators(resolved.config)
        resolved = with_default_encoder(resolved, without_encoder(resolved.config, generators))
        return resolved, build_study(resolved.config, generators)

    def documents(self, config: PurifyConfig, study: Study) -> Mapping[str, Mapping[str, Any]]:
        """Names of the classes."""
        info = study.data.info
        about = {"name": info.name, "classes": list(info.label_names), "source": info.source, "licence": info.licence}
        return {"data.json": about}

    def wave(self, config: PurifyConfig, study: Study, done: Mapping[str, Record]) -> Sequence[Unit]:
        """All blocks; when they are done, the audit."""
        from mlvgm_robust.purify.inputs import unit_configurations

        depends = unit_configurations(config)
        units = [
            Unit(
                block.name,
                title=f"{block.label}, {block.attack}",
                like=f"{block.attack}/{block.label}",
                size=len(block.samples),
                configuration=depends[block.label, block.attack],
                work=block,
            )
            for block in _blocks(config, study)
        ]
        if config.protocol == "rigorous" and all(unit.name in done for unit in units):
            return [Unit(AUDIT, title="audit")]
        return units

    def run(self, unit: Unit, config: PurifyConfig, study: Study, context: Context) -> Outcome:
        """Attack a block, or audit."""
        from mlvgm_robust.evaluation.target import Counts
        from mlvgm_robust.purify.shards import shard_metadata
        from mlvgm_robust.purify.units import attack_block

        if unit.name == AUDIT:
            return _audit(config, context)
        block: Block = unit.work
        counts = Counts()
        context.watch(lambda: counts.forwards + counts.backwards)
        record, tensors = attack_block(
            block,
            defence=study.defences[block.label],
            attack=study.attacks[block.attack],
            data=study.data,
            split=config.split,
            protocol=study.protocol,
            device=config.device,
            progress=context.say,
            counts=counts,
        )
        return Outcome(record, tensors, shard_metadata(record, seed=config.seed, split=config.split))

    def problem(self, record: Record) -> str:
        """Fields that are missing or of another kind."""
        return "" if record["unit"] == AUDIT else problem_of(record)

    def contradiction(self, config: PurifyConfig, done: Mapping[str, Record]) -> str:
        """Units of two runs, or of another configuration."""
        from mlvgm_robust.purify.outcomes import by_attack
        from mlvgm_robust.purify.results import stranger

        records = attacked(done).values()
        return contradiction(records) or stranger(config, by_attack(records))

    def misfit(self, config: PurifyConfig, study: Study, done: Mapping[str, Record]) -> str:
        """Units of other images, or under another configuration."""
        from mlvgm_robust.purify.inputs import unit_configurations

        now, known = {block.name: block for block in _blocks(config, study)}, unit_configurations(config)
        for name, record in attacked(done).items():
            depends = known.get((record["defence"], record["attack"]))
            if depends is None or record.get("configuration", depends) != depends:
                return f"the configuration of '{record['defence']}' under '{record['attack']}'"
            if name not in now or list(now[name].samples) != record["samples"]:
                return f"which images are those of unit '{name}' (a run grows by whole units of `block` images only)"
        return ""

    def news(self, config: PurifyConfig, study: Study, done: Mapping[str, Record], unit: Unit) -> str:
        """Accuracies of a defence under an attack whose last block is done, not the audit."""
        from mlvgm_robust.purify.units import summarise

        if unit.name == AUDIT:
            return ""  # said at the end
        key = unit.work.label, unit.work.attack
        if any((one.label, one.attack) == key and one.name not in done for one in _blocks(config, study)):
            return ""
        row = summarise([one for one in attacked(done).values() if (one["defence"], one["attack"]) == key])
        name = f"{row.label}, {row.attack}" if len(config.attacks) > 1 else row.label
        return f"{name}: clean {row.clean.percent()}, robust {row.robust.percent()}"

    def result(self, config: PurifyConfig, done: Mapping[str, Record]) -> Result:
        """Accuracies of each defence under each attack, and their comparison."""
        from mlvgm_robust.purify.printed import printed
        from mlvgm_robust.purify.results import results

        blocks = attacked(done)
        values = results(config, blocks)
        notes = [(row["label"], row["note"]) for row in values["rows"] if row["note"]]
        sentence = str(done[AUDIT]["sentence"]) if AUDIT in done else ""
        if AUDIT in done:
            values |= {"audit": {key: done[AUDIT][key] for key in ("sentence", "believable", "objections")}}
        images = len({sample for record in blocks.values() for sample in record["samples"]})
        return Result(
            values,
            printed(values),
            notes=tuple(f"{label}: {note}" for label, note in dict.fromkeys(notes)),
            small_print="\n".join(filter(None, (small_print(config, images), sentence))),
        )

    def headline(self, values: Mapping[str, Any]) -> str:
        """Accuracies of the first row."""
        short = in_short(values)
        return "" if short is None else f"clean {100 * short[0]:.1f} %, robust {100 * short[1]:.1f} %"

    def verdict(self, config: PurifyConfig, result: Result) -> str:
        """The first row's worst case below ``fail_under``, or an audit that believes nothing."""
        audit = result.values.get("audit")
        if audit is not None and audit["believable"] is False:
            return f"not believable: {', '.join(audit['objections']) or 'no check passed'}"
        first = config.rows[0].label
        if config.fail_under is None or (robust := worst_robust(result.values, first)) >= config.fail_under:
            return ""
        return f"robust accuracy {robust:.3f} of '{first}' is below {config.fail_under}"

    def sections(self, sources: Sequence[Source]) -> Sequence[Section]:
        """Runs on the same images merged, others apart."""
        from mlvgm_robust.purify.report import report

        return report(sources)


def _blocks(config: PurifyConfig, study: Study) -> list[Block]:
    from mlvgm_robust.purify.units import blocks

    labels = config.attacked()
    return [
        block
        for attack in config.attacks
        for block in blocks({attack.label: labels[attack.label]}, study.samples[: attack.limit], block=config.block)
    ]


def _audit(config: PurifyConfig, context: Context) -> Outcome:
    """The card is in the run's folder ``audit``."""
    from mlvgm_robust.audit.evaluation import evaluation_of
    from mlvgm_robust.audit.examine import examine

    verdict = examine(evaluation_of(config), {}, out=context.folder / AUDIT, progress=partial(_step, context))
    objections = [finding.check for finding in verdict.objections]
    return Outcome({"sentence": verdict.sentence, "believable": verdict.believable, "objections": objections})


def _step(context: Context, done: float, total: int, message: str) -> None:
    context.say(f"{int(done)} of {total}, {message}")
