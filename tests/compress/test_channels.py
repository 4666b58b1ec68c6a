"""Channels that go together: planted ones are found, answers stay, and the bound holds for whatever is claimed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from networks import random_box, random_network, samples
from planted import convolutional, tensor
from surefoot.compress.channel_check import mapped_difference
from surefoot.compress.channels import ChannelMap, Pruned, prune_channels
from surefoot.compress.files import compress_file, read_logits
from surefoot.compress.transform import compress
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Add, Conv2d, ElementwiseAffine, Gather, Linear, Mul, Relu, Reshape
from surefoot.reach.crown import relax, tighten_by_crown
from surefoot.reach.ibp import Box
from surefoot.spec.input_set import InputSet


def boxes_of(graph: Graph, lower: torch.Tensor, upper: torch.Tensor) -> list[Box]:
    return relax(graph, Box(lower[None], upper[None]), REAL, tighten_by_crown, multi_neuron=False).boxes


def leaned(graph: Graph, lower: torch.Tensor, upper: torch.Tensor) -> tuple[Pruned, np.ndarray]:
    boxes = boxes_of(graph, lower, upper)
    made = prune_channels(graph, boxes)
    return made, mapped_difference(graph, made.graph, made.matches, boxes, boxes_of(made.graph, lower, upper))


def unit(graph: Graph) -> tuple[torch.Tensor, torch.Tensor]:
    shape = graph.input_shape
    return torch.zeros(shape).double(), torch.ones(shape).double()


def ends(graph: Graph, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    low, high = random_box(graph, seed)
    return torch.from_numpy(low).reshape(graph.input_shape), torch.from_numpy(high).reshape(graph.input_shape)


def gap(first: Graph, second: Graph, low: torch.Tensor, high: torch.Tensor) -> np.ndarray:
    x = samples(low.flatten().numpy(), high.flatten().numpy(), first, 200, 0)
    return (evaluate(first, x) - evaluate(second, x)).abs().flatten(1).amax(0).numpy()


def ccp(seed: int, rank: int = 6, degree: int = 3, exported: bool = False) -> Graph:
    """Y = sum_r c_r a_1r prod (1 + a_nr): component 1 is dead, 2 reads nothing, 4 is a multiple of 3."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(degree, rank, 4))
    factors[0, 1] = 0
    factors[:, 4] = factors[:, 3] * np.array([-2.0, *[1.0] * (degree - 1)])[:, None]
    out = rng.normal(size=(3, rank))
    out[:, 2] = 0
    builder = GraphBuilder((4,))
    if exported:  # all factors by one map
        whole = builder.add(Linear(tensor(factors.reshape(-1, 4))), 0)
        parts = [builder.add(Gather(torch.arange(n * rank, (n + 1) * rank)), whole) for n in range(degree)]
    else:
        parts = [builder.add(Linear(tensor(f)), 0) for f in factors]
    last = parts[0]
    for part in parts[1:]:
        last = builder.add(Add(), builder.add(Mul(), part, last), last)
    builder.add(Linear(tensor(out), tensor(rng.normal(size=3))), last)
    return builder.build()


@pytest.mark.parametrize("exported", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_dead_and_proportional_rank_components_go(seed: int, exported: bool) -> None:
    graph = ccp(seed, exported=exported)
    low, high = unit(graph)
    made, bound = leaned(graph, low, high)
    assert (made.dead, made.merged) == (2, 1)
    assert made.graph.nodes[-2].shape == (3,)
    assert bound.max() < 1e-10
    assert (gap(graph, made.graph, low, high) <= bound).all()


def residual(seed: int, dead: tuple[tuple[int, ...], tuple[int, ...]]) -> Graph:
    """X_1 = relu(conv), y = relu(x_1 + relu(conv x_1)): `dead` channels of the stem and of the branch."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder((2, 5, 5))
    offsets = [rng.normal(size=4) / 4 for _ in range(2)]
    for offset, channels in zip(offsets, dead, strict=True):
        offset[list(channels)] = -100.0
    pad = ((1, 1), (1, 1, 1, 1))
    stem = builder.add(Conv2d(tensor(rng.normal(size=(4, 2, 3, 3)) / 4), tensor(offsets[0]), *pad), 0)
    stem = builder.add(Relu(), stem)
    inner = builder.add(Conv2d(tensor(rng.normal(size=(4, 4, 3, 3)) / 6), tensor(offsets[1]), *pad), stem)
    both = builder.add(Add(), stem, builder.add(Relu(), inner))
    pooled = builder.add(
        Conv2d(torch.ones(4, 1, 5, 5).double() / 25, None, (1, 1), (0, 0, 0, 0), (1, 1), 4), builder.add(Relu(), both)
    )
    builder.add(Linear(tensor(rng.normal(size=(3, 4))), tensor(rng.normal(size=3))), builder.add(Reshape((4,)), pooled))
    return builder.build()


@pytest.mark.parametrize(("dead", "gone"), [(((1,), (1,)), 1), (((1,), (2,)), 0), (((0, 1, 2), (1, 2, 3)), 2)])
def test_a_channel_leaves_a_residual_sum_only_with_its_partners(
    dead: tuple[tuple[int, ...], tuple[int, ...]], gone: int
) -> None:
    graph = residual(3, dead)
    low, high = unit(graph)
    made, bound = leaned(graph, low, high)
    assert made.graph.nodes[1].shape[0] == 4 - gone
    assert bound.max() < 1e-10
    assert (gap(graph, made.graph, low, high) <= bound).all()


@pytest.mark.parametrize("pooled", [True, False])
def test_channels_go_through_pools_and_into_linear_maps(pooled: bool) -> None:
    graph = convolutional(0, pooled=pooled)
    made, bound = leaned(graph, *unit(graph))
    assert [n.shape[0] for n in made.graph.nodes if isinstance(n.op, Conv2d)] == [3, 3]
    assert bound.max() < 1e-10


def test_scaled_channels_merge_through_normalisation() -> None:
    """Channel 1 is -2 times channel 0 before a scale for each, without a shift."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 4))
    weight[1] = -2 * weight[0]
    builder = GraphBuilder((4,))
    last = builder.add(ElementwiseAffine(tensor(np.array([2.0, 5.0, 1.0]))), builder.add(Linear(tensor(weight)), 0))
    builder.add(Linear(tensor(rng.normal(size=(2, 3)))), builder.add(Mul(), last, last))
    graph = builder.build()
    made, bound = leaned(graph, *unit(graph))
    assert made.merged == 1
    assert bound.max() < 1e-10
    assert (gap(graph, made.graph, *unit(graph)) <= bound).all()


@pytest.mark.parametrize("seed", range(60))
def test_answers_stay_on_networks_of_every_operation(seed: int) -> None:
    graph = random_network(seed, products=True)
    low, high = ends(graph, seed)
    made, bound = leaned(graph, low, high)
    assert (gap(graph, made.graph, low, high) <= bound + 1e-13).all()
    assert bound.max() <= 1e-7 * (1 + float(boxes_of(graph, low, high)[-1].magnitude.max()))


@pytest.mark.parametrize("seed", range(60))
def test_the_bound_holds_for_whatever_is_claimed(seed: int) -> None:
    """Weights moved, channels said to be elsewhere, ratios that are none: the bound is above what is met."""
    rng = np.random.default_rng(seed)
    graph = random_network(seed, products=True)
    low, high = ends(graph, seed)

    def shaken(x: torch.Tensor) -> torch.Tensor:
        return x + 1e-3 * torch.from_numpy(rng.normal(size=tuple(x.shape)))

    nodes = []
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Linear | Conv2d) and rng.random() < 0.5:
            op = replace(op, weight=shaken(op.weight))
        if isinstance(op, ElementwiseAffine) and rng.random() < 0.5:
            op = replace(op, scale=shaken(op.scale))
        nodes.append(replace(node, op=op))
    other = Graph(tuple(nodes))
    matches = []
    for at, node in enumerate(graph.nodes):
        match = ChannelMap.same(node.shape[0])
        if 0 < at < len(graph.nodes) - 1 and rng.random() < 0.3:
            to, ratio = match.to.clone(), match.ratio.clone()
            channel = int(rng.integers(len(to)))
            to[channel] = int(rng.integers(-1, len(to)))
            ratio[channel] = float(rng.normal())
            match = ChannelMap(to, ratio, match.kept)
        matches.append(match)
    bound = mapped_difference(graph, other, matches, boxes_of(graph, low, high), boxes_of(other, low, high))
    assert (gap(graph, other, low, high) <= bound * (1 + 1e-12) + 1e-13).all()


def test_a_zero_channel_that_stays_is_still_zero() -> None:
    """Its set stays because a channel is all that a node has; what it reads must then be computed as before."""
    builder = GraphBuilder((2,))
    inner = builder.add(Linear(torch.tensor([[1.0, 1.0], [1.0, -1.0]]).double(), torch.tensor([-9.0, 3.0]).double()), 0)
    first = builder.add(Relu(), inner)  # unit 0 is inactive, unit 1 active
    second = builder.add(
        Relu(), builder.add(Linear(torch.tensor([[0.0, -1.0]]).double(), torch.ones(1).double()), first)
    )
    builder.add(Linear(torch.tensor([[2.0]]).double(), torch.ones(1).double()), second)
    graph = builder.build()
    made, bound = leaned(graph, *unit(graph))
    assert bound.max() < 1e-10
    assert gap(graph, made.graph, *unit(graph)).max() == 0


def test_files_of_polynomial_networks_lose_components(tmp_path: Path) -> None:
    graph = ccp(0, exported=True)
    write_onnx(graph.to(torch.float32), tmp_path / "net.onnx")
    report = compress_file(tmp_path / "net.onnx", tmp_path / "small.onnx", InputSet.of(*unit(graph)))
    assert report.units == (12, 6)
    assert report.parameters[1] < report.parameters[0]
    assert report.bound < 1e-5
    assert report.met <= report.bound + 1e-5
    low, high = unit(graph)
    x = samples(low.numpy(), high.numpy(), graph, 100, 1)
    one, two = (evaluate(read_logits(tmp_path / f"{name}.onnx"), x) for name in ("net", "small"))
    assert float((one - two).abs().max()) <= report.bound
    again = compress_file(tmp_path / "small.onnx", tmp_path / "smaller.onnx", InputSet.of(low, high))
    assert again.sentence.startswith("Nothing changed: of the products none")
    domain = InputSet.of(low, high)
    with pytest.raises(InputError, match="Leave it out"):
        compress_file(tmp_path / "net.onnx", tmp_path / "s.onnx", domain, certificate=tmp_path / "p.npz")


def test_networks_too_large_for_forms_lose_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surefoot.proof.affine_forms.LARGEST", 100)
    graph = residual(3, ((1,), (1,)))
    write_onnx(graph.to(torch.float32), tmp_path / "net.onnx")
    report = compress_file(tmp_path / "net.onnx", tmp_path / "small.onnx", InputSet.of(*unit(graph)), seconds=0.1)
    assert report.units[1] < report.units[0]
    assert report.bound < 1e-4
    assert report.met <= report.bound + 1e-5


@pytest.mark.parametrize("pad", [1, 0])
def test_active_channels_that_stay_are_named_with_the_reason(pad: int) -> None:
    generator = torch.Generator().manual_seed(0)
    first = Conv2d(torch.randn(4, 1, 3, 3, generator=generator).double(), torch.tensor([9.0, 0.0, 0.0, 12.0]).double())
    second = Conv2d(torch.randn(3, 4, 2, 2, generator=generator).double(), None, (1, 1), (pad, pad, pad, pad))
    builder = GraphBuilder((1, 5, 5))
    last = builder.add(Relu(), builder.add(first, 0, name="first"), name="relu")
    last = builder.add(second, last, name="second")
    graph = builder.build(builder.add(Reshape((int(np.prod(builder.nodes[last].shape)),)), last))
    (told,) = compress(graph, InputSet.of(*unit(graph))).log
    assert told.startswith("relu: 2 of 4 channels are active everywhere and stay: ")
    assert ("second pads" in told) == bool(pad)
