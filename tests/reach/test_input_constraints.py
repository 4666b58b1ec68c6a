"""Bounds over the part of a box that linear rows leave: sound, and exact for one row, against linear programs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from networks import random_network
from surefoot.compress.interior import inside
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, apply, fold
from surefoot.graph.ops import Linear
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.proof.certificate import Proof
from surefoot.proof.checker import Checker
from surefoot.proof.property import check_property
from surefoot.proof.question import Question, certificate_of_property
from surefoot.reach.alpha_crown import tighten_by_alpha_crown
from surefoot.reach.crown import lower_bounds
from surefoot.reach.ibp import Box
from surefoot.reach.input_constraints import moved_inside
from surefoot.reach.relaxation import Relaxation, relax
from surefoot.spec.input_set import InputSet, LinearConstraints


def linear(d: int) -> Graph:
    builder = GraphBuilder((d,))
    return builder.build(builder.add(Linear(torch.eye(d).double()), 0))


def domain(
    seed: int, d: int, rows: int, slack: float = 0.1
) -> tuple[torch.Tensor, torch.Tensor, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    low = rng.normal(size=d)
    high = low + rng.exponential(size=d) * (rng.random(d) < 0.9)  # some inputs cannot move
    middle = low + rng.random(d) * (high - low)
    matrix = rng.normal(size=(rows, d)) * (rng.random((rows, d)) < 0.8)
    return torch.tensor(low), torch.tensor(high), matrix, matrix @ middle + slack * rng.random(rows)


@pytest.mark.parametrize("seed", range(60))
def test_bounds_of_linear_functions_against_linear_programs(seed: int) -> None:
    d, rows = 1 + seed % 7, 1 + seed % 3
    low, high, matrix, bounds = domain(seed, d, rows, 0.0 if seed % 5 == 4 else 0.1)
    if seed % 5 == 4:  # a plane: one row and its opposite
        rows, matrix, bounds = 2, np.concatenate([matrix[:1], -matrix[:1]]), np.array([bounds[0], -bounds[0]])
    a = np.random.default_rng(seed + 999).normal(size=(4, d)) * (seed % 4 > 0)
    region = Box(low.unsqueeze(0), high.unsqueeze(0))
    made = relax(linear(d), region, REAL, constraints=LinearConstraints(matrix, bounds))
    found = lower_bounds(made, 1, torch.tensor(a).unsqueeze(0))[0].numpy()
    checker = Checker(linear(d), (matrix, bounds))
    checked = checker.bound(1, a, checker.boxes(low.numpy(), high.numpy()))
    for row, bound, other in zip(a, found, checked, strict=True):
        ends = list(zip(low.tolist(), high.tolist(), strict=True))
        best = linprog(row, matrix, bounds, bounds=ends, options={"primal_feasibility_tolerance": 1e-10})
        assert best.status == 0
        assert bound <= best.fun + 1e-7
        assert other <= best.fun + 1e-7
        assert abs(bound - other) < 1e-9
        if rows == 1 or seed % 5 == 4:
            assert bound >= best.fun - 1e-7
        assert bound >= np.minimum(row * low.numpy(), row * high.numpy()).sum() - 1e-9  # never below the box's


@pytest.mark.parametrize("seed", range(40))
def test_every_value_of_an_input_that_counts_is_in_its_box(seed: int) -> None:
    graph = pools_as_relus(random_network(seed))
    d = int(np.prod(graph.input_shape))
    low, high, matrix, bounds = domain(seed, d, 1 + seed % 3)
    inputs = InputSet.of(low, high, LinearConstraints(matrix, bounds))
    region, constraints = Box.around(inputs, graph.input_shape), inputs.constraints
    tighten = tighten_by_alpha_crown(10)
    whole, cut = (relax(graph, region, REAL, tighten, constraints=c, multi_neuron=False) for c in (None, constraints))
    x = inside(inputs, graph.input_shape, 2000, seed)
    assert ((x.flatten(1).numpy() @ matrix.T) <= bounds + 1e-9).all()
    values = fold(graph, x, lambda node, inputs: apply(node.op, inputs))
    for value, box in zip(values, cut.boxes, strict=True):
        spare = 1e-12 * (1 + box.magnitude)
        assert bool((value >= box.lower - spare).all() & (value <= box.upper + spare).all())
    assert width(cut) <= width(whole) * (1 + 1e-6)


def width(made: Relaxation) -> float:
    """Widths of what enters ReLUs; where ascent takes other turns one box may be wider than without cuts."""
    places = {made.graph.nodes[at].inputs[0] for at in made.relus()}
    return float(sum((made.boxes[at].upper - made.boxes[at].lower).sum() for at in places))


def test_a_part_of_a_box_proves_no_property() -> None:
    graph, low, high = linear(1), np.zeros(1), np.ones(1)
    unsafe = ((np.array([[1.0]]), np.array([-0.5])),)  # y <= -0.5: no input of the box does that
    whole = Proof(low, high, unsafe, "boxes")
    asked = [Question(low, high, unsafe)]
    assert check_property(certificate_of_property(graph, (whole,)), graph, asked) > 0
    part = replace(whole, constraints=(np.array([[1.0]]), np.array([0.5])))
    with pytest.raises(InputError, match="part of a box"):
        check_property(certificate_of_property(graph, (part,)), graph, asked)


def test_most_inputs_are_moved_inside_and_those_there_stay() -> None:
    inside = []
    for seed in range(30):
        low, high, rows, bounds = domain(seed, 5, 2)
        constraints = LinearConstraints.of(rows, bounds)
        inputs = InputSet(low.numpy(), high.numpy(), constraints)
        x = low + torch.rand(50, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * (high - low)
        moved = moved_inside(x, low, high, constraints)
        assert bool(((low <= moved) & (moved <= high)).all())
        inside.append(np.mean([inputs.contains(row) for row in moved.numpy()]))
        deep = (x @ torch.tensor(rows).T < torch.tensor(bounds) - 1e-4).all(1)
        assert torch.equal(moved[deep], x[deep])
    assert np.mean(inside) > 0.85  # 0.28 before


def test_an_equation_is_met_as_rounding_lets_it_be() -> None:
    low, high = torch.full((3,), -1.0, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    equation = LinearConstraints.of([[1, 1, -1], [-1, -1, 1]], [0.25, -0.25])
    x = 2 * torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    moved = moved_inside(x, low, high, equation)
    assert float((moved @ torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64) - 0.25).abs().max()) < 1e-9
