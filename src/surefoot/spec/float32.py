"""How far any float32 evaluation can be from a graph's values: each operation's rounding, carried through the next."""

from collections.abc import Sequence

import torch
from torch import Tensor

from surefoot.core.rounding import FLOAT32
from surefoot.graph.graph import Node, apply
from surefoot.graph.onnx_values import MIXTURE
from surefoot.graph.ops import (
    Add,
    Affine,
    Concat,
    Elementwise,
    Gather,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Relu,
    Reshape,
    Softmax,
)  # fmt: skip

LOOSE = 1e-3  # of the largest output: more than float32 rounds off in any network that is of use
SEEN = 100  # times what float32 is seen to change, and FAINT of the largest value inside: with LOOSE
FAINT = 1e-5
FUNCTION = 2e-6  # of 1 + |y|: what runtimes may lose in an elementary function
PLACE = 2.0**-20  # what runtimes may err by in the place of a mixture of two neighbours, of the length of the axis
SLACK = 4  # times what any float32 evaluation can err by: a runtime may fuse operations


def allowed(y: Tensor, error: Tensor, single: Tensor, largest: Tensor) -> Tensor:
    """Return by how much a runtime's values may differ from values (n, k), their bound and their float32.

    `SLACK` times the bound, or, for deep networks where that says little, `LOOSE` of the largest output, with `SEEN`
    times what float32 is seen to change and `FAINT` of the largest value inside, (n, 1).
    """
    loose = LOOSE * y.abs().amax(1, keepdim=True) + SEEN * (single - y).abs().amax(1, keepdim=True) + FAINT * largest
    return torch.fmin(SLACK * error, torch.where(loose.isfinite(), loose, torch.inf))


def undecided(nodes: Sequence[Node], values: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Return in which rows (n,) nothing is told of each node's values.

    They depend on a step that rounding decides, or on a function where it is not defined: there a runtime may have a
    value of its own.
    """
    none = torch.zeros(len(values[0][0]), dtype=torch.bool)
    open_ = [none]
    for node, (_, error) in zip(nodes[1:], values[1:], strict=True):
        here = torch.stack([open_[i] for i in node.inputs]).any(0)
        if isinstance(node.op, Elementwise):
            x = values[node.inputs[0]][0]
            if node.op.function.steps is not None:
                here = here | (error.flatten(1) > 0).any(1)
            here = here | ~node.op.function.defined(x, x).flatten(1).all(1)
        open_.append(here)
    return open_


def with_error(node: Node, values: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Compute one operation in float64 of values with their errors; return its result, and a bound on its error.

    *Reference*: Higham 2002, section 3.1.
    """
    y = apply(node.op, [value for value, _ in values])
    x, error = values[0]
    match node.op:
        case Gather() | Reshape() | MaxPool2d():
            return y, apply(node.op, [error])
        case Relu():  # what stays below 0 errs by nothing
            return y, torch.maximum((x + error).clamp(min=0) - y, y - (x - error).clamp(min=0))
        case Elementwise() if (steps := node.op.function.steps) is not None:
            low, high = x - error, x + error
            above = steps.greatest(node.op.function.value, high, high) - y
            return y, torch.maximum(above, y - steps.least(node.op.function.value, low, low))
        case Elementwise():
            rise = node.op.function.steepest(x - error, x + error)
            return y, torch.where(error == 0, 0.0, rise * error) + FUNCTION * (1 + y.abs())
        case Concat():
            return y, apply(node.op, [error for _, error in values])
        case Affine():
            relative, absolute = FLOAT32.error(node.op.terms)
            bias = node.op.broadcast_bias()
            size = node.op.absolute(x.abs() + error) + (0.0 if bias is None else bias.abs())
            error = node.op.absolute(error) + relative * size + absolute
            if isinstance(node.op, Linear) and node.op.rounded.startswith(MIXTURE):
                error = error + PLACE * node.op.terms * x.abs().amax(-1, keepdim=True)
            return y, error
        case Add() | Mul():
            other, more = values[1]
            relative, absolute = FLOAT32.error(1)
            if isinstance(node.op, Add):
                return y, (1 + relative) * (error + more) + relative * (x.abs() + other.abs()) + absolute
            exact = x.abs() * more + other.abs() * error + error * more
            return y, (1 + relative) * exact + relative * y.abs() + absolute
        case Softmax():
            moved = 2 * error.amax(-1, keepdim=True)
            return y, moved + 1e-5 * (1 + y.abs()) if node.op.log else y * torch.expm1(moved) + 1e-6
        case Input():
            raise AssertionError("the input is given")
