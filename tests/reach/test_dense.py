"""Bounds of dense networks over many boxes at once: sound, inherited ones too, and as tight as those of CROWN."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Add, ElementwiseAffine, Linear, Relu, Reshape
from surefoot.reach.crown import lower_bounds
from surefoot.reach.dense import DenseBounds, DenseNetwork, dense_network_of
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.reach.tightening import tighten_by_crown


def dense_graph(seed: int, inputs: int = 3, scale: float = 1.0) -> Graph:
    """Make a network of two to four hidden layers, biases apart in some."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32).astype(np.float64)) * scale

    builder = GraphBuilder((1, inputs))
    last, width = builder.add(Reshape((inputs,)), 0), inputs
    for _ in range(int(rng.integers(2, 5))):
        out = int(rng.integers(2, 9))
        if rng.random() < 0.5:
            last = builder.add(Linear(normal(out, width), normal(out) / 2), last)
        else:
            last = builder.add(Linear(normal(out, width)), last)
            last = builder.add(ElementwiseAffine(torch.ones(1).double(), normal(out) / 2), last)
        last, width = builder.add(Relu(), last), out
    builder.add(Linear(normal(2, width), normal(2)), last)
    return builder.build()


def boxes_of(rng: np.random.Generator, count: int, inputs: int, width: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Make boxes between float32 numbers."""
    centre = rng.normal(size=(count, inputs))
    radius = width * rng.random((count, inputs)) * (rng.random((count, inputs)) < 0.9)
    low, high = (torch.from_numpy(x.astype(np.float32).astype(np.float64)) for x in (centre - radius, centre + radius))
    return low, high


def dense_of(graph: Graph) -> DenseNetwork:
    """Read a graph that is one."""
    network = dense_network_of(graph)
    assert network is not None
    return network


def inside(rng: np.random.Generator, low: torch.Tensor, high: torch.Tensor, count: int) -> torch.Tensor:
    """Sample float32 inputs (n, count, d) of each box, corners too."""
    share = torch.from_numpy(rng.random((len(low), count, low.shape[1])))
    share = torch.where(torch.from_numpy(rng.random(share.shape) < 0.4), share.round(), share)
    x = (low.unsqueeze(1) + share * (high - low).unsqueeze(1)).float().double()
    return torch.minimum(torch.maximum(x, low.unsqueeze(1)), high.unsqueeze(1))


def hidden(network: DenseNetwork, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Evaluate what enters every ReLU, side by side, and the output, in the type of x."""
    values = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        x = x @ weight.to(x.dtype).T + bias.to(x.dtype)
        values.append(x)
        x = x.clamp(min=0)
    return torch.cat(values[:-1], -1), values[-1]


@pytest.mark.parametrize("seed", range(10))
def test_a_dense_network_gives_what_its_graph_does(seed: int) -> None:
    graph = dense_graph(seed)
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(20, 1, 3)))
    _, y = hidden(dense_of(graph), x[:, 0])
    torch.testing.assert_close(y, evaluate(graph, x).double(), rtol=1e-12, atol=1e-12)


def test_what_is_not_dense_is_not_read_as_such() -> None:
    one = torch.ones(2, 2).double()
    for ops in (
        [Linear(one), Linear(one), Relu(), Linear(one)],
        [Linear(one), ElementwiseAffine(2 * torch.ones(1).double()), Relu(), Linear(one)],
        [Linear(one, one[0]), ElementwiseAffine(torch.ones(1).double(), one[0]), Relu(), Linear(one)],
        [ElementwiseAffine(torch.ones(1).double(), one[0]), Linear(one), Relu(), Linear(one)],
        [Linear(one), Relu(), Linear(one), Relu()],
        [Relu(), Linear(one), Relu(), Linear(one)],
        [Linear(one)],
    ):
        builder, last = GraphBuilder((2,)), 0
        for op in ops:
            last = builder.add(op, last)
        assert dense_network_of(builder.build()) is None
    builder = GraphBuilder((2,))
    first = builder.add(Relu(), builder.add(Linear(one), 0))
    builder.add(Add(), first, builder.add(Linear(one), 0))
    assert dense_network_of(builder.build()) is None


@given(st.integers(0, 10**6), st.sampled_from([1e-4, 0.1, 1.0, 5.0]), st.sampled_from([1.0, 30.0]))
def test_no_value_lies_outside_of_its_bounds_in_float64_and_float32(seed: int, width: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    network = dense_of(dense_graph(seed, scale=scale))
    low, high = boxes_of(rng, 5, 3, width)
    float32 = torch.from_numpy(rng.random(5) < 0.5)
    rows = torch.from_numpy(rng.normal(size=(3, 2)))
    over = DenseBounds(network, low, high, float32)
    for _ in range(3):  # box and parts of parts
        bounds, _, lines = over.rows(rows)
        x = inside(rng, low, high, 40)
        for dtype in (torch.float64, torch.float32):
            z, y = (v.double() for v in hidden(network, x.to(dtype)))
            speaks = float32 | (dtype == torch.float64)
            spare = (1e-13 * (dtype == torch.float64) * (1 + z.abs().amax((1, 2))))[speaks].reshape(-1, 1, 1)
            assert bool((z[speaks] >= over.lower[speaks].unsqueeze(1) - spare).all())
            assert bool((z[speaks] <= over.upper[speaks].unsqueeze(1) + spare).all())
            value, least = (y @ rows.T)[speaks], bounds[speaks].unsqueeze(1)
            slack = 1e-12 * (1 + y.abs().amax() * rows.abs().sum())
            assert bool((value >= least - slack).all())
            end = torch.where(lines > 0, low.unsqueeze(1), high.unsqueeze(1))[speaks]
            rise = ((x[speaks].unsqueeze(2) - end.unsqueeze(1)) * lines[speaks].unsqueeze(1)).sum(3)
            assert bool((value >= least + rise - slack).all())
        axis = int(rng.integers(3))
        cut = high.clone()
        cut[:, axis] = ((low + high) / 2)[:, axis].float().double().clamp(low[:, axis], high[:, axis])
        known = over.known_within(torch.arange(5), low, cut)
        high = cut
        over = DenseBounds(network, low, high, float32, known)
        assert bool((over.lower >= known[:, 0]).all())
        assert bool((over.upper <= known[:, 1]).all())


@pytest.mark.parametrize("seed", range(12))
def test_bounds_are_at_least_as_tight_as_those_of_crown(seed: int) -> None:
    graph = dense_graph(seed)
    rng = np.random.default_rng(seed)
    low, high = boxes_of(rng, 4, 3, 0.3)
    rows = torch.from_numpy(rng.normal(size=(2, 2)))
    bounds, _, _ = DenseBounds(dense_of(graph), low, high, torch.zeros(4, dtype=torch.bool)).rows(rows)
    for n in range(4):
        box = Box(low[n].reshape(1, 1, 3), high[n].reshape(1, 1, 3))
        relaxation = relax(graph, box, REAL, tighten_by_crown, multi_neuron=False)
        known = lower_bounds(relaxation, len(graph.nodes) - 1, rows[None])[0]
        assert bool((bounds[n] >= known - 1e-9 * (1 + known.abs())).all())


@pytest.mark.parametrize("seed", range(6))
def test_estimates_after_bisections_are_no_better_than_bounding_anew_with_the_same_knowledge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = dense_of(dense_graph(seed))
    low, high = boxes_of(rng, 4, 3, 0.5)
    float32 = torch.zeros(4, dtype=torch.bool)
    over = DenseBounds(network, low, high, float32)
    rows = torch.from_numpy(rng.normal(size=(2, 2)))
    estimates = over.after_bisections(torch.arange(4), low, high, rows, [0, 2])
    assert estimates.shape == (4, 2, 2, 2)
    for n, axis in enumerate((0, 2)):
        for side in (0, 1):
            ends = [low.clone(), high.clone()]
            ends[1 - side][:, axis] = ((low + high) / 2)[:, axis]
            x = inside(rng, ends[0], ends[1], 200)
            least = (hidden(network, x)[1] @ rows.T).amin(1)
            assert bool((estimates[:, n, side] <= least + 1e-9 * (1 + least.abs())).all())


def test_where_float32_may_overflow_nothing_is_said_of_it_and_all_of_real_arithmetic() -> None:
    big = torch.tensor([[1e25]]).double()
    network = DenseNetwork((big, big, big), (torch.zeros(1).double(),) * 3)
    low, high = torch.tensor([[1.0], [1.0]]).double(), torch.tensor([[2.0], [2.0]]).double()
    bounds, _, _ = DenseBounds(network, low, high, torch.tensor([True, False])).rows(torch.ones(1, 1).double())
    assert not bool(bounds[0] > 0)
    assert 0.99e75 < float(bounds[1]) <= 1e75


def test_a_bias_of_another_shape_is_flat() -> None:
    builder = GraphBuilder((2,))
    hidden = builder.add(Reshape((1, 3)), builder.add(Linear(torch.ones(3, 2).double()), 0))
    hidden = builder.add(ElementwiseAffine(torch.ones(1).double(), torch.tensor([[1.0, -2, 3]]).double()), hidden)
    hidden = builder.add(Relu(), builder.add(Reshape((3,)), hidden))
    network = dense_network_of(builder.build(builder.add(Linear(torch.ones(1, 3).double()), hidden)))
    assert network is not None
    assert network.biases[0].tolist() == [1.0, -2.0, 3.0]
