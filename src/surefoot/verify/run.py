"""Answer one query by one method."""

from dataclasses import replace

import numpy as np

from surefoot.core.deadline import Deadline
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.spec.query import Query, Verdict
from surefoot.verify.catalog import METHODS, find_method, stages_of
from surefoot.verify.network import Network
from surefoot.verify.search import Search
from surefoot.verify.softmax import verify_through_softmax


def verify(
    network: Network,
    query: Query,
    seconds: float | Deadline = 60.0,
    method: str = "auto",
    seed: int = 0,
    prove: bool = False,
    float32: bool = True,
    jobs: int = 1,
) -> Verdict:
    """Answer a query within so many seconds, in so many processes where its parts can be divided among them.

    Stages get shares of work (`core.deadline`); the wall clock ends them all, and what was found by then is answered.

    With `prove` an answer `Holds` carries what a certificate needs. Without `float32` it is not asked whether a proof
    also holds for float32, which can cost more than the proof.

    Property: sound. Complete given time, if the method is (`catalog.METHODS`).

    Raises:
        InputError: a query of other inputs or outputs than the network's; no such method, or one that leaves no proof.
    """
    chosen = find_method(method)
    if prove and not chosen.certifies:
        certifying = ", ".join(m.name for m in METHODS.values() if m.certifies)
        raise InputError(f"the method {chosen.name} writes no certificate; these do: {certifying}")
    if not query.has_exact_weights:
        if prove:
            raise InputError(
                "the property has weights of more digits than float64 holds, which certificates do not cover"
            )
        query = _with_exact_weights(network, query)
    if network.link != "identity":
        return verify_through_softmax(network, query, Deadline.of(seconds), chosen, seed, prove, float32, jobs)
    search = Search(network, query, seconds, seed, prove, float32 and network.float32, jobs)
    return search.answer(chosen.name, stages_of(chosen, search))


def _with_exact_weights(network: Network, query: Query) -> Query:
    """Raise the bounds of a property by what the rounding of its weights can cost over the region."""
    if network.link == "softmax":  # no probability is above 1
        return replace(query, unsafe=tuple(unsafe.relaxed(np.ones(network.outputs)) for unsafe in query.unsafe))
    if network.link != "identity":
        raise InputError("the property has weights of more digits than float64 holds, of log-probabilities: round them")
    region = Box.around(query.inputs, network.graph.input_shape)
    largest = relax(network.pooled, region, REAL).boxes[-1].magnitude.flatten().numpy()
    if not np.isfinite(largest).all():
        return query  # `answer` says so
    return replace(query, unsafe=tuple(unsafe.relaxed(largest) for unsafe in query.unsafe))
