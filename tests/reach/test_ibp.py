"""Boxes of single operations: every value is inside, the ends are met, and float32 stays within its error."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.core.rounding import FLOAT32, REAL
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import (
    Add,
    Concat,
    Conv2d,
    ElementwiseAffine,
    Gather,
    Linear,
    MaxPool2d,
    Mul,
    Op,
    Relu,
    Reshape,
    Softmax,
)
from surefoot.reach.ibp import Box, error_of, step

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> Tensor:
    return torch.from_numpy(RNG.normal(size=shape))


SHAPE = (2, 3, 4)
OPS: dict[str, Op] = {
    "linear": Linear(numbers(3, 4), numbers(3)),
    "conv": Conv2d(numbers(3, 1, 2, 2), numbers(3), (2, 1), (1, 0, 0, 1), groups=1),
    "scale": ElementwiseAffine(numbers(3, 1), numbers(4)),
    "gather": Gather(torch.tensor([[23, -1], [0, 0]])),
    "reshape": Reshape((24,)),
    "relu": Relu(),
    "pool": MaxPool2d((2, 2), (1, 2), (1, 1, 0, 0)),
}


def of_one(op: Op, shape: tuple[int, ...] = SHAPE) -> Graph:
    builder = GraphBuilder(shape)
    builder.add(op, 0)
    return builder.build()


def box_of(shape: tuple[int, ...], regions: int = 2) -> Box:
    middle, radius = numbers(regions, *shape), numbers(regions, *shape).abs()
    return Box(middle - radius, middle + radius)


@pytest.mark.parametrize("name", OPS)
def test_the_box_of_one_operation_is_met_at_corners(name: str) -> None:
    """For independent inputs interval bounds are exact: each end is the value at the corner of its signs."""
    op = OPS[name]
    shape = (1, 3, 4) if name == "conv" else SHAPE
    graph, region = of_one(op, shape), box_of(shape)
    box = step(graph.nodes[1], [region], None)
    spare = 1e-12 * (1 + box.magnitude)
    for share in (0.0, 0.3, 1.0):
        x = torch.minimum(region.lower + share * (region.upper - region.lower), region.upper)
        y = evaluate(graph, x)
        assert bool(((y >= box.lower) & (y <= box.upper)).all())
    size = math.prod(graph.output_shape)
    for place in range(0, size, 3):
        for sign, end in ((1.0, box.upper), (-1.0, box.lower)):
            x = ((region.lower + region.upper) / 2).requires_grad_()
            (slope,) = torch.autograd.grad(evaluate(graph, x).flatten(1)[:, place].sum(), x)
            if name in ("relu", "pool"):  # monotone
                slope = torch.ones_like(x)
            corner = torch.where(sign * slope >= 0, region.upper, region.lower)
            met = evaluate(graph, corner).flatten(1)[:, place]
            assert bool(((met - end.flatten(1)[:, place]).abs() <= spare.flatten(1)[:, place]).all())


def test_products_take_the_best_corner_and_squares_are_not_negative() -> None:
    builder = GraphBuilder((50,))
    product = builder.nodes[builder.add(Mul(), builder.add(Relu(), 0), builder.add(Relu(), 0))]
    square = builder.nodes[builder.add(Mul(), 0, 0)]
    x, y = box_of((50,)), box_of((50,))
    box = step(product, [x, y], None)
    corners = torch.stack([a * b for a in (x.lower, x.upper) for b in (y.lower, y.upper)])
    torch.testing.assert_close(box.lower, corners.amin(0), rtol=0, atol=1e-12)
    torch.testing.assert_close(box.upper, corners.amax(0), rtol=0, atol=1e-12)
    assert bool(((box.lower < corners.amin(0)) & (box.upper > corners.amax(0))).all())  # rounded outward
    box = step(square, [x, x], None)
    around = (x.lower < 0) & (x.upper > 0)
    assert bool((box.lower[around] == 0).all())
    torch.testing.assert_close(box.upper, torch.maximum(x.lower**2, x.upper**2), rtol=0, atol=1e-12)


def test_sums_and_joined_values() -> None:
    builder = GraphBuilder((3,))
    total = builder.nodes[builder.add(Add(), 0, builder.add(Relu(), 0))]
    joined = builder.nodes[builder.add(Concat(0), 0, 1)]
    x, y = box_of((3,)), box_of((3,))
    box = step(total, [x, y], None)
    assert bool(((box.lower < x.lower + y.lower) & (box.upper > x.upper + y.upper)).all())
    torch.testing.assert_close((box.lower, box.upper), (x.lower + y.lower, x.upper + y.upper), rtol=0, atol=1e-12)
    box = step(joined, [x, y], None)
    assert torch.equal(box.lower, torch.cat([x.lower, y.lower], 1))
    with pytest.raises(InputError, match="Softmax has no bounds of its own"):
        step(of_one(Softmax(), (3,)).nodes[1], [x], None)


@pytest.mark.parametrize("name", ["linear", "conv", "scale"])
def test_float32_stays_within_its_error(name: str) -> None:
    op = OPS[name]
    shape = (1, 3, 4) if name == "conv" else SHAPE
    graph, region = of_one(op, shape).to(torch.float32), box_of(shape, 1)
    exact = graph.to(torch.float64)
    error = error_of(exact.nodes[1], [region], FLOAT32)
    assert error is not None
    x = (region.lower + torch.rand(200, *shape).double() * (region.upper - region.lower)).float()
    moved = (evaluate(graph, x).double() - evaluate(exact, x.double())).abs()
    assert bool((moved <= error).all())
    assert float(moved.max()) > 0
    assert error_of(exact.nodes[1], [region], REAL) is None


def test_what_may_overflow_errs_by_infinity() -> None:
    graph = of_one(ElementwiseAffine(torch.tensor(10.0).double()), (2,))
    x = torch.tensor([[1.0, 1e38]]).double()
    error = error_of(graph.nodes[1], [Box(-x, x)], FLOAT32)
    assert error is not None
    assert error.isinf().tolist() == [[False, True]]


def test_boxes_meet_and_are_chosen_by_region() -> None:
    x, y = box_of((4,), 3), box_of((4,), 3)
    both = x.meet(y.lower, y.upper)
    assert torch.equal(both.lower, torch.maximum(x.lower, y.lower))
    assert torch.equal(both.upper, torch.minimum(x.upper, y.upper))
    assert torch.equal(x.of(slice(1, 3)).upper, x.upper[1:])
    assert bool((x.magnitude >= torch.maximum(x.lower.abs(), x.upper.abs())).all())
