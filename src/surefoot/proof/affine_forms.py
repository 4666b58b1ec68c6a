"""What a network is once stable ReLUs are resolved: affine forms over its inputs and its unstable ReLUs.

An active ReLU is the identity, an inactive one is 0; every other is an *atom*, known by the form that enters it.
Rewrites keep these forms. Two networks whose forms agree are equal, and where they nearly agree the difference is
bounded: |relu(s) - relu(t)| <= |s - t|. So this is the check of every rewrite, and knows none of them.
"""

from dataclasses import dataclass

import numpy as np

from surefoot.core.errors import InputError
from surefoot.core.rounding import DOUBLE, magnitude
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Add, Affine, Concat, Elementwise, Input, MaxPool2d, Mul, Relu, Softmax
from surefoot.proof.matrices import affine_matrix

LARGEST = 2**25  # numbers in the forms of one node, or of all ReLUs before it
MATCH = 1e-2  # of its size: ReLUs of two networks nearer than this correspond
SAFE = 1 + 1e-6  # of an error: it is made of sums and products of numbers that are not negative, fewer than 1e9 in turn
TWIN = 1e-9  # of its size: a ReLU nearer than this to a multiple of another is that multiple


@dataclass(eq=False)
class AffineForms:
    """The forms of a network's outputs, and its atoms: rows over (1, inputs, atoms of earlier rows).

    `radius` is the largest magnitude of each column over the domain, `error` how far a form may be from what it stands
    for.
    """

    inputs: int
    outputs: np.ndarray  # (k, columns)
    error: np.ndarray  # (k,)
    unstable_relus: list[np.ndarray]
    unstable_errors: list[float]
    radius: np.ndarray  # (columns,)
    depths: list[float]  # how far below 0 what enters each atom may be


@np.errstate(all="ignore")
def affine_forms_of(graph: Graph, boxes: list[tuple[np.ndarray, np.ndarray]]) -> AffineForms:
    """Resolve a graph over boxes (lower, upper) of all its nodes, flat.

    Raises:
        InputError: products or max pooling, which have no such form, or a network too large for dense forms.
    """
    low, high = boxes[0]
    inputs = len(low)
    radius = [1.0, *np.maximum(np.abs(low), np.abs(high)).tolist()]
    unstable_relus: list[np.ndarray] = []
    unstable_errors: list[float] = []
    depths: list[float] = []
    first = np.concatenate([np.zeros((inputs, 1)), np.eye(inputs)], 1)
    values: list[tuple[np.ndarray, np.ndarray]] = [(first, np.zeros(inputs))]
    for at, node in enumerate(graph.nodes[1:], 1):
        given = [values[i] for i in node.inputs]
        if max(len(boxes[at][0]), len(unstable_relus)) * len(radius) > LARGEST:
            raise InputError(f"node {node.name!r}: {len(boxes[at][0])} values are too many for dense forms")
        match node.op:
            case Affine():
                matrix, bias = affine_matrix(node, graph.nodes[node.inputs[0]].shape)
                form = np.asarray(matrix @ given[0][0])
                form[:, 0] += bias
                most = abs(matrix)
                most.data = magnitude(most.data)
                size = most @ magnitude(_size(given[0][0], radius)) + np.abs(bias)
                terms = int(np.diff(matrix.indptr).max(initial=0))
                error = most @ magnitude(given[0][1]) + 1.01 * (terms + 8) * DOUBLE * size
            case Add():
                form = _wide(given[0][0], radius) + _wide(given[1][0], radius)
                error = given[0][1] + given[1][1] + 4 * DOUBLE * _size(form, radius)
            case Concat():
                parts = [
                    np.arange(len(f)).reshape(graph.nodes[i].shape)
                    for i, (f, _) in zip(node.inputs, given, strict=True)
                ]
                starts = np.cumsum([0, *(len(f) for f, _ in given)])
                order = np.concatenate([p + s for p, s in zip(parts, starts, strict=False)], node.op.axis).ravel()
                form = np.concatenate([_wide(f, radius) for f, _ in given])[order]
                error = np.concatenate([e for _, e in given])[order]
            case Relu():
                form, error = _rectified(
                    given[0], boxes[node.inputs[0]], unstable_relus, unstable_errors, depths, radius
                )
            case Mul() | Elementwise() | MaxPool2d() | Softmax() | Input():
                raise InputError(f"node {node.name!r}: {type(node.op).__name__} has no affine form")
        values.append((form, error))
    form, error = values[-1]
    return AffineForms(inputs, _wide(form, radius), error, unstable_relus, unstable_errors, np.array(radius), depths)


def _rectified(
    given: tuple[np.ndarray, np.ndarray],
    box: tuple[np.ndarray, np.ndarray],
    unstable_relus: list[np.ndarray],
    unstable_errors: list[float],
    depths: list[float],
    radius: list[float],
) -> tuple[np.ndarray, np.ndarray]:
    (form, error), (low, high) = given, box
    form = _wide(form, radius)  # a branch from before other ReLUs is compared with their atoms too
    active = low >= 0
    unstable = ~active & ~(high <= 0)  # also what is not a number: then nothing is shown
    begin = width = len(radius)
    now = np.array(radius)
    unit = 8 * (width + 8) * DOUBLE
    error = np.where(active | unstable, error, 0.0)
    known = np.zeros(
        (len(unstable_relus) + int(unstable.sum()), width)
    )  # atoms so far, to find those that are met again
    for number, unstable_relu in enumerate(unstable_relus):
        known[number, : len(unstable_relu)] = unstable_relu
    directions = known * now
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-300)
    before = len(unstable_relus)
    placed: list[tuple[int, int, float]] = []  # unit, atom, scale
    for i in np.flatnonzero(unstable):
        size = float(np.abs(form[i]) @ now)
        if unstable_relus:
            twin = int((directions[: len(unstable_relus)] @ (form[i] * now)).argmax())
            other = float(np.abs(known[twin]) @ now)
            a = size / other if other > 0 else 0.0
            gap = float(np.abs(form[i] - a * known[twin]) @ now)
            if gap <= TWIN * size:  # relu(s) is a relu(t) but for the gap: no atom of its own
                placed.append((int(i), twin, a))
                error[i] += gap + _multiple(a, unstable_errors[twin]) + unit * float(_size(form[i], now))
                continue
        number = len(unstable_relus)
        known[number] = form[i]
        directions[number] = form[i] * now / max(float(np.linalg.norm(form[i] * now)), 1e-300)
        placed.append((int(i), number, 1.0))
        unstable_relus.append(form[i])
        unstable_errors.append(float(error[i]))
        radius.append(float(high[i]))
        depths.append(float(-low[i]))
        error[i] = 0.0
    kept = _wide(np.where(active[:, None], form, 0.0), radius)
    for row, number, scale in placed:
        kept[row, begin - before + number] = scale
    return kept, error


def _size(form: np.ndarray, radius: list[float] | np.ndarray) -> np.ndarray:
    """Return |form| reach, each as `magnitude` gives it."""
    return magnitude(form) @ magnitude(np.asarray(radius))[: form.shape[-1]]


def _multiple(a: float, error: float) -> float:
    return float(magnitude(np.array(a)) * magnitude(np.array(error)))


def _wide(form: np.ndarray, radius: list[float]) -> np.ndarray:
    return np.pad(form, ((0, 0), (0, len(radius) - form.shape[1])))


@np.errstate(all="ignore")
def difference(first: AffineForms, second: AffineForms) -> np.ndarray:
    """Bound |f_k(x) - g_k(x)| of each output over the domain.

    Property: sound, in real arithmetic.

    Raises:
        InputError: networks of different inputs or outputs.
    """
    if first.inputs != second.inputs or first.outputs.shape[0] != second.outputs.shape[0]:
        raise InputError(
            f"networks of {first.inputs} inputs and {len(first.outputs)} outputs and of {second.inputs} and "
            f"{len(second.outputs)} cannot be equal"
        )
    return np.minimum(_translated(first, second), _translated(second, first))


def _translated(first: AffineForms, second: AffineForms) -> np.ndarray:
    """Write the second over the atoms of the first.

    Every atom relu(t) of the second, l <= t <= u, is replaced by what loses least: a multiple a relu(s) of an atom of
    the first, |relu(t) - a relu(s)| <= |t - a s|; by t itself, which loses -l; or by 0, which loses u.
    """
    base, columns = 1 + first.inputs, len(first.radius)
    translation = np.zeros((len(second.radius), columns))  # each column of the second over columns of the first
    translation[:base, :base] = np.eye(base)
    lost = np.zeros(len(second.radius))
    known = np.zeros((len(first.unstable_relus), columns))
    for number, unstable_relu in enumerate(first.unstable_relus):
        known[number, : len(unstable_relu)] = unstable_relu
    sizes = np.abs(known) @ first.radius
    directions = known * first.radius
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-300)
    unit = 8 * (columns + len(second.radius) + 8) * DOUBLE
    for number, unstable_relu in enumerate(second.unstable_relus):
        place, used = base + number, len(unstable_relu)
        form = unstable_relu @ translation[:used]
        spare = (
            _size(unstable_relu, lost)
            + second.unstable_errors[number]
            + unit * _size(unstable_relu, _size(translation, first.radius))
        )
        options = [(float(second.radius[place]), np.zeros(columns)), (second.depths[number] + spare, form)]
        if len(known):
            best = int((directions @ (form * first.radius)).argmax())
            size = float(np.abs(form) @ first.radius)
            a = size / sizes[best] if sizes[best] > 0 else 0.0
            gap = float(np.abs(form - a * known[best]) @ first.radius)
            gap += unit * (float(_size(form, first.radius)) + _multiple(a, float(_size(known[best], first.radius))))
            column = np.zeros(columns)
            column[base + best] = a
            matched = (gap + spare + _multiple(a, first.unstable_errors[best]), column)
            # a good match is taken even where another way loses less: later atoms are told apart by these columns
            options = [matched] if gap <= MATCH * size else [*options, matched]
        lost[place], translation[place] = min(options, key=lambda option: option[0])
    form = second.outputs @ translation
    spare = _size(second.outputs, lost) + first.error + second.error
    spare += unit * (_size(second.outputs, _size(translation, first.radius)) + _size(first.outputs, first.radius))
    return (np.abs(form - first.outputs) @ first.radius + spare) * SAFE
