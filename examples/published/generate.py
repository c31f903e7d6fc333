"""Write the 45 configurations of arXiv 2412.03453, one YAML file each, beside this script (or into a folder given).

    python examples/published/generate.py [FOLDER]

They need the authors' images and checkpoints: replace /add/your/path, then

    mlvgm run purify --config examples/published/ours_cosine_noise_ids.yaml --dry-run
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

PATH = "/add/your/path"


@dataclass(frozen=True)
class Task:
    """What the configurations of one task have in common."""

    name: str
    data: str  # folder with the split "test"
    side: int
    architecture: str  # of the classifier
    generator: str  # options, checkpoint included
    attenuation: float
    noise: float  # L2 norm
    blur_kernel: int  # 2^(⌊⌊√side⌋ / 2⌋) − 1, as the published code has it; sigma is 1 everywhere
    nd_vae_std: float
    pool: int  # of A-VAE
    alphas: dict[str, tuple[float, ...]]


TASKS = (
    Task(
        name="gender",
        data="celeba_hq_gender",
        side=256,
        architecture="resnet50",
        generator=f"{{name: stylegan2, weights: {PATH}/e4e_ffhq_encode.pt}}",
        attenuation=1.0,
        noise=4.0,
        blur_kernel=255,
        nd_vae_std=0.1,
        pool=8,
        alphas={
            "linear": (
                0.05, 0.11, 0.16, 0.22, 0.27, 0.33, 0.38, 0.44, 0.50,
                0.55, 0.61, 0.66, 0.72, 0.77, 0.83, 0.88, 0.94, 1.0,
            ),
            "cosine": (
                0.008, 0.030, 0.067, 0.117, 0.179, 0.250, 0.329, 0.413, 0.500,
                0.587, 0.671, 0.750, 0.821, 0.883, 0.933, 0.970, 0.992, 1.0,
            ),
            "learned": (
                0.492, 0.728, 0.058, 0.331, 0.246, 0.059, 0.068, 0.526, 0.646,
                0.816, 0.548, 0.692, 0.309, 0.610, 0.729, 0.348, 0.728, 0.697,
            ),
        },
    ),
    Task(
        name="ids",
        data="celeba_ids",
        side=64,
        architecture="vgg11-bn",
        generator=f"{{name: nvae, weights: {PATH}/nvae_celeba64_3x8.pt, temperature: 0.6}}",
        attenuation=0.7,
        noise=2.0,
        blur_kernel=15,
        nd_vae_std=0.05,
        pool=2,
        alphas={
            "linear": (
                0.04, 0.08, 0.12, 0.17, 0.21, 0.25, 0.29, 0.33, 0.38, 0.42, 0.46, 0.5,
                0.54, 0.58, 0.62, 0.67, 0.71, 0.75, 0.79, 0.83, 0.88, 0.92, 0.96, 1.0,
            ),
            "cosine": (
                0.0, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.31, 0.37, 0.43, 0.5,
                0.57, 0.63, 0.69, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 1.0, 1.0,
            ),
            "learned": (
                0.0, 0.0, 0.001, 0.136, 0.131, 0.206, 0.179, 0.305, 0.347, 0.349, 0.465, 0.528,
                0.551, 0.606, 0.681, 0.676, 0.834, 0.8, 0.938, 0.911, 1.0, 1.0, 1.0, 1.0,
            ),
        },
    ),
    Task(
        name="cars",
        data="stanford_cars_types",
        side=128,
        architecture="resnext50",
        generator=f"{{name: stylegan2, weights: {PATH}/style_transformer_cars.pt}}",
        attenuation=0.7,
        noise=4.0,
        blur_kernel=31,
        nd_vae_std=0.1,
        pool=4,
        alphas={
            "linear": (
                0.062, 0.125, 0.188, 0.25, 0.312, 0.375, 0.438, 0.5,
                0.562, 0.625, 0.688, 0.75, 0.812, 0.875, 0.938, 1.0,
            ),
            "cosine": (
                0.010, 0.038, 0.084, 0.146, 0.222, 0.309, 0.402, 0.500,
                0.598, 0.691, 0.778, 0.854, 0.916, 0.962, 0.990, 1.0,
            ),
            "learned": (1.0, 0.0, 0.0, 0.737, 0.0, 0.0, 0.834, 1.0, 0.261, 0.0, 0.205, 1.0, 0.908, 0.0, 0.268, 1.0),
        },
    ),
)  # fmt: skip
PREPROCESSING = ("no_preprocessing", "noise", "blur")

# Probably a slip of the authors: every other noise variant of the task adds 4.
NOISE_SLIPS = {"ours_linear_noise_cars": 2.0}

OTHER_NETWORK = (
    "The authors' checkpoint is of another, larger network and is refused when the run starts; give weights that",
    "`mlvgm train purifier {name}` made on these images.",
)
LETTER_BOX = (
    "Images have to be letter-boxed as the generator's are: 16 black rows at the top and at the bottom of 128.",
    "Its noise of 2.0 is the published value, though the other noise variants of this task have 4.0: probably a slip.",
)


def configurations() -> dict[str, str]:
    """Text of every configuration, by file name."""
    found = {}
    for task in TASKS:
        for name, (label, row, notes) in _rows(task).items():
            found[f"{name}_{task.name}.yaml"] = _text(task, label, row, notes)
    return found


def _rows(task: Task) -> dict[str, tuple[str, list[str], tuple[str, ...]]]:
    """Label, YAML lines and notes of each defence of a task."""
    rows: dict[str, tuple[str, list[str], tuple[str, ...]]] = {
        "no_defense": ("no defence", ["purifier: none"], ()),
        "ablation_noise": ("noise only", [f"purifier: {{name: noise, norm: {task.noise}}}"], ()),
        "ablation_blur": ("blur only", [f"purifier: {{name: blur, sigma: 1.0, kernel: {task.blur_kernel}}}"], ()),
        "competitor_avae": (
            "A-VAE",
            [f"purifier: {{name: a-vae, weights: {PATH}/avae_{task.name}.safetensors, temperature: 0.6}}"],
            (*_other("a-vae"), f"Published: images are pooled by {task.pool} before they are encoded."),
        ),
        "competitor_ndvae": (
            "ND-VAE",
            [f"purifier: {{name: nd-vae, weights: {PATH}/ndvae_{task.name}.safetensors, std: {task.nd_vae_std}}}"],
            _other("nd-vae"),
        ),
        "competitor_trades": (
            "TRADES",
            [
                "purifier: none",
                f"classifier: {{name: published-classifier, architecture: {task.architecture}, "
                f"weights: {PATH}/trades_{task.name}.pt}}",
            ],
            (),
        ),
    }
    for schedule, alphas in task.alphas.items():
        for step in PREPROCESSING:
            name = f"ours_{schedule}_{step}"
            slip = NOISE_SLIPS.get(f"{name}_{task.name}")
            noise = (task.noise if slip is None else slip) if step == "noise" else 0.0
            blur = f"blur: 1.0, blur_kernel: {task.blur_kernel}" if step == "blur" else "blur: 0.0"
            numbers = ", ".join(f"{alpha:g}" for alpha in alphas)
            purifier = [
                "purifier:",
                f"  {{name: mlvgm, attenuation: {task.attenuation}, noise: {noise}, {blur},",
                f"   alphas: [{numbers}]}}",
            ]
            label = f"ours, {schedule}, {step.replace('_', ' ')}"
            notes = LETTER_BOX[: 1 if slip is None else 2] if task.name == "cars" else ()
            rows[name] = (label, [f"generator: {task.generator}", *purifier], notes)
    return rows


def _other(name: str) -> tuple[str, ...]:
    return tuple(line.format(name=name) for line in OTHER_NETWORK)


def _text(task: Task, label: str, row: list[str], notes: tuple[str, ...]) -> str:
    attacks = {
        "DeepFool": "published-deepfool",
        "C&W": "published-carlini-wagner",
        "AutoAttack as published": "published-autoattack",
    }
    lines = [
        f"# {label}, task {task.name} (arXiv 2412.03453). Written by generate.py.",
        *(f"# {note}" for note in notes),
        "protocol: published",
        "seed: 42",
        "split: test",
        "limit: null",
        f"data: {{name: image-folder, path: {PATH}/{task.data}, height: {task.side}, width: {task.side}}}",
        f"classifier: {{name: published-classifier, architecture: {task.architecture}, "
        f"weights: {PATH}/classifier_{task.name}.pt}}",
        "attacks:",
    ]
    for attack, name in attacks.items():
        lines += [f"  - label: {attack}", f"    attack: {{name: {name}, task: {task.name}, switches: published}}"]
    lines += ["rows:", f"  - label: {label}", *(f"    {line}" for line in row)]
    return "\n".join(lines) + "\n"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, text in configurations().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
