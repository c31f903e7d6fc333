"""Measure a generator: how real its samples are, what each latent controls, what its reconstructions keep.

    python examples/measure_generator.py nvae --out measured
    python examples/measure_generator.py nvae -n 2000 --set generator.weights=clean --set generator.temperature=0.7

Prints Markdown; with --out also writes report.md, metrics.json and samples.png. Everything is judged by a classifier of
the data, so the distances compare generators on one data set and are no Inception scores.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

import mlvgm
from mlvgm.configuration.settings import from_assignments, nest, part, refuse_others
from mlvgm.errors import ConfigError, MlvgmError
from mlvgm.files import check_writable, write_text
from mlvgm.noise import Keys, Noise
from mlvgm.pictures import write_grid
from mlvgm.protocols.generator import Conditional, Encodes
from mlvgm.statistics import Estimate, wilson
from mlvgm_vision.fidelity import frechet_distance, kernel_distance_interval

BATCH = 250
Batches = Iterator[tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Seen:
    """What the classifier makes of a set of images."""

    features: Tensor  # (N, D)
    probabilities: Tensor  # (N, K)
    labels: Tensor | None  # (N,) true classes, where there are any

    @property
    def classes(self) -> Tensor:
        return self.probabilities.argmax(1)

    @property
    def confidence(self) -> float:
        return float(self.probabilities.amax(1).mean())

    @property
    def accuracy(self) -> Estimate | None:
        return None if self.labels is None else share(self.classes == self.labels)


def share(right: Tensor) -> Estimate:
    """Share of true values with its Wilson interval."""
    return wilson(int(right.sum()), len(right))


def blocks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def look(classifier: Any, batches: Batches) -> Seen:
    """Features and probabilities of images, which are clamped to [0, 1] first."""
    features, probabilities, labels = [], [], []
    for images, true in batches:
        seen = images.clamp(0, 1)
        features.append(classifier.features(seen).cpu())
        probabilities.append(classifier(seen).softmax(1).cpu())
        labels += [] if true is None else [true]
    return Seen(torch.cat(features), torch.cat(probabilities), torch.cat(labels) if labels else None)


def real(data: Any, split: str, ids: Sequence[int], device: str) -> Batches:
    for block in blocks(ids):
        images, labels = data.batch(split, block)
        yield images.to(device), labels


def samples(generator: Any, count: int, seed: int, *, classes: int | None) -> Batches:
    """Ordinary samples; of each class in turn where there are ``classes`` to choose from."""
    for block in blocks(range(count)):
        noise = generator.draw_noise(Keys.of(seed=seed, purpose="measure/samples", samples=block))
        labels = None
        if classes is not None:
            labels = torch.tensor(block) % classes
            noise = replace(noise, condition=generator.embed_classes(labels.to(generator.device)))
        yield generator.generate(noise), labels


def reconstructions(generator: Any, data: Any, ids: Sequence[int], seed: int) -> Batches:
    for block in blocks(ids):
        images, labels = data.batch("test", block)
        # No latent is drawn; the noise carries the nuisances, if any are on.
        noise = generator.draw_noise(Keys.of(seed=seed, purpose="measure/nuisance", samples=block))
        encoding = generator.encode(images.to(generator.device))
        yield generator.blend(encoding, noise, [0.0] * len(generator.latents)).images, labels


@dataclass(frozen=True)
class Exchange:
    """What happens to sample A when some of its latents come from sample B."""

    latents: str
    changed: Estimate  # the classifier's class
    squared: float  # mean squared difference of pixels


def exchanges(generator: Any, classifier: Any, pairs: int, seed: int) -> tuple[list[Exchange], list[Exchange]]:
    """Each latent alone, and all up to it: their base noise is that of B, condition and nuisances stay those of A."""
    names = [spec.name for spec in generator.latents]
    alone = [(name, [i]) for i, name in enumerate(names)]
    upto = [(f"0:{i + 1}", range(i + 1)) for i in range(len(names))]
    noise = [
        generator.draw_noise(Keys.of(seed=seed, purpose=f"measure/{which}", samples=range(pairs))) for which in "ab"
    ]
    before, classes = exchanged(generator, classifier, *noise, [])

    def effect(name: str, indices: Iterable[int]) -> Exchange:
        images, other = exchanged(generator, classifier, *noise, list(indices))
        return Exchange(name, share(other != classes), float((images - before).square().mean()))

    return [effect(*row) for row in alone], [effect(*row) for row in upto]


def exchanged(generator: Any, classifier: Any, a: Noise, b: Noise, indices: list[int]) -> tuple[Tensor, Tensor]:
    """Images and their classes."""
    images, classes = [], []
    for rows in blocks(range(len(a))):
        made = generator.generate(a[list(rows)].replaced(indices, b[list(rows)])).clamp(0, 1)
        images.append(made.cpu())
        classes.append(classifier(made).argmax(1).cpu())
    return torch.cat(images), torch.cat(classes)


@dataclass(frozen=True)
class Kept:
    """What reconstructions keep."""

    images: int
    accuracy: Estimate  # of the originals
    reconstructed: Estimate  # of their reconstructions
    label: Estimate  # share of rightly classified images whose reconstruction is, too
    squared: float


def kept(generator: Any, classifier: Any, data: Any, ids: Sequence[int], seed: int) -> Kept:
    originals = look(classifier, real(data, "test", ids, generator.device))
    squared, seen = [], []
    for (made, labels), block in zip(reconstructions(generator, data, ids, seed), blocks(ids), strict=True):
        squared.append((made.clamp(0, 1).cpu() - data.batch("test", block)[0]).square().flatten(1).mean(1))
        seen.append((made, labels))
    found = look(classifier, iter(seen))
    assert originals.labels is not None and originals.accuracy is not None and found.accuracy is not None
    right = originals.classes == originals.labels
    same = found.classes[right] == originals.labels[right]
    return Kept(len(ids), originals.accuracy, found.accuracy, share(same), float(torch.cat(squared).mean()))


def measure(
    generator: Any, classifier: Any, data: Any, *, count: int, pairs: int, encoded: int, seed: int, say: Any
) -> dict[str, Any]:
    """All figures, plain values by name."""
    # A bundled sample has nothing but test images: half of them stand for the data, half for a perfect generator.
    test, sample = range(data.size("test")), data.info.sample
    reference, floor = (test[0::2], ("test", test[1::2])) if sample else (test, ("train", range(data.size("train"))))
    count = min(count, len(reference), len(floor[1]))
    classes = generator.classes if isinstance(generator, Conditional) else None
    if classes is not None and classes != classifier.classes:
        classes = None  # its classes are others than the data's

    say(f"{count} images each: test split, {floor[0]} split, samples")
    truth = look(classifier, real(data, "test", reference[:count], generator.device))
    again = look(classifier, real(data, floor[0], floor[1][:count], generator.device))
    made = look(classifier, samples(generator, count, seed, classes=classes))
    block = max(2, min(500, count // 10))
    found: dict[str, Any] = {"images": count, "block": block, "label_names": list(data.info.label_names), "sets": {}}
    for name, other in (("samples", made), (f"real, {floor[0]} split", again)):
        found["sets"][name] = {
            "fid": frechet_distance(other.features, truth.features),
            "kid": asdict(kernel_distance_interval(other.features, truth.features, block=block)),
            "confidence": other.confidence,
        }
    found["confidence"] = truth.confidence
    found["histogram"] = {
        name: (seen.classes.bincount(minlength=classifier.classes) / count).tolist()
        for name, seen in (("test split", truth), ("samples", made))
    }
    if made.labels is not None:
        found["class_match"] = asdict(share(made.classes == made.labels))
    say(f"{pairs} pairs of samples: exchanging each of {len(generator.latents)} latents, and all up to it")
    found["exchanges"] = [[asdict(row) for row in rows] for rows in exchanges(generator, classifier, pairs, seed)]
    found["pairs"] = pairs
    if isinstance(generator, Encodes):
        ids = test[: min(encoded, len(test))]
        say(f"{len(ids)} reconstructions")
        found["kept"] = asdict(kept(generator, classifier, data, ids, seed))
    return found


def percent(estimate: dict[str, float]) -> str:
    return f"{100 * estimate['value']:.1f} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def report(title: str, found: dict[str, Any]) -> str:
    """The figures as Markdown; brackets are 95 % intervals."""

    def thousandfold(kid: dict[str, float]) -> str:
        return f"{1000 * kid['value']:.2f} [{1000 * kid['low']:.2f}, {1000 * kid['high']:.2f}]"

    lines = [f"# {title}", "", "Brackets are 95 % intervals.", "", "## Fidelity", ""]
    lines += [
        f"Against {found['images']:,} test images, in the penultimate features of the classifier. KID is the mean over "
        f"disjoint blocks of {found['block']}. The real set is what a perfect generator would get.",
        "",
    ]
    lines += table(
        ("set", "images", "FID", "KID × 1000", "mean highest probability"),
        [
            (name, f"{found['images']:,}", f"{s['fid']:.3f}", thousandfold(s["kid"]), f"{s['confidence']:.3f}")
            for name, s in found["sets"].items()
        ]
        + [("test split", f"{found['images']:,}", "–", "–", f"{found['confidence']:.3f}")],
    )
    lines += ["## Classes", "", "Share of each class the classifier sees, %.", ""]
    shares = found["histogram"]
    rows = zip(found["label_names"], shares["test split"], shares["samples"], strict=True)
    lines += table(("class", "test split", "samples"), [(n, f"{100 * a:.1f}", f"{100 * b:.1f}") for n, a, b in rows])
    if "class_match" in found:
        lines += [f"Samples classified as the class they were made of: {percent(found['class_match'])} %.", ""]
    lines += ["## What the latents control", ""]
    lines += [f"{found['pairs']} pairs of samples; latents of A are exchanged for those of B, coarse to fine.", ""]
    lines += table(
        ("latent", "alone: class changes, %", "alone: MSE", "all up to it: class changes, %", "all up to it: MSE"),
        [
            (a["latents"], percent(a["changed"]), f"{a['squared']:.5f}", percent(u["changed"]), f"{u['squared']:.5f}")
            for a, u in zip(*found["exchanges"], strict=True)
        ],
    )
    if "kept" in found:
        k = found["kept"]
        lines += ["## Reconstructions", "", f"The first {k['images']:,} test images, no latent resampled.", ""]
        lines += table(
            ("accuracy of originals, %", "of reconstructions, %", "right labels kept, %", "MSE"),
            [(*(percent(k[name]) for name in ("accuracy", "reconstructed", "label")), f"{k['squared']:.5f}")],
        )
    return "\n".join(lines)


def main(
    generator: Annotated[str, typer.Argument(help="Name of the generator, e.g. nvae.")],
    data: Annotated[str, typer.Option(help="Data set.")] = "fashion-mnist",
    classifier: Annotated[str, typer.Option(help="Classifier of the data.")] = "fashion-cnn",
    encoder: Annotated[str | None, typer.Option(help="Encoder in place of the generator's own.")] = None,
    count: Annotated[int, typer.Option("-n", min=20, help="Samples, at most as many as test images.")] = 10_000,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of samples whose latents are exchanged.")] = 500,
    encoded: Annotated[int, typer.Option(min=1, help="Test images that are reconstructed.")] = 2_000,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="KEY=VALUE, e.g. generator.weights=FILE.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all noise.")] = 0,
    device: Annotated[str, typer.Option(help="Torch device.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Folder for report.md, metrics.json and samples.png.")] = None,
) -> None:
    """Measure a generator with a classifier of its data."""
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", file=sys.stderr, flush=True)

    try:
        chosen = from_assignments(settings or (), source="--set")
        refuse_others(chosen, ("generator", "data", "classifier", "encoder"), what="measuring")

        def load(kind: str, name: str, **parts: Any) -> Any:
            options = nest({key: setting.value for key, setting in part(chosen, kind).items()})
            plural = "datasets" if kind == "data" else f"{kind}s"
            return mlvgm.load(f"{plural}/{name}", **options, **parts)

        if out is not None:
            check_writable(out)
        source = load("data", data)
        judge = load("classifier", classifier, data=source.info).to(device)
        model = load("generator", generator).to(device)
        if encoder is not None:
            model = load("encoder", encoder, generator=model)
        if model.image.shape != source.info.image.shape:
            raise ConfigError(
                f"generator '{generator}' makes images {model.image.shape}, data set '{data}' has "
                f"{source.info.image.shape}",
                hint="choose the data it was trained on",
            )
        with torch.no_grad():
            found = measure(model, judge, source, count=count, pairs=pairs, encoded=encoded, seed=seed, say=say)
            text = report(" ".join([generator, *(f"`{setting}`" for setting in settings or ())]) + f" on {data}", found)
            print(text)
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                write_text(out / "report.md", text)
                write_text(out / "metrics.json", json.dumps(found, indent=1) + "\n")
                images, _ = next(samples(model, 80, seed, classes=None))
                write_grid(out / "samples.png", images.clamp(0, 1).cpu().unflatten(0, (8, 10)))
                say(f"written: {out}/report.md, metrics.json, samples.png")
    except MlvgmError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)
