"""Exact star reachability (Tran et al. 2020): several stars, split wherever a sign or a winner is not certain."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.core.rounding import magnitude, step_error
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Elementwise, MaxPool2d, Mul, Relu
from surefoot.reach.pool_windows import Windows, drop_losers
from surefoot.reach.star_state import Count, State, at_point, leaving, propagate_affine, step, values_entering
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.predicate import Predicate, Solver

Prover: TypeAlias = Callable[[State], bool]


def exact(graph: Graph, state: State, proven: Prover | None = None) -> Iterator[State]:
    """Propagate to the output exactly, depth first: each leaf is a star of one pattern of signs and winners.

    `proven` is asked at every split whether a branch need not be propagated, say one that a zonotope shows to be safe.

    Property: sound and complete: the leaves together are the image of the star, less the branches not propagated.

    Raises:
        InputError: a product of branches or a smooth function, which no finite number of stars equals.
    """
    todo = [state]
    while todo:
        state = todo.pop()
        while state.at < len(graph.nodes):
            match graph.nodes[state.at].op:
                case Relu():
                    parts = _split_relu(graph, state)
                case MaxPool2d():
                    parts = _split_pool(graph, state)
                case Mul():
                    raise InputError("a product of branches has no exact star: take an over-approximation")
                case Elementwise(name=name):
                    raise InputError(f"the function {name} has no exact star: take an over-approximation")
                case _:
                    parts = [propagate_affine(graph, state)]
            if len(parts) > 1 and proven is not None:
                parts = [part for part in parts if not proven(part)]
            if not parts:
                break
            state = parts.pop()
            todo.extend(parts)
        else:
            yield state


def _split_relu(graph: Graph, state: State) -> list[State]:
    """Decide one value's sign, in both ways if both are possible; step on when all are decided.

    The rows -g a <= c (x >= 0) and g a <= -c (x <= 0) hold the form's own numbers: they constrain without rounding.
    """
    node = graph.nodes[state.at]
    predicate = state.predicate
    form, below, above, free = values_entering(state, node.inputs[0], state.forms[node.inputs[0]].dense())
    low, high = below.flatten().numpy(), above.flatten().numpy()
    centre, generators = form.flat()
    signs = dict(state.decided)
    unstable = np.array([i for i in np.nonzero((low < 0) & (high > 0))[0] if i not in signs], dtype=int)
    solver = Solver(predicate)
    for i in unstable[np.argsort(-np.abs(generators[:, unstable]).sum(0))].tolist():
        g, c = generators[:, i], float(centre[i])
        spare = step_error(2, float(abs(c) + magnitude(g) @ predicate.radius[: len(g)]))
        if len(predicate.bounds):
            if solver.minimum(g) + c - spare >= 0:
                signs[i] = 1
                continue
            if -solver.minimum(-g) + c + spare <= 0:
                signs[i] = -1
                continue
        count = state.count + Count(solver.solved)
        children = []
        for sign in (1, -1):
            smaller = predicate.contracted(-sign * g, sign * c)
            if smaller is not None:
                constrained = smaller.with_constraints(-sign * g[None], np.array([sign * c]))
                children.append(replace(state, predicate=constrained, decided={**signs, i: sign}, count=count))
        return children
    off = high <= 0
    for i, sign in signs.items():
        off[i] = sign < 0
    error = form.error.flatten()
    silent = (torch.from_numpy(high) + error <= 0).reshape(node.shape)
    mask = torch.from_numpy(off).reshape(node.shape)
    kept = AffineForm(
        torch.where(mask, 0.0, form.centre),
        torch.where(mask, 0.0, form.generators),
        torch.where(silent, 0.0, form.error),  # a form that is not positive can stand for a value that is
    )
    return [step(graph, state, leaving(state, state.at, kept, free), predicate, Count(solver.solved))]


def _split_pool(graph: Graph, state: State) -> list[State]:
    """Decide one window's winner, in every possible way; step on when all are decided. Ties overlap: harmless."""
    node = graph.nodes[state.at]
    op = node.op
    assert isinstance(op, MaxPool2d)
    form, predicate = state.forms[node.inputs[0]], state.predicate
    windows = Windows.of(op, form, predicate, at_point(state, node.inputs[0]), state.decided)
    solved = drop_losers(form, predicate, windows) if len(windows.undecided) else 0
    undecided = windows.undecided
    count = Count(solved)
    if len(undecided):
        w = int(undecided[windows.candidates[undecided].sum(1).argmin()])
        rivals = [int(i) for i in windows.members[w][windows.candidates[w]]]
        centre, generators = form.flat()
        children = []
        for i in rivals:
            others = [j for j in rivals if j != i]
            rows = (generators[:, others] - generators[:, [i]]).T  # x_j - x_i <= 0
            behind = dict(zip(windows.members[w].tolist(), windows.behind[w].tolist(), strict=True))
            moved = np.array([behind[i] - behind[j] for j in others])
            bounds = centre[i] - centre[others] + moved
            # a difference of two rows is rounded: let it out, so that no point falls between the children
            size = form.size(predicate).flatten().numpy()
            bounds = bounds + step_error(5, size[i] + size[others] + abs(moved))
            smaller: Predicate | None = predicate
            for row, bound in zip(rows, bounds, strict=True):
                smaller = smaller.contracted(row, float(bound)) if smaller is not None else None
            if smaller is not None:
                decided = {**state.decided, w: i}
                children.append(
                    replace(
                        state,
                        predicate=smaller.with_constraints(rows, bounds),
                        decided=decided,
                        count=state.count + count,
                    )
                )
        return children
    # where a winner was decided the others' true values may exceed it by what the rows were let out
    spare = torch.zeros_like(windows.error)
    if state.decided:
        which = torch.tensor([*state.decided])
        place = windows.members[which].clamp(min=0)
        sizes = 2 * form.size(predicate).flatten()[place] + windows.behind[which].abs()
        sizes = sizes.masked_fill(windows.members[which] < 0, 0.0).max(1).values
        spare[which] = step_error(10, sizes)  # those five again, and what they let out
    out = form.dense().gathered(windows.winner, torch.ones(len(spare), dtype=torch.bool), windows.error + spare)
    out = replace(out, centre=out.centre + windows.moved).reshaped(node.shape)
    return [step(graph, state, out, predicate, count)]
