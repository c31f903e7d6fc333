"""What calling a module shows of it: randomness, whose noise is shared, what moves, what mixes, gradients."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlvgm.errors import InputError
from mlvgm.foreign.nature import Nature, nature_of
from mlvgm.foreign.others import BadAnswer, NoGradient, answer
from mlvgm.foreign.seeded import drawn, seeded
from mlvgm.noise import Keys
from tolerance import close

IMAGES = (
    torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    * torch.tensor([1, 0.8, 0.6, 0.4])[:, None, None, None]
)
WEIGHTS = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))


class Module(nn.Module):
    """Logits that are linear in what ``change`` makes of the images."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change = change
        self.register_buffer("seen", torch.zeros(1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.change(images).flatten(1) @ WEIGHTS


def shared(share: float) -> Callable[[Tensor], Tensor]:
    """Noise, a share of whose variance is drawn once a call."""

    def change(images: Tensor) -> Tensor:
        common, own = torch.randn(1, *images.shape[1:]), torch.randn_like(images)
        return images + 0.2 * (share**0.5 * common + (1 - share) ** 0.5 * own)

    return change


def opposite(images: Tensor) -> Tensor:
    """Of two rows, one gets the other's noise with the other sign."""
    noise = torch.randn_like(images)
    noise[1::2] = -noise[: 2 * (len(images) // 2) : 2]
    return images + 0.2 * noise


def crop(images: Tensor) -> Tensor:
    return F.interpolate(F.interpolate(images, random.randint(4, 7)), 8)


def seldom(images: Tensor) -> Tensor:
    return images.flip(3) if torch.rand(()) < 0.02 else images


OWN = torch.Generator().manual_seed(2)


def own_generator(images: Tensor) -> Tensor:
    return images + 0.2 * torch.randn(images.shape, generator=OWN)


def seeds_itself(images: Tensor) -> Tensor:
    torch.manual_seed(0)
    return images + 0.2 * torch.randn_like(images[:1])


NATURES = {
    "plain": (lambda images: images, Nature(3)),
    "noise for every row": (shared(0), Nature(3, True)),
    "dropout that nobody can switch off": (lambda images: F.dropout(images, 0.3, training=True), Nature(3, True)),
    "NumPy's noise": (lambda images: images + torch.tensor(np.random.randn(*images.shape)).float(), Nature(3, True)),
    "one transform a call": (crop, Nature(3, True, alone=True)),
    "one noise a call": (shared(1), Nature(3, True, alone=True)),
    "half of the noise once a call": (shared(0.5), Nature(3, True, alone=True)),
    "opposite noise": (opposite, Nature(3, True, alone=True)),
    "a rare flip of all": (seldom, Nature(3, True, alone=True)),
    "noise that nobody can seed": (own_generator, Nature(3, True, replayable=False)),
    "the same noise always": (seeds_itself, Nature(3)),
    "detached": (lambda images: images.detach(), Nature(3, differentiable=False)),
    "rounded": (lambda images: (images * 255).round() / 255, Nature(3, differentiable=False)),
    "by NumPy": (lambda images: torch.tensor(images.numpy()), Nature(3, differentiable=False)),
}


@pytest.mark.parametrize("name", NATURES)
def test_the_nature_of_a_module_is_found_by_calling_it(name: str) -> None:
    change, expected = NATURES[name]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    assert nature_of(Module(change).eval(), IMAGES, name=name) == expected
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]  # type: ignore[index]


def test_one_image_is_enough() -> None:
    assert nature_of(Module(shared(1)).eval(), IMAGES[:1], name="one") == Nature(3, True, alone=True)


def moving_statistics(images: Tensor) -> Tensor:
    return F.batch_norm(images, None, None, training=True)


def attention(images: Tensor) -> Tensor:
    flat = images.flatten(1)
    return 0.5 * images + 0.5 * ((flat @ flat.T).softmax(1) @ flat).reshape(images.shape)


@pytest.mark.parametrize("change", [moving_statistics, attention])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_module_that_mixes_the_images_of_a_batch_is_refused(change: Callable[[Tensor], Tensor], noise: float) -> None:
    module = Module(lambda images: change(images) + (noise * torch.randn_like(images) if noise else 0))
    with pytest.raises(InputError, match="mixer answers an image differently among other images"):
        nature_of(module.eval(), IMAGES, name="mixer")


class MadeLate(nn.Module):
    """Makes its weights in the first call."""

    linear: nn.Linear | None = None

    def forward(self, images: Tensor) -> Tensor:
        if self.linear is None:
            object.__setattr__(self, "linear", nn.Linear(images[0].numel(), 3))
        assert self.linear is not None
        return self.linear(images.flatten(1))


def test_weights_that_the_first_call_draws_make_no_random_module() -> None:
    assert nature_of(MadeLate().eval(), IMAGES, name="it") == Nature(3)


class TrainsItself(nn.Module):
    """Whoever calls it finds it in training mode."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        self.train()
        return self.head(self.layer(images).flatten(1))  # type: ignore[no-any-return]


def test_a_module_that_is_changed_by_calls_is_refused() -> None:
    with pytest.raises(InputError, match=r"every call of it changes its 'layer\.(running_mean|running_var|num_b.*)'"):
        nature_of(TrainsItself(nn.BatchNorm2d(1)).eval(), IMAGES, name="it")
    assert nature_of(TrainsItself(nn.Dropout(0.5)).eval(), IMAGES, name="it").stochastic
    module = Module(lambda images: images + module.seen.add_(1e-3))
    with pytest.raises(InputError, match="every call of counting changes its 'seen'"):
        nature_of(module.eval(), IMAGES, name="counting")


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda images: [][1], "it does not take images .*: IndexError: list index out of range"),
        (lambda images: exit(0), "it does not take images .*: SystemExit: 0"),
        (lambda images: images.flatten(1).argmax(1), r"expected logits \(4, classes\) from it, came \(4,\)"),
        (lambda images: (images.flatten(1), None), r"expected logits \(4, classes\) from it, came tuple"),
        (lambda images: images.flatten(1).long(), "expected logits of type torch.float32 .* came torch.int64"),
        (lambda images: images.flatten(1).double(), "expected logits of type torch.float32 .* came torch.float64"),
        (lambda images: images.flatten(1) / 0, "it gives NaN or infinite logits"),
        (lambda images: images.flatten(0), r"expected logits \(4, classes\) from it, came \(256,\)"),
    ],
)
def test_what_does_not_answer_with_logits_is_named(forward: Callable[[Tensor], Tensor], words: str) -> None:
    with pytest.raises(BadAnswer, match=words):
        nature_of(forward, IMAGES, name="it")
    with pytest.raises(BadAnswer, match=r"expected logits \(4, 7\) from it, came \(4, 64\)"):
        nature_of(nn.Flatten(), IMAGES, name="it", classes=7)


def test_a_module_may_write_into_what_it_is_given() -> None:
    images = IMAGES.clone()
    assert nature_of(Module(lambda given: given.mul_(0.5)).eval(), images, name="it") == Nature(3)
    assert torch.equal(images, IMAGES)


def test_a_gradient_that_does_not_exist_is_an_error_where_it_is_asked() -> None:
    images = IMAGES.clone().requires_grad_(True)
    with pytest.raises(NoGradient, match="no gradient leads from the logits of it to its images"):
        answer(Module(lambda given: given.detach()), images, name="it")
    with torch.no_grad():
        assert answer(Module(lambda given: given.detach()), images, name="it").shape == (4, 3)


def test_prints_of_a_module_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    def forward(images: Tensor) -> Tensor:
        print("chatter")
        return images.flatten(1)

    nature_of(forward, IMAGES, name="it")
    printed = capsys.readouterr()
    assert printed.out == "" and "chatter" in printed.err


def test_draws_of_a_call_of_their_own_follow_their_key_into_any_batch() -> None:
    module = Module(shared(1))
    keys = Keys.of(seed=3, purpose="p", samples=range(4))
    together = drawn(module, IMAGES, keys, alone=True)
    close(drawn(module, IMAGES[[2]], keys[[2]], alone=True), together[[2]])
    # The noise of two rows is not the same: what is left of them differs.
    noise = together - IMAGES.flatten(1) @ WEIGHTS
    assert (noise[0] - noise[1]).abs().min() > 1e-3
    one = drawn(module, IMAGES, keys, alone=False) - IMAGES.flatten(1) @ WEIGHTS
    close(one[0], one[1], scale=together.abs().max().item())


def test_all_global_generators_are_seeded_and_put_back() -> None:
    def three() -> list[float]:
        return [torch.rand(()).item(), random.random(), np.random.rand()]

    with seeded(Keys.of(seed=0, purpose="p", samples=[0]), torch.device("cpu")):
        once = three()
    between = three()
    with seeded(Keys.of(seed=0, purpose="p", samples=[0]), torch.device("cpu")):
        assert three() == once
    with seeded(Keys.of(seed=0, purpose="p", samples=[1]), torch.device("cpu")):
        other = three()
    assert all(one != two for one, two in zip(once, other, strict=True))
    assert all(one != two for one, two in zip(once, between, strict=True))
