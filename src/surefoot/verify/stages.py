"""The stages of a search: each tries to settle the query of a `Search`, and leaves there what it learnt."""

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from surefoot.core.rounding import FLOAT32, REAL, Arithmetic, difference_below
from surefoot.graph.graph import Graph
from surefoot.graph.ops import MaxPool2d
from surefoot.proof.certificate import Proof
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import Relaxation, relax
from surefoot.reach.stars import Rule
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.query import Holds, Verdict
from surefoot.verify.attack import descend, sample
from surefoot.verify.bisection import ends
from surefoot.verify.branch_and_bound import Result
from surefoot.verify.curved import prove_by_curvature
from surefoot.verify.dense_splitting import prove_dense
from surefoot.verify.fallback import FallbackSolver, Task, boxes_hold_in_float32
from surefoot.verify.hull_splitting import prove_by_hulls
from surefoot.verify.input_splitting import AxisBy, Effort, SplittingOptions, bisections_of, prove_by_input_splitting
from surefoot.verify.large import lower_bounds_in_lots, relax_around, zonotope_around
from surefoot.verify.refined_splitting import RefinedSearch
from surefoot.verify.refinement import refined_ends
from surefoot.verify.relu_subproblems import Neuron, Subproblem, bound_again, kept_slopes, split_leaves
from surefoot.verify.search import FEW_INPUTS, Search
from surefoot.verify.stars import ExactProgress, box_slack, least, leaves, over_approximate, star_of_inputs

SAMPLING = 0.05  # of the work, at most
QUICK = 0.3  # likewise of an attack, and of a zonotope
HALF = 0.5  # likewise of a zonotope of a large network; CROWN without its boxes still takes a minute
SAMPLES = 200_000  # where inputs are few


def attack(search: Search, restarts: int, steps: int) -> Verdict | None:
    """Look for a counterexample by projected gradient descent."""
    if search.replay.impossible:
        return None
    quick = search.deadline.share(QUICK)
    points = quick.run(lambda: descend(search.searched, search.asked, restarts, steps, search.seed))
    if points is not None:
        search.candidate(points.double(), near=search.asked is search.query)
    return search.violated("attack") if search.counterexample is not None else None


def attack_thoroughly(search: Search) -> Verdict | None:
    """Try more starts where there are few inputs: it costs less than one more bisection."""
    if search.free_inputs > FEW_INPUTS:
        return attack(search, 8, 20)
    if search.replay.impossible:
        return None
    points, tried = sample(search.searched, search.asked, SAMPLES, search.seed, search.deadline.share(SAMPLING))
    search.candidate(points.double(), near=search.asked is search.query)
    starts = max(200 * tried // SAMPLES, 8)  # as dear as sampling was
    return search.violated("sampling") if search.counterexample is not None else attack(search, starts, 40)


def zonotope(search: Search) -> Verdict | None:
    """Prove it by one zonotope, with a small share of the work; with most where it is the best there is."""
    share = HALF if search.is_large else QUICK
    margin = search.deadline.share(share).run(lambda: _zonotope_margin(search, REAL, search.seen))
    if margin is None:
        return None
    search.best = max(search.best, margin)
    return search.holds(margin, "zonotope", partial(_float32_holds, search)) if margin > 0 else None


def _zonotope_margin(search: Search, arithmetic: Arithmetic, boxes: dict[int, Box]) -> float:
    """Bound the slack by a zonotope; its boxes are kept for what comes after, also of one that is interrupted."""
    reference = search.reference if search.is_large and not arithmetic.unit else None
    state = zonotope_around(search.network.pooled, search.query.inputs, reference, arithmetic, boxes)
    return least(box_slack(state.star, unsafe) for unsafe in search.query.unsafe)


def crown(search: Search) -> Verdict | None:
    """Prove it by CROWN, with the slopes of least area."""
    margin = _crown_margin(search, REAL, search.seen)
    search.best = max(search.best, margin)
    if not margin > 0:
        return None
    return search.holds(margin, "crown", partial(_float32_holds, search))


def _crown_margin(search: Search, arithmetic: Arithmetic, known: Mapping[int, Box]) -> float:
    """Bound the slack by CROWN."""
    graph = search.network.pooled
    if search.is_large and search.reference is not None and search.constraints is None:
        return _margin(search, graph, relax_around(graph, search.region, search.reference, known))
    tighten = partial(tighten_by_crown, until=search.tightening())
    relaxation = relax(graph, search.region, arithmetic, tighten, known, constraints=search.constraints)
    if arithmetic is REAL and not any(isinstance(node.op, MaxPool2d) for node in graph.nodes):
        search.known = dict(enumerate(relaxation.boxes))
    return _margin(search, graph, relaxation)


def _margin(search: Search, graph: Graph, relaxation: Relaxation) -> float:
    """Bound the slack over the region, with the slopes that are there."""
    bounds = lower_bounds_in_lots(relaxation, search.rows.weights.reshape(1, -1, *graph.output_shape))
    return float(search.rows.of_sets(difference_below(bounds, search.rows.bounds)).min())


def _float32_holds(search: Search) -> bool:
    """Whether a zonotope or CROWN proves it for float32 too; not tried of large networks, where it never does."""
    if search.is_large:
        return False
    boxes: dict[int, Box] = {}
    margin = -math.inf
    if search.seen:  # zonotopes are dear for many free inputs
        with np.errstate(invalid="ignore"):  # where float32 may overflow errors are infinite, bounds no numbers
            margin = _zonotope_margin(search, FLOAT32, boxes)
    return margin > 0 or _crown_margin(search, FLOAT32, boxes) > 0


def split_inputs(search: Search, share: float, axis_by: AxisBy = "slope", grace: float = 1) -> Verdict | None:
    """Prove it by branch and bound on the inputs."""
    effort: Effort = "thorough" if axis_by == "trial" else "all" if search.prove else "unstable"
    until = search.deadline.share(share)
    fallback = None
    if axis_by == "trial" and not search.prove:
        task = Task(search.network.graph, search.query, *search.with_slack_relus())
        fallback = FallbackSolver(task, until, search.jobs)
    graph = search.network.graph
    options = SplittingOptions(axis_by, effort, search.prove, fallback, grace=grace)
    result = prove_by_input_splitting(graph, search.query, REAL, until, search.candidate, options)
    if search.counterexample is not None:
        return search.violated("input-splitting")
    search.best = max(search.best, result.margin)
    if not result.proven:
        return None
    proof, box = None, search.query.inputs
    if search.prove:
        thorough, bisections = effort == "thorough", bisections_of(result)
        proof = Proof(box.lower, box.upper, search.plain_unsafe, "boxes", thorough, bisections)
    subproblems = result.subproblems + (fallback.subproblems if fallback else 0)
    plain = [leaf for leaf in result.leaves if not leaf.by_fallback]

    def in_float32() -> bool:
        return (not plain or boxes_hold_in_float32(graph, search.query, *ends(plain), effort)) and (
            fallback is None or fallback.holds_in_float32()
        )

    return search.holds(result.margin, "input-splitting", in_float32, proof, parts=subproblems)


def split_inputs_of_dense(
    search: Search, share: float, most_subproblems: int = 10**9, relus: bool = False
) -> Verdict | None:
    """Prove a dense network by branch and bound on the inputs, and of small boxes on the ReLUs."""
    assert search.dense is not None
    until = search.deadline.share(share)
    asked = search.with_slack_relus() if relus else None
    found = prove_dense(search.dense, search.query, until, search.candidate, search.float32, most_subproblems, asked)
    if search.counterexample is not None:
        return search.violated("input-splitting")
    search.best = max(search.best, found.margin)
    if not found.result.proven:
        return None
    return search.holds(found.margin, "input-splitting", found.holds_in_float32, parts=found.subproblems)


def split_inputs_of_pair(search: Search, share: float, most_subproblems: int = 10**9) -> Verdict | None:
    """Prove it of two dense networks by branch and bound on the inputs, with bounds of their differences."""
    assert search.pair is not None
    found = search.pair.prove(search.deadline.share(share), search.candidate, most_subproblems)
    if search.counterexample is not None:
        return search.violated("differences")
    search.best = max(search.best, found.margin)
    if not found.result.proven:
        return None
    return search.holds(found.margin, "differences", lambda: False, parts=found.subproblems)


def split_relus_by_hulls(search: Search, share: float) -> Verdict | None:
    """Prove a small dense network by branch and bound on the ReLUs, with convex hulls of single neurons."""
    assert search.dense is not None
    result = prove_by_hulls(search.dense, search.query, search.deadline.share(share), search.candidate)
    if search.counterexample is not None:
        return search.violated("neuron-hulls")
    search.best = max(search.best, result.margin)
    if not result.proven:
        return None
    return search.holds(result.margin, "neuron-hulls", lambda: False, parts=result.subproblems)


def split_relus(search: Search, most_subproblems: int = 10**9, share: float = 1.0) -> Verdict | None:
    """Prove it by branch and bound on the ReLUs."""
    until, tightening = search.deadline.share(share), search.tightening(0.5 * share)
    graph, query = search.with_slack_relus()
    known = {} if search.prove else search.known
    refined = RefinedSearch(graph, search.region, query, until, tightening, search.constraints, known)
    refined.certifiable = search.prove
    result = refined.prove(search.candidate, most_subproblems)
    if search.counterexample is not None:
        return search.violated("relu-splitting")
    search.best = max(search.best, result.margin)
    if not result.proven:
        return None
    unsplit = result.subproblems <= len(search.query.unsafe) and not refined.rounds
    method = "alpha-crown" if unsplit else "relu-splitting"
    proof = _proof_by_splits(search, result, refined) if search.prove else None

    def in_float32() -> bool:
        return bound_again(refined.relaxed(FLOAT32, search.tightening()), query, result.leaves) > 0

    return search.holds(result.margin, method, in_float32, proof, parts=result.subproblems)


def _proof_by_splits(search: Search, result: Result[Subproblem, Neuron], refined: RefinedSearch) -> Proof:
    leaves = tuple(leaf for part in result.leaves for leaf in split_leaves([part], part.unsafe))
    box, slopes, ends = search.query.inputs, kept_slopes(refined.tightened), refined_ends(refined.record)
    return Proof(box.lower, box.upper, search.plain_unsafe, "signs", leaves=leaves, tightened=slopes, refined=ends)


def curvature(search: Search, share: float = 1.0) -> Verdict | None:
    """Prove a polynomial network by convex functions below it."""
    until = search.deadline.share(share)
    result = prove_by_curvature(search.network.graph, search.query, until, search.candidate, float32=search.float32)
    if search.counterexample is not None:
        return search.violated("curvature")
    search.best = max(search.best, result.margin)
    if not result.proven:
        return None
    in_float32 = all(leaf.float32 for leaf in result.leaves)
    return Holds(result.margin, "curvature", in_float32, search.details(parts=result.subproblems))


def star(search: Search, method: str, rule: Rule, lps: bool = True, relaxed: float = 0.0) -> Verdict | None:
    """Prove it by propagating one star."""
    star = star_of_inputs(search.query.inputs, search.network.pooled.input_shape)
    answer = over_approximate(search.network.pooled, star, search.query, rule, lps, relaxed, search.reference)
    search.best = max(search.best, answer.slack)
    if answer.slack > 0:
        details = search.details(lps_solved=answer.count.lps_solved, lps_avoided=answer.count.lps_avoided)
        return Holds(answer.slack, method, False, details)
    if answer.input is not None:
        search.candidate(answer.input.flatten()[None])
    return search.violated(method) if search.counterexample is not None else None


def exact(search: Search) -> Verdict | None:
    """Propagate every pattern. A margin inside the rounding of a leaf decides nothing."""
    star = star_of_inputs(search.query.inputs, search.network.pooled.input_shape)
    progress = ExactProgress()
    try:
        for leaf in leaves(
            search.network.pooled, star, search.query, search.deadline, progress, reference=search.reference
        ):
            if not leaf.slack > 0 and leaf.candidate is not None:
                search.candidate(leaf.candidate.flatten()[None])
                if search.counterexample is not None:
                    return search.violated("exact")
    except TimeoutError:
        return None
    details = search.details(leaves=progress.leaves, pruned=progress.pruned, lps_solved=progress.lps_solved)
    if not progress.margin > 0:
        search.best = progress.margin
        search.broken = True
        return None
    return Holds(progress.margin, "exact", False, details)
