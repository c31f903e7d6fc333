"""The adversarial set on which alphas are judged: made against pure reconstruction, kept only where it fools it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mlvgm.errors import ConfigError, InputError
from mlvgm.files import write_bytes
from mlvgm.foreign.given import check_images
from mlvgm.full_data import NEVER_ON_TEST, check_full
from mlvgm.noise import Keys
from mlvgm.protocols.attack import Attack, AttackContext
from mlvgm.protocols.data import Dataset, Split
from mlvgm.reading import read
from mlvgm.tensors_file import as_bytes
from mlvgm_robust.alphas.method import AdversarialSet
from mlvgm_robust.evaluation.admissible import check_candidates
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class Built:
    """An adversarial set and how it came about.

    Args:
        adversarial: the images.
        tried: images attacked for it.
        right: how many of those the defence classified rightly before.
    """

    adversarial: AdversarialSet
    tried: int
    right: int


def shuffled(size: int, *, seed: int) -> list[int]:
    """Sample ids 0 … size − 1 in random order."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed)).tolist()


def build_adversarial_set(
    defence: Defence,
    attack: Attack,
    data: Dataset,
    *,
    split: Split,
    samples: Sequence[int],
    count: int,
    seed: int = 0,
    eot: int = 32,
    memory: int = 512,
    device: str = "cpu",
    progress: Callable[[int, int, str], None] = lambda done, total, message: None,
) -> Built:
    """Attack images until ``count`` are rightly classified before and wrongly after (arXiv 2412.03453, official code).

    Published: single-step L2 attack with ``eot`` 32 against the defence with all α = 0, on shuffled training images.
    Decisions here are those of the defence's votes on fresh draws.

    Args:
        defence: the defended model with all α = 0.
        attack: one that follows its gradient; the published one is FGSM in L2 along the gradient's sign.
        data: where images come from.
        split: which of its splits; never the test split, for something is learned from these images.
        samples: sample ids in the order they are tried.
        count: how many to find.
        seed: of all noise.
        eot: draws in each gradient; a deterministic defence takes one.
        memory: most images × draws in one differentiated pass.
        device: torch device.
        progress: called with (found, count, message).

    Raises:
        InputError: the data set is only a bundled sample of test images, or too few adversarial images were found.
    """
    check_full(data, why=NEVER_ON_TEST)
    if split == "test":
        raise ConfigError("alphas are never chosen on the test split", hint="take train or validation")
    parts: list[AdversarialSet] = []
    tried = right = found = 0
    for start in range(0, len(samples), 64):
        if found >= count:
            break
        progress(found, count, f"{tried} images attacked")
        ids = list(samples[start : start + 64])
        images, labels = read(data, split, ids)
        if bool((labels < 0).any()):
            raise InputError(f"images of split '{split}' of data '{data.info.name}' have no labels")
        part, before = _fooled(
            defence, attack, images.to(device), labels.to(device), ids, seed=seed, eot=eot, memory=memory
        )
        tried, right, found = tried + len(ids), right + before, found + len(part)
        parts.append(part)
    if found < count:
        raise InputError(
            f"{found} adversarial images among {tried} of split '{split}', {count} were asked for",
            hint="ask for fewer with -n, or raise attack.eps",
        )
    whole = AdversarialSet(
        torch.cat([part.images for part in parts]),
        torch.cat([part.clean for part in parts]),
        torch.cat([part.labels for part in parts]),
        tuple(sample for part in parts for sample in part.samples),
    )
    return Built(whole[:count], tried, right)


def _fooled(
    defence: Defence,
    attack: Attack,
    images: Tensor,
    labels: Tensor,
    ids: list[int],
    *,
    seed: int,
    eot: int,
    memory: int,
) -> tuple[AdversarialSet, int]:
    """Those of a batch that are right before and wrong after, and how many are right before."""
    target = Target(defence, samples=ids, seed=seed, purpose="set", eot=eot, memory=memory)
    context = AttackContext(Keys.of(seed=seed, purpose="set/attacker", samples=ids), eot=target.eot)
    candidates = attack(target, images, labels, context=context)
    adversarial, _ = check_candidates(candidates, images, attack.info)
    before = right_decisions(defence, images, labels, ids, seed=seed, purpose="set/before", memory=memory)
    after = right_decisions(defence, adversarial, labels, ids, seed=seed, purpose="set/after", memory=memory)
    return AdversarialSet(adversarial, images, labels, tuple(ids))[before & ~after], int(before.sum())


def right_decisions(
    defence: Defence,
    images: Tensor,
    labels: Tensor,
    samples: Sequence[int],
    *,
    seed: int,
    purpose: str,
    memory: int = 512,
) -> Tensor:
    """Whether one deployed decision about each image is right, (N,) bool."""
    target = Target(defence, samples=samples, seed=seed, purpose=purpose, eot=defence.votes, memory=memory)
    with torch.no_grad():
        right: Tensor = target(images).argmax(1) == labels
    return right


def still_adversarial(defence: Defence, adversarial: AdversarialSet, *, seed: int, memory: int = 512) -> Tensor:
    """Whether ``defence`` (all α = 0) still errs on each image, on draws that did not choose it, (N,) bool."""
    return ~right_decisions(
        defence,
        adversarial.images,
        adversarial.labels,
        adversarial.samples,
        seed=seed,
        purpose="set/verify",
        memory=memory,
    )


def write_adversarial_set(path: Path, adversarial: AdversarialSet) -> None:
    """Store the set as it is: float32 in safetensors. Eight bits would round the perturbation away."""
    tensors = {
        "images": adversarial.images,
        "clean": adversarial.clean,
        "labels": adversarial.labels,
        "samples": torch.tensor(adversarial.samples, dtype=torch.int64),
    }
    write_bytes(path, as_bytes(tensors))


def read_adversarial_set(path: Path, *, device: str = "cpu") -> AdversarialSet:
    """The set in a file that :func:`write_adversarial_set` wrote.

    Raises:
        InputError: it is missing or not such a file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path, device=device)
        images, clean, labels, samples = (tensors[name] for name in ("images", "clean", "labels", "samples"))
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"'{path}' is no adversarial set: {error}") from None
    check_images(images, what=str(path))
    if not len(images) == len(clean) == len(labels) == len(samples):
        raise InputError(f"'{path}' is no adversarial set: its tensors differ in length")
    return AdversarialSet(images, clean, labels, tuple(samples.tolist()))
