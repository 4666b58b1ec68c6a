"""Answer what is asked of probabilities by what is asked of logits."""

from dataclasses import replace

import numpy as np

from surefoot.core.deadline import Deadline
from surefoot.spec.outputs import comparisons_of_logits, of_logits, widened_for_float32
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Verdict
from surefoot.verify.catalog import Method, stages_of
from surefoot.verify.large import is_large
from surefoot.verify.network import Network, must_fit
from surefoot.verify.search import FEW_INPUTS, Search
from surefoot.verify.stages import attack, attack_thoroughly


def verify_through_softmax(
    network: Network, query: Query, deadline: Deadline, method: Method, seed: int, prove: bool, float32: bool, jobs: int
) -> Verdict:
    """Answer of logits what was asked of probabilities.

    For float32, whose softmax rounds and ties, it is claimed only that one class keeps the largest of all. Thresholds
    become polytopes that hold them; where inputs are few and that is not enough, the region is bisected.
    """
    from surefoot.verify.probabilities import polytopes, prove_by_bisection  # noqa: PLC0415  (scipy.special, for a softmax alone)

    must_fit(network, query)
    if prove:
        comparisons_of_logits(query, network.link)  # refuses what certificates do not cover
    asked = of_logits(query, network.link)
    wide = widened_for_float32(asked, network.outputs)
    if wide is not None and float32 and network.float32 and not prove and not is_large(network.pooled):
        part = deadline.before(0.5)
        search = Search(network, replace(query, unsafe=wide), part, seed, prove, True, jobs, query)
        first = search.answer(method.name, stages_of(method, search))
        if not isinstance(first, Unknown):
            return first
    sets = deadline.run(lambda: polytopes(network.pooled, query, asked.sets))
    none = (Unsafe(np.zeros((1, network.outputs)), np.array([-1.0])),)
    search = Search(network, replace(query, unsafe=sets or none), deadline, seed, prove, False, jobs, query)
    if sets is None:
        return search.unknown(method.name)
    if not sets:
        never = 0.0 if asked.never is None else asked.never
        return deadline.run(lambda: attack_thoroughly(search)) or Holds(never, "softmax", False, search.details())
    few = search.free_inputs <= FEW_INPUTS and method.name in ("auto", "input-splitting")
    if few and any(conditions.thresholds for conditions in asked.sets):  # halves are nearly all that is ever needed
        violated = deadline.run(lambda: attack(search, 8, 20))
        if violated is not None:
            return violated
        part = deadline.before(0.5)
        margin = part.run(
            lambda: prove_by_bisection(
                network.pooled, query, asked.sets, part, lambda x: search.candidate(x, near=False)
            )
        )
        if search.counterexample is not None:
            return search.violated("input-splitting")
        if margin is not None and margin > 0:
            return Holds(margin, "input-splitting", False, search.details())
    return search.answer(method.name, stages_of(method, search))
