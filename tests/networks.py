"""Small random networks of every operation, for the laws of graphs, sets, bounds and verdicts."""

import math

import numpy as np
import torch

from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import (
    Add,
    Concat,
    Conv2d,
    Elementwise,
    ElementwiseAffine,
    Gather,
    Linear,
    MaxPool2d,
    Mul,
    Relu,
    Reshape,
)

_NAMES = (
    "Sigmoid", "Tanh", "Exp", "Sin", "Cos", "Softplus", "Erf", "Gelu", "GeluTanh", "Silu", "Mish", "HardSwish", "Elu",
    "Softsign",
)  # fmt: skip
EVERYWHERE = (
    *map(Elementwise, _NAMES),
    *(Elementwise(*f) for f in (("Pow", (2.0,)), ("Pow", (3.0,)), ("Elu", (1.625,)))),
)


def random_network(seed: int, products: bool = False, classes: int = 3) -> Graph:
    """Make an image network: convolutions, skips, parallel branches, padded and overlapping pools, data movement."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32).astype(np.float64))

    side = int(rng.integers(3, 6))
    builder = GraphBuilder((int(rng.integers(1, 3)), side, side))
    last = 0
    for _ in range(int(rng.integers(1, 4))):
        c, h, w = builder.nodes[last].shape
        match rng.integers(0, 8 if products else 7):
            case 0:
                out = int(rng.integers(1, 4))
                k = int(rng.integers(1, min(h, w, 3) + 1))
                pad = tuple(int(p) for p in rng.integers(0, 2, 4))
                stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
                last = builder.add(Conv2d(weights(out, c, k, k) / k, weights(out) / 2, stride, pad), last)
                last = builder.add(Relu(), last)
            case 1:  # a skip
                inner = builder.add(
                    Relu(), builder.add(ElementwiseAffine(weights(c, 1, 1), weights(1, h, w) / 2), last)
                )
                inner = builder.add(Conv2d(weights(c, c, 3, 3) / 3, None, (1, 1), (1, 1, 1, 1)), inner)
                last = builder.add(Relu(), builder.add(Add(), inner, last))
            case 2:  # parallel branches
                a = builder.add(Relu(), builder.add(Conv2d(weights(1, c, 1, 1), weights(1)), last))
                b = builder.add(Relu(), builder.add(ElementwiseAffine(weights(c, 1, 1), None), last))
                last = builder.add(Concat(0), a, b)
            case 3 if min(h, w) >= 2:
                pad = tuple(int(p) for p in rng.integers(0, 2, 4))
                stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
                last = builder.add(MaxPool2d((2, 2), stride, pad), last)
            case 4:  # average pooling, as it is read
                if min(h, w) >= 2:
                    last = builder.add(
                        Conv2d(torch.ones(c, 1, 2, 2, dtype=torch.float64), None, (1, 1), (0, 0, 0, 0), (1, 1), c), last
                    )
                    last = builder.add(ElementwiseAffine(torch.full((1, 1, 1), 0.25, dtype=torch.float64)), last)
            case 5:  # data movement with padding
                order = np.full((c, h + 1, w), -1)
                order[:, :h] = rng.permutation(c * h * w).reshape(c, h, w)
                last = builder.add(Gather(torch.from_numpy(order)), last)
            case 6:  # values that tie
                last = builder.add(
                    Relu(),
                    builder.add(ElementwiseAffine(torch.zeros(1, 1, 1, dtype=torch.float64), weights(c, 1, 1)), last),
                )
                last = builder.add(Add(), last, last)
            case 7:
                other = builder.add(ElementwiseAffine(weights(c, 1, 1) / 2, weights(c, 1, 1) / 2), last)
                last = builder.add(Mul(), last, other if rng.random() < 0.7 else last)
            case _:
                pass
    size = math.prod(builder.nodes[last].shape)
    last = builder.add(Reshape((size,)), last)
    if rng.random() < 0.6:
        last = builder.add(Relu(), builder.add(Linear(weights(4, size) / math.sqrt(size), weights(4)), last))
        size = 4
    builder.add(Linear(weights(classes, size) / math.sqrt(size), weights(classes) / 2), last)
    return builder.build()


def with_functions(graph: Graph, seed: int) -> Graph:
    """Return a graph with some of its ReLUs made other functions, and a root, a logarithm or a quotient at the end."""
    rng = np.random.default_rng(seed + 3)
    builder = GraphBuilder(graph.input_shape)
    for node in graph.nodes[1:]:
        drawn = EVERYWHERE[int(rng.integers(len(EVERYWHERE)))]
        builder.add(drawn if isinstance(node.op, Relu) and rng.random() < 0.8 else node.op, *node.inputs)
    last = len(builder.nodes) - 1
    positive = builder.add(Elementwise("Sqrt"), builder.add(Elementwise("Softplus"), last))
    log = builder.add(Elementwise("Log"), builder.add(Add(), positive, builder.add(Elementwise("Sigmoid"), last)))
    inverse = builder.add(Elementwise("Reciprocal"), positive)
    builder.add(Add(), builder.add(Mul(), inverse, builder.add(Elementwise("Tanh"), last)), log)
    return builder.build()


def random_box(graph: Graph, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a box of inputs between float32 numbers, some of them fixed."""
    rng = np.random.default_rng(seed + 1)
    size = math.prod(graph.input_shape)
    centre = rng.normal(size=size)
    radius = rng.uniform(0, rng.choice([0.01, 0.1, 0.4]), size=size) * (rng.random(size) < 0.7)
    return tuple(end.astype(np.float32).astype(np.float64) for end in (centre - radius, centre + radius))  # pyright: ignore[reportReturnType]


def samples(lower: np.ndarray, upper: np.ndarray, graph: Graph, count: int, seed: int) -> torch.Tensor:
    """Draw inputs of a box: anywhere, and its corners."""
    rng = np.random.default_rng(seed + 2)
    inside = rng.uniform(lower, upper, (count, len(lower)))
    corners = np.where(rng.random((count, len(lower))) < 0.5, lower, upper)
    return torch.from_numpy(np.concatenate([inside, corners])).reshape(-1, *graph.input_shape)


def random_polynomial(seed: int, classes: int = 3) -> Graph:
    """Make a polynomial of vectors or small images: products of what is affine, and of what is a product already."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32).astype(np.float64))

    if rng.random() < 0.3:
        builder = GraphBuilder((1, 3, 3))
        maps = [builder.add(Conv2d(weights(2, 1, 2, 2) / 2, weights(2) / 2), 0) for _ in range(2)]
        last = builder.add(Add(), builder.add(Mul(), *maps), maps[0])
        if rng.random() < 0.5:
            last = builder.add(Concat(0), last, maps[1])
        last = builder.add(Reshape((math.prod(builder.nodes[last].shape),)), last)
    else:
        d = int(rng.integers(1, 6))
        builder = GraphBuilder((d,))
        last = builder.add(Linear(weights(4, d) / d**0.5, weights(4) / 2), 0)
    for _ in range(int(rng.integers(1, 4))):
        (width,) = builder.nodes[last].shape
        kind = rng.integers(0, 4)
        inner = builder.add(Linear(weights(4, width) / width**0.5, weights(4) / 2), last)
        (source,) = (0,) if len(builder.nodes[0].shape) == 1 else (last,)
        factor = builder.add(Linear(weights(4, math.prod(builder.nodes[source].shape)) / 2, weights(4) / 2), source)
        last = builder.add(Mul(), factor, inner if kind else factor)
        if kind == 2:
            last = builder.add(Add(), last, inner)
        if kind == 3:
            last = builder.add(
                ElementwiseAffine(weights(4), weights(4) / 2), builder.add(Gather(torch.tensor([3, -1, 0, 1])), last)
            )
    builder.add(Linear(weights(classes, 4) / 2, weights(classes) / 2), last)
    return builder.build()
