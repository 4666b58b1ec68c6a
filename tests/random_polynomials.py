"""Random polynomial networks, the same ones written otherwise, and their exact coefficients."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Add, Concat, ElementwiseAffine, Gather, Linear, Mul, Op
from surefoot.proof.matrices import affine_matrix

Rng = np.random.Generator
Polynomial = dict[tuple[int, ...], Fraction]  # by the exponents of the inputs
Plan = list[tuple[Op, tuple[int, ...]]]  # operations and what they are given: 0 is the input

WEIGHTS: dict[str, Callable[[Rng, Any], np.ndarray]] = {
    "whole": lambda rng, size: rng.integers(-4, 5, size).astype(np.float64),
    "single": lambda rng, size: rng.normal(size=size).astype(np.float32).astype(np.float64),
    "double": lambda rng, size: rng.normal(size=size),
    "tiny": lambda rng, size: rng.normal(size=size) * 2.0**-1060,
    "huge": lambda rng, size: rng.normal(size=size) * 2.0**1000,
    "wide": lambda rng, size: rng.normal(size=size) * 2.0 ** rng.integers(-600, 600, size),
    "sparse": lambda rng, size: rng.normal(size=size) * (rng.random(size) < 0.3),
}


def tensor(x: np.ndarray) -> torch.Tensor:
    """Return an array of its own as a tensor."""
    return torch.from_numpy(np.ascontiguousarray(x))


def plan(rng: Rng) -> tuple[int, Plan]:
    """Draw a network of degree at most 8: its inputs, and its operations."""
    inputs = int(rng.integers(1, 4))
    weights = WEIGHTS[str(rng.choice(list(WEIGHTS)))]
    steps: Plan = []
    sizes, degrees = [inputs], [1]

    def add(op: Op, size: int, degree: int, *given: int) -> int:
        steps.append((op, given))
        sizes.append(size)
        degrees.append(degree)
        return len(steps)

    width = int(rng.integers(1, 4))
    last = add(Linear(tensor(weights(rng, (width, inputs))), tensor(weights(rng, width))), width, 1, 0)
    for _ in range(int(rng.integers(1, 6))):
        alike = [i for i in range(1, len(sizes)) if sizes[i] == sizes[last]]
        other = int(rng.choice(alike))
        match rng.integers(6):
            case 0 | 1 if degrees[last] + degrees[other] <= 8:
                last = add(Mul(), sizes[last], degrees[last] + degrees[other], last, other)
            case 2:
                last = add(Add(), sizes[last], max(degrees[last], degrees[other]), last, other)
            case 3:
                scale, shift = (tensor(weights(rng, sizes[last])) for _ in range(2))
                last = add(
                    ElementwiseAffine(scale, shift if rng.random() < 0.5 else None), sizes[last], degrees[last], last
                )
            case 4:
                index = rng.integers(-1, sizes[last], int(rng.integers(1, 4)))  # -1 is a 0
                last = add(Gather(tensor(index)), len(index), degrees[last], last)
            case _:
                width = int(rng.integers(1, 4))
                matrix = tensor(weights(rng, (width, sizes[last])))
                last = add(Linear(matrix, tensor(weights(rng, width))), width, degrees[last], last)
    if degrees[last] <= 4:
        add(Mul(), sizes[last], 2 * degrees[last], last, last)
    return inputs, steps


def build(inputs: int, steps: Plan) -> Graph:
    """Make the network of a plan."""
    builder = GraphBuilder((inputs,))
    for op, given in steps:
        builder.add(op, *given)
    return builder.build()


def rewritten(rng: Rng, inputs: int, steps: Plan) -> Graph:
    """Write a plan otherwise, in ways that change no coefficient: every value is spelled in another form."""
    builder = GraphBuilder((inputs,))
    places = [0]
    for op, given in steps:
        at = [places[i] for i in given]
        match op:
            case Mul() if rng.random() < 0.4:  # (a / 4) (4 b)
                at = [
                    builder.add(ElementwiseAffine(tensor(np.array([s]))), i)
                    for s, i in zip((0.25, 4.0), at, strict=True)
                ]
                at = at if rng.random() < 0.5 else at[::-1]
                place = builder.add(op, *at)
            case Mul() if rng.random() < 0.5:  # a b + a b - a b
                product = builder.add(op, *at[::-1])
                minus = builder.add(ElementwiseAffine(tensor(np.array([-1.0]))), builder.add(op, *at))
                place = builder.add(Add(), builder.add(Add(), product, product), minus)
            case Add() if rng.random() < 0.5:
                place = builder.add(op, *at[::-1])
            case Linear() if rng.random() < 0.6:
                place = _permuted(rng, builder, op, at[0])
            case ElementwiseAffine() if rng.random() < 0.5:  # a diagonal matrix
                size = builder.nodes[at[0]].shape[0]
                shift = None if op.bias is None else op.bias.expand(size).clone()
                place = builder.add(Linear(torch.diag(op.scale.expand(size)), shift), at[0])
            case _:
                place = builder.add(op, *at)
        places.append(place)
    return builder.build()


def _permuted(rng: Rng, builder: GraphBuilder, op: Linear, at: int) -> int:
    """Write a linear map with its rows in another order, in two parts, one after another, and put them back."""
    width = len(op.weight)
    order = rng.permutation(width)
    weight, offset = op.weight[order], None if op.bias is None else op.bias[order]
    if width > 1 and rng.random() < 0.5:
        cut = int(rng.integers(1, width))
        halves = [
            builder.add(Linear(weight[part], None if offset is None else offset[part]), at)
            for part in (slice(cut), slice(cut, None))
        ]
        whole = builder.add(Concat(0), *halves)
    else:
        whole = builder.add(Linear(weight, offset), at)
    return builder.add(Gather(tensor(np.argsort(order))), whole)


def coefficients(graph: Graph) -> list[Polynomial]:
    """Expand a network's outputs, exactly."""
    (inputs,) = graph.input_shape
    values = [[{tuple(int(i == j) for j in range(inputs)): Fraction(1)} for i in range(inputs)]]
    for node in graph.nodes[1:]:
        given = [values[i] for i in node.inputs]
        match node.op:
            case Mul():
                values.append([_product(a, b) for a, b in zip(*given, strict=True)])
            case Add():
                values.append([_sum([(Fraction(1), a), (Fraction(1), b)]) for a, b in zip(*given, strict=True)])
            case Concat():
                values.append([p for part in given for p in part])
            case _:
                matrix, bias = affine_matrix(node, graph.nodes[node.inputs[0]].shape)
                zero = (0,) * inputs
                rows = zip(matrix.toarray().tolist(), np.ravel(bias).tolist(), strict=True)
                one: list[Polynomial] = [{zero: Fraction(1)}]
                values.append(
                    [
                        _sum([(Fraction(w), p) for w, p in zip([*row, b], given[0] + one, strict=True)])
                        for row, b in rows
                    ]
                )
    return [{at: c for at, c in p.items() if c} for p in values[-1]]


def _sum(terms: list[tuple[Fraction, Polynomial]]) -> Polynomial:
    total: Polynomial = {}
    for factor, p in terms:
        for at, c in p.items() if factor else ():
            total[at] = total.get(at, Fraction(0)) + factor * c
    return total


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for one, c in a.items():
        for two, d in b.items():
            at = tuple(i + j for i, j in zip(one, two, strict=True))
            total[at] = total.get(at, Fraction(0)) + c * d
    return total
