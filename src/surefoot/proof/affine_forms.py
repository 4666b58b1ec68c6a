"""What a network is once stable rectifiers are resolved: affine forms over its inputs and its open rectifiers.

An active rectifier is the identity, an inactive one is 0; every other is an *atom*, known by the form that enters it.
Rewrites keep these forms. Two networks whose forms agree are equal, and where they nearly agree the difference is
bounded: |relu(s) - relu(t)| <= |s - t|. So this is the check of every rewrite, and knows none of them.
"""

from dataclasses import dataclass

import numpy as np

from surefoot.core.errors import InputError
from surefoot.core.rounding import DOUBLE, magnitude
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Add, Affine, Concat, Input, MaxPool2d, Mul, Relu, Softmax
from surefoot.proof.matrices import affine_matrix

LARGEST = 2**25  # numbers in the forms of one node, or of all rectifiers before it
MATCH = 1e-2  # of its size: rectifiers of two networks nearer than this correspond
SAFE = 1 + 1e-6  # of an error: it is made of sums and products of numbers that are not negative, fewer than 1e9 in turn
TWIN = 1e-9  # of its size: a rectifier nearer than this to a multiple of another is that multiple


@dataclass(eq=False)
class AffineForms:
    """The forms of a network's outputs, and its atoms: rows over (1, inputs, atoms of earlier rows).

    `reach` is the largest magnitude of each column over the domain, `error` how far a form may be from what it stands
    for.
    """

    inputs: int
    outputs: np.ndarray  # (k, columns)
    error: np.ndarray  # (k,)
    atoms: list[np.ndarray]
    atom_errors: list[float]
    reach: np.ndarray  # (columns,)
    depths: list[float]  # how far below 0 what enters each atom may be


@np.errstate(all="ignore")
def affine_forms_of(graph: Graph, boxes: list[tuple[np.ndarray, np.ndarray]]) -> AffineForms:
    """Resolve a graph over boxes (lower, upper) of all its nodes, flat.

    Raises:
        InputError: products or max pooling, which have no such form, or a network too large for dense forms.
    """
    low, high = boxes[0]
    inputs = len(low)
    reach = [1.0, *np.maximum(np.abs(low), np.abs(high)).tolist()]
    atoms: list[np.ndarray] = []
    atom_errors: list[float] = []
    depths: list[float] = []
    first = np.concatenate([np.zeros((inputs, 1)), np.eye(inputs)], 1)
    values: list[tuple[np.ndarray, np.ndarray]] = [(first, np.zeros(inputs))]
    for at, node in enumerate(graph.nodes[1:], 1):
        given = [values[i] for i in node.inputs]
        if max(len(boxes[at][0]), len(atoms)) * len(reach) > LARGEST:
            raise InputError(f"node {node.name!r}: {len(boxes[at][0])} values are too many for dense forms")
        match node.op:
            case Affine():
                matrix, bias = affine_matrix(node, graph.nodes[node.inputs[0]].shape)
                form = np.asarray(matrix @ given[0][0])
                form[:, 0] += bias
                most = abs(matrix)
                most.data = magnitude(most.data)
                size = most @ magnitude(_size(given[0][0], reach)) + np.abs(bias)
                terms = int(np.diff(matrix.indptr).max(initial=0))
                error = most @ magnitude(given[0][1]) + 1.01 * (terms + 8) * DOUBLE * size
            case Add():
                form = _wide(given[0][0], reach) + _wide(given[1][0], reach)
                error = given[0][1] + given[1][1] + 4 * DOUBLE * _size(form, reach)
            case Concat():
                parts = [
                    np.arange(len(f)).reshape(graph.nodes[i].shape)
                    for i, (f, _) in zip(node.inputs, given, strict=True)
                ]
                starts = np.cumsum([0, *(len(f) for f, _ in given)])
                order = np.concatenate([p + s for p, s in zip(parts, starts, strict=False)], node.op.axis).ravel()
                form = np.concatenate([_wide(f, reach) for f, _ in given])[order]
                error = np.concatenate([e for _, e in given])[order]
            case Relu():
                form, error = _rectified(given[0], boxes[node.inputs[0]], atoms, atom_errors, depths, reach)
            case Mul() | MaxPool2d() | Softmax() | Input():
                raise InputError(f"node {node.name!r}: {type(node.op).__name__} has no affine form")
        values.append((form, error))
    form, error = values[-1]
    return AffineForms(inputs, _wide(form, reach), error, atoms, atom_errors, np.array(reach), depths)


def _rectified(
    given: tuple[np.ndarray, np.ndarray],
    box: tuple[np.ndarray, np.ndarray],
    atoms: list[np.ndarray],
    atom_errors: list[float],
    depths: list[float],
    reach: list[float],
) -> tuple[np.ndarray, np.ndarray]:
    (form, error), (low, high) = given, box
    form = _wide(form, reach)  # a branch from before other rectifiers is compared with their atoms too
    active = low >= 0
    open_ = ~active & ~(high <= 0)  # also what is not a number: then nothing is shown
    begin = width = len(reach)
    now = np.array(reach)
    unit = 8 * (width + 8) * DOUBLE
    error = np.where(active | open_, error, 0.0)
    known = np.zeros((len(atoms) + int(open_.sum()), width))  # atoms so far, to find those that are met again
    for number, atom in enumerate(atoms):
        known[number, : len(atom)] = atom
    directions = known * now
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-300)
    before = len(atoms)
    placed: list[tuple[int, int, float]] = []  # unit, atom, scale
    for i in np.flatnonzero(open_):
        size = float(np.abs(form[i]) @ now)
        if atoms:
            twin = int((directions[: len(atoms)] @ (form[i] * now)).argmax())
            other = float(np.abs(known[twin]) @ now)
            a = size / other if other > 0 else 0.0
            gap = float(np.abs(form[i] - a * known[twin]) @ now)
            if gap <= TWIN * size:  # relu(s) is a relu(t) but for the gap: no atom of its own
                placed.append((int(i), twin, a))
                error[i] += gap + _multiple(a, atom_errors[twin]) + unit * float(_size(form[i], now))
                continue
        number = len(atoms)
        known[number] = form[i]
        directions[number] = form[i] * now / max(float(np.linalg.norm(form[i] * now)), 1e-300)
        placed.append((int(i), number, 1.0))
        atoms.append(form[i])
        atom_errors.append(float(error[i]))
        reach.append(float(high[i]))
        depths.append(float(-low[i]))
        error[i] = 0.0
    kept = _wide(np.where(active[:, None], form, 0.0), reach)
    for row, number, scale in placed:
        kept[row, begin - before + number] = scale
    return kept, error


def _size(form: np.ndarray, reach: list[float] | np.ndarray) -> np.ndarray:
    """Return |form| reach, each as `magnitude` gives it."""
    return magnitude(form) @ magnitude(np.asarray(reach))[: form.shape[-1]]


def _multiple(a: float, error: float) -> float:
    return float(magnitude(np.array(a)) * magnitude(np.array(error)))


def _wide(form: np.ndarray, reach: list[float]) -> np.ndarray:
    return np.pad(form, ((0, 0), (0, len(reach) - form.shape[1])))


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
    base, columns = 1 + first.inputs, len(first.reach)
    translation = np.zeros((len(second.reach), columns))  # each column of the second over columns of the first
    translation[:base, :base] = np.eye(base)
    lost = np.zeros(len(second.reach))
    known = np.zeros((len(first.atoms), columns))
    for number, atom in enumerate(first.atoms):
        known[number, : len(atom)] = atom
    sizes = np.abs(known) @ first.reach
    directions = known * first.reach
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-300)
    unit = 8 * (columns + len(second.reach) + 8) * DOUBLE
    for number, atom in enumerate(second.atoms):
        place, used = base + number, len(atom)
        form = atom @ translation[:used]
        spare = _size(atom, lost) + second.atom_errors[number] + unit * _size(atom, _size(translation, first.reach))
        options = [(float(second.reach[place]), np.zeros(columns)), (second.depths[number] + spare, form)]
        if len(known):
            best = int((directions @ (form * first.reach)).argmax())
            size = float(np.abs(form) @ first.reach)
            a = size / sizes[best] if sizes[best] > 0 else 0.0
            gap = float(np.abs(form - a * known[best]) @ first.reach)
            gap += unit * (float(_size(form, first.reach)) + _multiple(a, float(_size(known[best], first.reach))))
            column = np.zeros(columns)
            column[base + best] = a
            matched = (gap + spare + _multiple(a, first.atom_errors[best]), column)
            # a good match is taken even where another way loses less: later atoms are told apart by these columns
            options = [matched] if gap <= MATCH * size else [*options, matched]
        lost[place], translation[place] = min(options, key=lambda option: option[0])
    form = second.outputs @ translation
    spare = _size(second.outputs, lost) + first.error + second.error
    spare += unit * (_size(second.outputs, _size(translation, first.reach)) + _size(first.outputs, first.reach))
    return (np.abs(form - first.outputs) @ first.reach + spare) * SAFE
