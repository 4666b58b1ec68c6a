"""Exact walks: leaves, and the complete sets of counterexamples."""

from dataclasses import replace

import numpy as np
import torch

from networks import random_box, random_network, samples
from surefoot.graph.graph import evaluate
from surefoot.sets.predicate import Solver
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.stars import ExactProgress, box_slack, counterexamples, leaves, slack_of, star_of_inputs


def test_counterexample_sets_hold_all_of_them_and_nothing_else() -> None:
    met = 0
    for seed in range(12):
        graph = random_network(seed)
        lower, upper = random_box(graph, seed)
        x = samples(lower, upper, graph, 100, seed)
        rows = np.random.default_rng(seed).normal(size=(1, 3))
        y = evaluate(graph, x).numpy()
        unsafe = Unsafe(rows, np.quantile(y @ rows.T, [0.3]))
        query = Query(InputSet(lower, upper), (unsafe,))
        try:
            found = list(leaves(graph, star_of_inputs(query.inputs, graph.input_shape), query, 1.0, ExactProgress()))
        except TimeoutError:
            continue
        sets = [counterexamples(leaf, unsafe) for leaf in found if leaf.slack <= 0]
        free = upper > lower
        for point, output in zip(x.flatten(1).numpy(), y, strict=True):
            a = ((point - (lower + upper) / 2)[free] / ((upper - lower) / 2)[free]).clip(-1, 1)
            inside = any((s.predicate.rows @ a <= s.predicate.bounds + 1e-9).all() for s in sets)
            slack = float(query.slack(output[None])[0])
            assert inside or slack > -1e-9
            met += inside
        for star in sets[:5]:
            solver = Solver(star.predicate)
            solver.minimum(np.ones(star.predicate.variables))
            member = star.member(solver.solutions[-1])
            assert query.slack(evaluate(graph, member[None]).numpy())[0] <= 1e-6
            assert torch.isfinite(member).all()
    assert met > 50


def test_a_value_of_which_nothing_is_known_counts_only_where_it_matters() -> None:
    star = star_of_inputs(InputSet(np.zeros(2), np.ones(2)), (2,))
    star = replace(star, form=replace(star.form, error=torch.tensor([0.0, torch.inf]).double()))
    first, second = (Unsafe(row[None], np.array([-1.0])) for row in np.eye(2))
    assert 0.99 < box_slack(star, first) <= 1.0
    assert 0.99 < slack_of(star, first)[0] <= 1.0
    assert box_slack(star, second) == slack_of(star, second)[0] == -np.inf
