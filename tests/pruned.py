"""Networks with channels that can go, what is left of them, and how far the two are apart."""

import numpy as np
import torch

from networks import random_box, samples
from planted import tensor
from surefoot.compress.channel_check import mapped_difference
from surefoot.compress.channels import Pruned, prune_channels
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Add, Conv2d, Gather, Linear, Mul, Relu, Reshape
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.reach.tightening import tighten_by_crown


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
