"""l1 and adversarial training: what moves, how far, and what it does."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from surefoot.core.errors import InputError
from surefoot.data import load_data
from surefoot.losses import CrossEntropy
from surefoot.train import fit
from surefoot.train.adversary import worst_in_one_step
from surefoot.train.recipes import Recipe


def linear(seed: int = 0) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return nn.Linear(6, 3), torch.rand(40, 6), torch.randint(3, (40,))


@pytest.mark.parametrize("radius", [0.0, 0.03, 0.3, 5.0])
def test_inputs_stay_in_their_ball_and_range_and_become_worse(radius: float) -> None:
    model, x, y = linear()
    moved = worst_in_one_step(model, x, y, radius, 0.0, 1.0)
    assert bool(((moved - x).abs() <= radius + 1e-6).all())
    assert bool((moved >= 0).all() & (moved <= 1).all())
    assert not moved.requires_grad
    assert model.weight.grad is None
    before, after = (F.cross_entropy(model(z), y).item() for z in (x, moved))
    assert after >= before - 1e-6
    if radius:
        assert after > before


def test_on_a_linear_map_one_step_goes_the_worst_way_in_every_input() -> None:
    """From anywhere in the ball, by 5/4 of its radius: at least a quarter of it beyond the centre."""
    model = nn.Linear(4, 2)
    x, y = torch.full((1, 4), 0.5), torch.tensor([0])
    with torch.no_grad():
        slope = model.weight[1] - model.weight[0]
    moved = worst_in_one_step(model, x, y, 0.01, 0.0, 1.0)
    assert bool(((moved - x) * slope.sign() >= 0.0025 - 1e-6).all())


def test_words_cannot_be_moved() -> None:
    model, _, y = linear()
    with pytest.raises(InputError, match="real numbers"):
        worst_in_one_step(model, torch.zeros(40, 6, dtype=torch.long), y, 0.1, 0.0, 1.0)


@pytest.mark.parametrize("wrong", [{"l1": -1.0}, {"adversarial": -0.1}, {"l1": float("nan")}])
def test_recipes_refuse_what_means_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="l1 and adversarial"):
        Recipe(1, **wrong)  # pyright: ignore[reportArgumentType]


def test_l1_makes_weights_small_and_adversarial_training_makes_answers_stay(tmp_path: Path) -> None:
    data = load_data("digits")
    found = {}
    for name, more in {"plain": {}, "l1": {"l1": 3e-3}, "adversarial": {"adversarial": 0.1}}.items():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        recipe = Recipe(8, 64, "adam", 3e-3, weight_decay=0.0, keep="last", **more)
        quiet = {"enable_progress_bar": False}
        trained = fit(model, CrossEntropy(), data, recipe, tmp_path / name, trainer=quiet)
        x, y = data.test.x.float(), data.test.y
        attacked = worst_in_one_step(trained, x, y, 0.1, 0.0, 1.0)
        norm = sum(p.detach().abs().sum().item() for p in trained.parameters() if p.ndim > 1)
        found[name] = (norm, float((trained(attacked).argmax(1) == y).float().mean()))
    assert found["l1"][0] < 0.7 * found["plain"][0]
    assert found["adversarial"][1] > found["plain"][1] + 0.05
