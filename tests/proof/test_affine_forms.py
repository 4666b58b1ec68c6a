"""Affine forms bound the difference of two networks, however different they are."""

import numpy as np
import pytest
import torch

from planted import dense
from surefoot.compress.interior import inside
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Add, Linear, Mul, Relu
from surefoot.proof import affine_forms
from surefoot.proof.affine_forms import affine_forms_of, difference
from surefoot.proof.checker import Checker
from surefoot.spec.input_set import InputSet


@pytest.mark.parametrize("seed", range(20))
def test_no_difference_passes_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = dense(seed, ("active", "proportional"), (5, 4), 3)
    second = dense(seed + seed % 2, ("active", "proportional"), (5, 4), 3).to(torch.float16).to(torch.float64)
    low = rng.uniform(0, 0.5, 3)
    high = low + rng.uniform(0, 0.5, 3)
    bound = difference(*(affine_forms_of(g, Checker(g).boxes(low, high)) for g in (first, second)))
    x = inside(InputSet.of(low, high), low.shape, 1000, seed)
    met = (evaluate(first, x) - evaluate(second, x)).abs().amax(0).numpy()
    assert (met <= bound).all()


def test_boxes_that_are_no_numbers_show_nothing() -> None:
    graph = dense(1, (), (4,), 2)
    boxes = Checker(graph).boxes(np.zeros(2), np.ones(2))
    one = affine_forms_of(graph, boxes)
    boxes[1] = (np.full(4, np.nan), np.full(4, np.nan))
    assert not np.isfinite(difference(one, affine_forms_of(graph, boxes))).all()


def test_what_has_no_form_or_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = GraphBuilder((2,))
    builder.add(Mul(), 0, builder.add(Relu(), 0))
    graph = builder.build()
    boxes = [(np.zeros(2), np.ones(2))] * 3
    with pytest.raises(InputError, match="Mul has no affine form"):
        affine_forms_of(graph, boxes)
    monkeypatch.setattr(affine_forms, "LARGEST", 3)
    with pytest.raises(InputError, match="too many"):
        affine_forms_of(graph, boxes)
    monkeypatch.undo()
    graphs = [(dense(1, (), (4,), 2), 2), (dense(1), 5)]
    one, two = (affine_forms_of(g, Checker(g).boxes(np.zeros(n), np.ones(n))) for g, n in graphs)
    with pytest.raises(InputError, match="cannot be equal"):
        difference(one, two)


def residual(seed: int) -> Graph:
    """Layers that each read any earlier value, some two: branches are read long after others were rectified."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder((2,))
    places = [(0, 2)]

    def layer(given: tuple[int, int], size: int) -> int:
        weight, offset = torch.from_numpy(rng.normal(size=(size, given[1]))), torch.from_numpy(rng.normal(size=size))
        return builder.add(Linear(weight, offset), given[0])

    for _ in range(int(rng.integers(3, 7))):
        size = int(rng.integers(1, 4))
        place = layer(places[int(rng.integers(len(places)))], size)
        if rng.random() < 0.5:
            place = builder.add(Add(), place, layer(places[int(rng.integers(len(places)))], size))
        if rng.random() < 0.8:
            place = builder.add(Relu(), place)
        places.append((place, size))
    ends = [layer(given, 2) for given in places[1:]]
    while len(ends) > 1:
        ends.append(builder.add(Add(), ends.pop(0), ends.pop(0)))
    return builder.build(ends[0])


@pytest.mark.parametrize("seed", range(30))
def test_branches_are_read_in_any_order(seed: int) -> None:
    first = residual(seed)
    second = first.to(torch.float16).to(torch.float64)
    low, high = -np.ones(2), np.ones(2)
    bound = difference(*(affine_forms_of(g, Checker(g).boxes(low, high)) for g in (first, second)))
    x = inside(InputSet.of(low, high), low.shape, 1000, seed)
    met = (evaluate(first, x) - evaluate(second, x)).abs().amax(0).numpy()
    assert (met <= bound).all()
    assert (difference(*[affine_forms_of(first, Checker(first).boxes(low, high))] * 2) < 1e-9).all()
