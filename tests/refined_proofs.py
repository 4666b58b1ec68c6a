"""Proofs that need refined bounds: with the boxes of CROWN alone the same leaf is not proven."""

from itertools import count

import numpy as np
import torch

from reach.test_alpha_crown import dense
from surefoot.core.deadline import NEVER
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph
from surefoot.proof.certificate import Proof, SplitLeaf
from surefoot.reach.alpha_crown import Tightened, tighten_as_recorded
from surefoot.reach.crown import lower_bounds
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.verify.refinement import Refinement, again, in_float16, refined_ends
from surefoot.verify.relu_subproblems import kept_slopes

PARTS = 24  # of the region, a layer


def keep(relaxation: object, at: int, box: Box) -> Box:
    """Leave a box as it is."""
    return box


def refined_proof(seed: int) -> tuple[Graph, Proof]:
    """Prove of a network of four inputs what lies halfway between its bound by CROWN and by refined boxes."""
    return next(found for number in count(seed, 1000) if (found := _proof(number)) is not None)


def _proof(seed: int) -> tuple[Graph, Proof] | None:
    graph = dense(seed, 4, 6, 6, 6, 3)
    row = np.random.default_rng(seed).normal(size=(1, 3))
    low, high = -torch.ones(1, 4).double(), torch.ones(1, 4).double()
    tightened: Tightened = {}
    plain = relax(graph, Box(low, high), REAL, tighten_as_recorded(tightened), None, False)
    refinement = Refinement(NEVER, keep, PARTS)
    relax(graph, Box(low, high), REAL, refinement, dict(enumerate(plain.boxes)), False)
    record = in_float16(refinement.record)
    refined = relax(graph, Box(low, high), REAL, again(record, tighten_as_recorded(tightened)), None, False)
    out = len(graph.nodes) - 1
    before, after = (
        float(lower_bounds(x, out, torch.from_numpy(row).unsqueeze(0), rounded=True)) for x in (plain, refined)
    )
    if not after > before + 1e-3 * abs(before):
        return None
    unsafe = ((row, np.array([(before + after) / 2])),)
    leaves, ends = (SplitLeaf(0, 0, (), {}, {}),), refined_ends(record)
    slopes = kept_slopes(tightened)
    return graph, Proof(low[0].numpy(), high[0].numpy(), unsafe, "signs", leaves=leaves, tightened=slopes, refined=ends)
