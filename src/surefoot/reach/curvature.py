"""Second derivatives of a polynomial network over a region, from below, in the space of its factors.

Products of affine forms u z + c make a polynomial. Its Hessian is F' C F: the rows of F are the gradients u, which are
constant, and C, small and symmetric, depends on z. Over a box C lies in an interval, which is computed as derivatives
are, with intervals for numbers; a spread r_ij of an entry costs at most r_ij (|u_j| / |u_i| u_i u_i' + the reverse), so

    H(z) >= F' (mid C - diag_i(sum_j r_ij |u_j| / |u_i|)) F   for every z of the box.

Reference: compare the interval Hessian of Abad Rocamora et al. 2022 (arXiv 2209.07235), in the space of inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.core.rounding import DOUBLE, LOST, UPWARD, gamma, magnitude, step_error, sum_error
from surefoot.graph.graph import Graph, Node, fold
from surefoot.graph.ops import Add, Affine, Concat, Conv2d, ElementwiseAffine, Gather, Linear, Mul, Reshape
from surefoot.reach.ibp import Box, size_of

MOST = 1024  # factors


@dataclass(frozen=True, eq=False)
class Factors:
    """The affine forms whose products make a polynomial network, and which of its values they are."""

    places: dict[int, int]  # of each node whose values are factors, the number of its first one
    gradients: Float[Tensor, "factors inputs"]  # F
    errors: Float[Tensor, "factors inputs"]  # by how much its entries may be off


def factors_of(graph: Graph) -> Factors:
    """Find the factors of a graph: values that are affine in the input and that something else reads.

    Where these are many and more than the inputs, the inputs take their place: looser, and smaller.

    Raises:
        InputError: a network that is no polynomial.
    """
    affine = _affine(graph)
    read = {
        i for at, node in enumerate(graph.nodes) if not affine[at] for i in node.inputs if affine[i]
    } | ({len(graph.nodes) - 1} if affine[-1] else set())  # fmt: skip
    d = size_of(graph.nodes[0])
    if sum(size_of(graph.nodes[at]) for at in read) > max(MOST, d):
        read = {0}
    places, count = {}, 0
    for at in sorted(read):
        places[at] = count
        count += size_of(graph.nodes[at])
    gradients, errors = torch.zeros(count, d).double(), torch.zeros(count, d).double()
    if not read:
        return Factors(places, gradients, errors)
    eye = torch.eye(d, dtype=torch.float64).reshape(d, *graph.input_shape)
    values = {0: (eye, torch.zeros_like(eye))}
    for at, node in enumerate(graph.nodes):
        if at and affine[at]:
            values[at] = _forward(node, [values[i] for i in node.inputs])
        if at in places:
            place = slice(places[at], places[at] + size_of(node))
            gradients[place], errors[place] = (x.reshape(d, -1).T for x in values[at])
    return Factors(places, gradients, errors)


def _affine(graph: Graph) -> list[bool]:
    def rule(node: Node, given: list[bool]) -> bool:
        if not isinstance(node.op, Affine | Add | Concat | Mul):
            raise InputError(f"node {node.name!r}: a network with {type(node.op).__name__} is no polynomial")
        return all(given) and not isinstance(node.op, Mul)

    return fold(graph, True, rule)


Spread = tuple[Tensor, Tensor]  # middles, and by how much they may be off


def _forward(node: Node, given: Sequence[Spread]) -> Spread:
    """Carry derivatives (n, *shape) through one affine operation, a sum, or a concatenation."""
    op, (x, r) = node.op, given[0]
    if isinstance(op, Affine):
        unit = gamma(op.terms, DOUBLE) if not isinstance(op, Gather | Reshape) else 0.0
        return op.linear(x), op.absolute(magnitude(r) + unit * magnitude(x)) * (1 + unit)
    if isinstance(op, Add):
        return _plus(*given)
    assert isinstance(op, Concat)
    return torch.cat([x for x, _ in given], op.axis + 1), torch.cat([r for _, r in given], op.axis + 1)


def _plus(x: Spread, y: Spread) -> Spread:
    total = x[0] + y[0]
    spread = x[1] + y[1] + step_error(1, total.abs())
    return total, spread + step_error(3, spread)


def _times(x: Spread, box: Box) -> Spread:
    """Multiply by numbers of a box, (b, 1, *shape)."""
    (middle, radius), low, high = x, box.lower.unsqueeze(1), box.upper.unsqueeze(1)
    least, most = middle - radius, middle + radius
    corners = torch.stack([least * low, least * high, most * low, most * high])
    low, high = corners.amin(0), corners.amax(0)
    centre = (low + high) / 2
    return centre, (high - low) / 2 + step_error(4, torch.maximum(low.abs(), high.abs())) + LOST


def _of_affine(op: Affine, x: Spread, given: tuple[int, ...]) -> Spread:
    """Carry adjoints (n, *shape) back through an affine operation."""
    middle, radius = x
    unit = gamma(int(np.prod(x[0].shape[1:])), DOUBLE)
    wide = op
    if isinstance(op, Linear | Conv2d):
        wide = replace(op, weight=magnitude(op.weight))
    elif isinstance(op, ElementwiseAffine):
        wide = replace(op, scale=magnitude(op.scale))
    return op.adjoint(middle, given), wide.adjoint(magnitude(radius) + unit * magnitude(middle), given) * (1 + unit)


def adjoints(graph: Graph, boxes: Sequence[Box], rows: Float[Tensor, "b s *shape"]) -> list[Spread | None]:
    """Return d(rows · output) / d(node) for every node, (b, s, *shape), over boxes of all nodes; rows (b, s, *shape).

    With the boxes of a point it is the gradient there, with its rounding; None: nothing.
    """
    spreads: list[Spread | None] = [None] * len(graph.nodes)
    spreads[-1] = (rows, torch.zeros_like(rows))

    def give(to: int, x: Spread) -> None:
        before = spreads[to]
        spreads[to] = x if before is None else _plus(before, x)

    for at in range(len(graph.nodes) - 1, 0, -1):
        node, spread = graph.nodes[at], spreads[at]
        if spread is None:
            continue
        match node.op:
            case Affine() as op:
                given = graph.nodes[node.inputs[0]].shape
                b, s = spread[0].shape[:2]
                flat = _of_affine(op, (spread[0].flatten(0, 1), spread[1].flatten(0, 1)), given)
                give(node.inputs[0], (flat[0].reshape(b, s, *given), flat[1].reshape(b, s, *given)))
            case Add():
                for i in node.inputs:
                    give(i, spread)
            case Mul():
                one, two = node.inputs
                give(one, _times(spread, boxes[two]))
                give(two, _times(spread, boxes[one]))
            case Concat() as op:
                sizes = [graph.nodes[i].shape[op.axis] for i in node.inputs]
                for i, x, r in zip(node.inputs, *(part.split(sizes, op.axis + 2) for part in spread), strict=True):
                    give(i, (x, r))
            case _:
                raise InputError(f"node {node.name!r}: a network with {type(node.op).__name__} is no polynomial")
    return spreads


def execution_gap(
    graph: Graph,
    boxes: Sequence[Box],
    errors: Sequence[Float[Tensor, " b *_"] | None],
    rows: Float[Tensor, "b s *shape"],
) -> Float[Tensor, "b s"]:
    """Bound |rows · (float32 output - output)|, (b, s), for a network whose nodes are off by their errors.

    `boxes` hold for float32 execution too, so on the way from one to the other every derivative lies within those
    over the boxes: each error counts at most the largest derivative at its node times.

    Property: sound in real arithmetic.
    """
    total = torch.zeros(rows.shape[:2], dtype=torch.float64)
    for slope, error in zip(adjoints(graph, boxes, rows), errors, strict=True):
        if slope is not None and error is not None:
            steep = magnitude(slope[0].abs() + slope[1])
            total = total + (steep * magnitude(error).unsqueeze(1)).flatten(2).sum(2)
    return UPWARD * total


def curvature(
    graph: Graph, boxes: Sequence[Box], factors: Factors, rows: Float[Tensor, "b s *shape"]
) -> tuple[Float[Tensor, "b s factors factors"], Float[Tensor, "b s factors factors"]]:
    """Return the middle and the spread of C, (b, s, factors, factors), for the Hessians of rows · output, (b, s, ...).

    Property: for every input of the region, H = F' C F with C within the spread, in real arithmetic.
    """
    count, (b, s) = len(factors.gradients), rows.shape[:2]
    slopes = adjoints(graph, boxes, rows)
    middle = rows.new_zeros(b, s, count, count)
    spread = torch.zeros_like(middle)
    values: dict[int, Spread] = {}
    for at, node in enumerate(graph.nodes):
        if at in factors.places:
            unit = torch.zeros(1, count, size_of(node), dtype=torch.float64)
            index = torch.arange(size_of(node))
            unit[0, factors.places[at] + index, index] = 1.0
            values[at] = (unit.reshape(1, count, *node.shape), torch.zeros(1, count, *node.shape).double())
            continue
        if not at or any(i not in values for i in node.inputs):
            continue  # affine, and read by what is affine
        given = [values[i] for i in node.inputs]
        match node.op:
            case Mul():
                one, two = given
                outer = slopes[at]
                if outer is not None:
                    _collect(middle, spread, outer, one, two)
                x, y = _times(one, boxes[node.inputs[1]]), _times(two, boxes[node.inputs[0]])
                values[at] = _plus(x, y)
            case Affine():
                n = given[0][0].shape[0]
                flat = _forward(node, [(given[0][0].flatten(0, 1), given[0][1].flatten(0, 1))])
                values[at] = (flat[0].reshape(n, count, *node.shape), flat[1].reshape(n, count, *node.shape))
            case Add():
                values[at] = _forward(node, given)
            case Concat() as op:
                wide = [[torch.broadcast_to(x, (b, *x.shape[1:])) for x in pair] for pair in given]
                values[at] = (
                    torch.cat([x[0] for x in wide], op.axis + 2),
                    torch.cat([x[1] for x in wide], op.axis + 2),
                )
            case _:
                pass
    return middle, spread


def _collect(middle: Tensor, spread: Tensor, outer: Spread, one: Spread, two: Spread) -> None:
    """Add sum_e o_e (a_e b_e' + b_e a_e'): o (b, s, e), a and b (b or 1, factors, e)."""
    (outside, loose), (x, xr), (y, yr) = ((m.flatten(2), r.flatten(2)) for m, r in (outer, one, two))
    if bool(xr.any()) and not bool(yr.any()):  # what has no spread multiplies last: nothing is lost then
        (x, xr), (y, yr) = (y, yr), (x, xr)
    unit = gamma(2 * outside.shape[2], DOUBLE)
    for row in range(outside.shape[1]):
        m, r = _times((y, yr), Box(outside[:, row] - loose[:, row], outside[:, row] + loose[:, row]))
        half = x @ m.transpose(1, 2)
        most = magnitude(m)
        off = magnitude(x) @ (r + unit * most).transpose(1, 2) + magnitude(xr) @ (most + r).transpose(1, 2)
        middle[:, row] += half + half.transpose(1, 2)
        spread[:, row] += (off + off.transpose(1, 2)) * (1 + unit)


def least_curvature(
    factors: Factors,
    middle: Float[Tensor, "b s factors factors"],
    spread: Float[Tensor, "b s factors factors"],
    scale: Float[Tensor, "b d"],
) -> tuple[Float[Tensor, "b s d d"], Float[Tensor, "b s"]]:
    """Return A (b, s, d, d), and e (b, s), with scale H scale >= A - e I for all z; scale (b, d) >= 0 of the inputs.

    Property: sound in real arithmetic; e pays for all rounding.
    """
    f = factors.gradients * scale.unsqueeze(1)  # (b, factors, d)
    sizes = magnitude(factors.gradients) * magnitude(scale).unsqueeze(1)
    norms = magnitude(_norm(sizes, 2)).unsqueeze(1)  # any positive numbers would do
    cost = (magnitude(spread) @ norms.unsqueeze(3)).squeeze(3) / norms
    cost = torch.where(norms > 0, cost, 0.0)
    cost = cost + sum_error(cost.shape[2], cost)
    inner = middle - torch.diag_embed(cost)
    matrix = f.unsqueeze(1).transpose(2, 3) @ inner @ f.unsqueeze(1)
    matrix = (matrix + matrix.transpose(2, 3)) / 2
    size = _norm(magnitude(f).flatten(1), 1).unsqueeze(1)
    errors = magnitude(factors.errors) * magnitude(scale).unsqueeze(1) + step_error(1, sizes)
    off = _norm(errors.flatten(1), 1).unsqueeze(1)
    weight = _norm(magnitude(inner).flatten(2), 2) + step_error(1, _norm(middle.flatten(2), 2))
    unit = gamma(2 * f.shape[1] + 8, DOUBLE)
    return matrix, UPWARD * (2 * unit * size**2 + 2 * off * (size + off)) * weight + LOST


def _norm(x: Tensor, dim: int) -> Tensor:
    """Return the Euclidean norm, though squares of the numbers may be too small or too large."""
    largest = x.abs().amax(dim, keepdim=True)
    whole = largest * (x / torch.where(largest > 0, largest, 1.0)).norm(dim=dim, keepdim=True)
    return whole.squeeze(dim)
