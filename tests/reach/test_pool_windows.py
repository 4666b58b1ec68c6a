"""Windows of a pool over a star: what may be the largest stays a candidate, whatever the input."""

import numpy as np
import pytest
import torch

from surefoot.graph.ops import MaxPool2d
from surefoot.reach.pool_windows import Windows, drop_losers
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.predicate import Predicate


def image(seed: int) -> tuple[AffineForm, Predicate]:
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(1, 4, 4, generator=generator).double()
    generators = 0.4 * torch.randn(3, 1, 4, 4, generator=generator).double()
    return AffineForm(centre, generators, torch.zeros_like(centre)), Predicate.box(-np.ones(3), np.ones(3))


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1)])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_the_largest_somewhere_is_a_candidate(seed: int, padding: tuple[int, int, int, int]) -> None:
    form, predicate = image(seed)
    op = MaxPool2d((2, 2), (2, 2), padding)
    windows = Windows.of(op, form, predicate)
    drop_losers(form, predicate, windows)
    a = 2 * torch.rand(500, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64) - 1
    values = form.centre.flatten() + a @ form.generators.flatten(1)
    inside = torch.where(windows.members < 0, -torch.inf, values[:, windows.members.clamp(min=0)])
    assert bool(windows.candidates.expand(500, -1, -1).gather(2, inside.argmax(2, keepdim=True)).all())
    assert not bool((windows.candidates & (windows.members < 0)).any())


def test_a_plain_background_leaves_one_candidate_a_window() -> None:
    plain = AffineForm(torch.ones(1, 4, 4).double(), torch.zeros(1, 1, 4, 4).double(), torch.zeros(1, 4, 4).double())
    windows = Windows.of(MaxPool2d((2, 2), (2, 2)), plain, Predicate.box(-np.ones(1), np.ones(1)))
    assert not len(windows.undecided)
