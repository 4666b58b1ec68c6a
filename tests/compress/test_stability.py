"""Signs of ReLUs against an independent judge, mixed-integer programs by SciPy; and domains cut by rows."""

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, milp

from cases import first
from planted import dense
from surefoot.compress.equal import equal
from surefoot.compress.interior import inside
from surefoot.compress.stability import stability
from surefoot.compress.transform import compress
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Relu
from surefoot.spec.input_set import InputSet, LinearConstraints

BIG = 1e3


def by_lps(graph: Graph, rows: np.ndarray, bounds: np.ndarray) -> list[tuple[float, float]]:
    """Find the least and the largest value of each ReLU's input over [0, 1]^d, where rows x <= bounds.

    One program each: h >= g, h <= g + M (1 - z), h <= M z for every unit before it.
    """
    layers = [node.op for node in graph.nodes if isinstance(node.op, Linear)][:-1]
    widths = [graph.input_shape[0], *(len(layer.weight) for layer in layers)]
    total = widths[0] + 2 * sum(widths[1:])
    starts = np.cumsum([0, *widths])
    a, low, high = [], [], []
    for row, bound in zip(rows, bounds, strict=True):
        a.append(np.pad(row, (0, total - len(row))))
        low.append(-np.inf)
        high.append(bound)
    found = []
    for number, layer in enumerate(layers):
        weight, offset = layer.weight.numpy(), layer.bias.numpy()  # pyright: ignore[reportOptionalMemberAccess]
        for unit in range(len(weight)):
            g = np.zeros(total)
            g[starts[number] : starts[number + 1]] = weight[unit]
            ends = []
            for sign in (1, -1):
                lower, upper = np.zeros(total), np.full(total, BIG)
                upper[: widths[0]] = 1
                upper[starts[-1] :] = 1
                integral = np.zeros(total)
                integral[starts[-1] :] = 1
                limits = [LinearConstraint(np.array(a), low, high)] if a else []  # pyright: ignore[reportArgumentType]
                solved = milp(sign * g, integrality=integral, bounds=(lower, upper), constraints=limits)
                assert solved.status == 0
                ends.append(sign * solved.fun + offset[unit])
            found.append((ends[0], ends[1]))
        for unit in range(len(weight)):
            h, z = np.zeros(total), np.zeros(total)
            h[starts[number + 1] + unit] = 1
            z[starts[-1] + starts[number + 1] - widths[0] + unit] = 1
            g = np.zeros(total)
            g[starts[number] : starts[number + 1]] = weight[unit]
            a += [h - g, h - g + BIG * z, h - BIG * z]
            low += [offset[unit], -np.inf, -np.inf]
            high += [np.inf, offset[unit] + BIG, 0]
    return found


def judged(graph: Graph, constraints: LinearConstraints | None) -> None:
    d = graph.input_shape[0]
    rows, bounds = (np.zeros((0, d)), np.zeros(0)) if constraints is None else (constraints.rows, constraints.bounds)
    found = stability(graph, InputSet(np.zeros(d), np.ones(d), constraints), 5.0)
    signs = np.concatenate([found.signs[at].numpy() for at in sorted(found.signs)])
    for sign, (least, most) in zip(signs, by_lps(graph, rows, bounds), strict=True):
        if sign > 0:
            assert least >= -1e-5
        elif sign < 0:
            assert most <= 1e-5
        elif constraints is None:  # complete: neither means that both signs are met
            assert least < 1e-5
            assert most > -1e-5


@pytest.mark.parametrize("seed", range(6))
def test_signs_agree_with_mixed_integer_programs(seed: int) -> None:
    judged(dense(seed, ("inactive", "active"), (6, 5), 4), None)


@pytest.mark.parametrize("seed", range(6))
def test_signs_on_a_cut_domain_agree_with_mixed_integer_programs(seed: int) -> None:
    graph = dense(seed, ("inactive",), (6, 5), 4)
    constraints = LinearConstraints.of(np.array([[1.0, 1, 1, 1], [-1.0, -1, -1, -1]]), np.array([1.2, -0.8]))
    judged(graph, constraints)


@pytest.mark.parametrize("seed", first(3, range(8)))
def test_a_cut_domain_has_more_stable_units_and_the_smaller_network_is_equal_on_it(seed: int) -> None:
    graph = dense(seed, (), (14, 10), 5)
    low, high = np.zeros(5), np.ones(5)
    constraints = LinearConstraints.of(np.array([[1.0] * 5]), np.array([0.6]))
    domain = InputSet(low, high, constraints)
    whole, part = compress(graph, InputSet(low, high)), compress(graph, domain)
    stable = [sum(made.stability.counts()[:2]) for made in (whole, part)]
    assert stable[1] >= stable[0]
    assert part.graph.parameters() <= whole.graph.parameters()
    x = inside(domain, (5,), 4000)
    assert bool((x.sum(1) <= 0.6 + 1e-9).all())
    assert bool((x >= 0).all() & (x <= 1).all())
    gap = (evaluate(graph, x) - evaluate(part.graph, x)).abs().max()
    assert gap < 1e-9
    found = equal(graph, part.graph, domain)
    assert float(gap) <= found.largest < 1e-6
    assert found.input.sum() <= 0.6 + 1e-9


def beside(first: Graph, second: Graph) -> Graph:
    """Two networks of as many layers as one chain, whose last units before the output are their differences."""
    builder, last = GraphBuilder(first.input_shape), 0
    one, two = ([node.op for node in g.nodes if isinstance(node.op, Linear)] for g in (first, second))
    for number, (a, b) in enumerate(zip(one, two, strict=True)):
        offsets = [x.bias if x.bias is not None else torch.zeros(len(x.weight)).double() for x in (a, b)]
        if number == 0:
            weight, offset = torch.cat([a.weight, b.weight]), torch.cat(offsets)
        elif number < len(one) - 1:
            weight, offset = torch.block_diag(a.weight, b.weight), torch.cat(offsets)
        else:
            weight, offset = torch.cat([a.weight, -b.weight], 1), offsets[0] - offsets[1]
        last = builder.add(Relu(), builder.add(Linear(weight, offset), last))
    return builder.build(builder.add(Linear(torch.eye(len(one[-1].weight)).double()), last))


@pytest.mark.parametrize("seed", range(4))
def test_mixed_integer_programs_find_no_difference_between_a_network_and_its_smaller_one(seed: int) -> None:
    graph = dense(seed, ("inactive", "proportional", "dependent"), (7, 5), 3)
    low, high = torch.zeros(3).double(), torch.ones(3).double()
    rewrites = ("inactive", "constant", "unused", "proportional", "dependent")  # none of which folds a layer away
    small = compress(graph, InputSet.of(low, high), rewrites=rewrites).graph
    assert sum(isinstance(n.op, Relu) for n in small.nodes) == 2, "as many layers, for this judge"
    assert small.parameters() < graph.parameters()
    for least, most in by_lps(beside(graph, small), np.zeros((0, 3)), np.zeros(0))[-3:]:
        assert least >= -1e-5
        assert most <= 1e-5


def test_the_judge_itself_is_right() -> None:
    graph = dense(0, (), (4, 3), 3)
    x = inside(InputSet(np.zeros(3), np.ones(3)), (3,), 5000)
    values = []
    for at, node in enumerate(graph.nodes):
        if isinstance(node.op, Relu):
            before = evaluate(Graph(graph.nodes[:at]), x)
            values += list(zip(before.amin(0).tolist(), before.amax(0).tolist(), strict=True))
    for (least, most), (seen_least, seen_most) in zip(
        by_lps(graph, np.zeros((0, 3)), np.zeros(0)), values, strict=True
    ):
        assert least <= seen_least + 1e-6
        assert most >= seen_most - 1e-6
        assert most - least < 3 * (seen_most - seen_least) + 1
