"""Networks with planted units of every kind that a rewrite removes."""

import numpy as np
import torch

from surefoot.compress.interior import inside
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Conv2d, Linear, MaxPool2d, Relu, Reshape
from surefoot.spec.input_set import InputSet


def tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64))


def dense(seed: int, kinds: tuple[str, ...] = (), hidden: tuple[int, ...] = (12, 10), inputs: int = 5) -> Graph:
    """Make a network over [0, 1]^inputs; each kind is planted once in every hidden layer."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder((inputs,))
    last, width = 0, inputs
    most = np.ones(inputs)
    for units in hidden:
        weight, offset = rng.normal(size=(units, width)) / np.sqrt(width), rng.normal(size=units) / 4
        high = np.abs(weight) @ most
        place = 0
        for kind in kinds:
            match kind:
                case "inactive":
                    offset[place] = -high[place] - 0.1
                case "active":
                    offset[place] = high[place] + 0.1
                case "constant":
                    weight[place], offset[place] = 0, 0.7
                case "proportional":
                    weight[place], offset[place] = 3 * weight[-1], 3 * offset[-1]
                case "dependent":  # three active units, one the sum of two
                    weight[place + 2] = weight[place] - 2 * weight[place + 1]
                    for i in range(place, place + 3):
                        offset[i] = np.abs(weight[i]) @ most + 0.1 * (i + 1)
                    place += 2
            place += 1
        last = builder.add(Relu(), builder.add(Linear(tensor(weight), tensor(offset)), last))
        most = np.abs(weight) @ most + np.abs(offset)
        width = units
    out = rng.normal(size=(3, width)) / np.sqrt(width)
    if "unused" in kinds:
        out[:, -2] = 0
    return builder.build(builder.add(Linear(tensor(out), tensor(rng.normal(size=3))), last))


def convolutional(seed: int, dead: int = 2, pooled: bool = True) -> Graph:
    """Make a network of two convolutions, each with dead channels, over [0, 1]."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder((1, 6, 6))
    first, second = rng.normal(size=(5, 1, 3, 3)) / 3, rng.normal(size=(4, 5, 3, 3)) / 6
    one, two = rng.normal(size=5) / 4, rng.normal(size=4) / 4
    one[:dead], two[:1] = -30.0, -300.0
    last = builder.add(Relu(), builder.add(Conv2d(tensor(first), tensor(one), (1, 1), (1, 1, 1, 1)), 0))
    last = builder.add(MaxPool2d((2, 2), (2, 2)), last) if pooled else last
    last = builder.add(Relu(), builder.add(Conv2d(tensor(second), tensor(two), (1, 1), (1, 1, 1, 1)), last))
    size = int(np.prod(builder.nodes[last].shape))
    last = builder.add(Reshape((size,)), last)
    return builder.build(builder.add(Linear(tensor(rng.normal(size=(3, size)) / 5), tensor(rng.normal(size=3))), last))


def hard() -> Graph:
    """Make a network over [0, 1]^3 whose second layer is inactive, which bounds alone do not show."""
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=s) for s in ((10, 3), (8, 10), (2, 8))]
    offsets = [rng.normal(size=10) / 3, rng.normal(size=8) / 3, np.zeros(2)]
    x = rng.random((20000, 3))
    h = np.maximum(x @ weights[0].T + offsets[0], 0) @ weights[1].T
    offsets[1] = -h.max(0) - 0.05 * np.ptp(h, axis=0)
    builder, last = GraphBuilder((3,)), 0
    for i, (w, b) in enumerate(zip(weights, offsets, strict=True)):
        last = builder.add(Linear(tensor(w), tensor(b)), last)
        last = builder.add(Relu(), last) if i < 2 else last
    return builder.build(last)


def box(graph: Graph) -> InputSet:
    return InputSet.of(np.zeros(graph.input_shape), np.ones(graph.input_shape))


def largest_gap(first: Graph, second: Graph) -> float:
    x = inside(box(first), first.input_shape, 3000, seed=7)
    y, z = evaluate(first, x), evaluate(second, x)
    return float((y - z).abs().max() / (1 + y.abs().max()))
