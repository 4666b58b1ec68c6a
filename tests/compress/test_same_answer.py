"""The answers of two networks: beside all that networks of one input answer, in exact arithmetic."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pairs import KINDS, graph_of, network_of, on_a_line, twin_of
from surefoot.compress.same_answer import answers_differ, differs, margin_of, same_answer
from surefoot.core.errors import InputError
from surefoot.reach.dense import DenseNetwork
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Unknown, Violated

LINE = InputSet(np.array([-1.0]), np.array([1.0]))


def met(networks: tuple[DenseNetwork, DenseNetwork], sure: float) -> bool:
    """Whether answers differ in the middle between, or at, the inputs between which the networks are linear."""
    k, outputs = len(networks[0].biases[-1]), [y for _, y in on_a_line(networks, -1.0, 1.0)]
    share = np.linspace(0, 1, 21)
    for one, two in pairwise(outputs):
        a, b = one.astype(float), two.astype(float)
        for t in share:
            y = a + t * (b - a)
            f, g = np.sort(y[:k]), np.sort(y[k:])
            if min(f[-1] - f[-2], g[-1] - g[-2]) > 1e-9 and differs(y, min(sure + 1e-9, 1.0)):
                return True
    return False


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.sampled_from([0.0, 0.5, 0.8]), st.integers(2, 3))
def test_no_answer_that_differs_is_missed(seed: int, kind: str, sure: float, classes: int) -> None:
    rng = np.random.default_rng(seed)
    first = network_of(rng, (1, *rng.integers(2, 5, int(rng.integers(1, 3))).tolist(), classes))
    second = twin_of(rng, first, kind)
    verdict = same_answer(graph_of(first), graph_of(second), LINE, 1.0, sure)
    if met((first, second), sure):
        assert not isinstance(verdict, Holds)
    if isinstance(verdict, Violated):
        assert differs(verdict.output, sure)


def test_what_leans_to_the_other_class_is_found_but_not_where_the_first_is_sure() -> None:
    eye, zero = torch.eye(2).double(), torch.zeros(2).double()
    first = DenseNetwork((eye, eye), (zero, zero))
    second = DenseNetwork((eye, eye), (zero, torch.tensor([0.0, 0.1]).double()))
    square = InputSet(np.zeros(2), np.ones(2))
    graphs = graph_of(first), graph_of(second)
    assert isinstance(same_answer(*graphs, square, 10.0), Violated)
    assert isinstance(same_answer(*graphs, square, 10.0, 0.51), Violated)
    assert isinstance(same_answer(*graphs, square, 10.0, 0.53), Holds)  # log(0.53 / 0.47) > 0.1
    assert isinstance(same_answer(graphs[0], graphs[0], square, 10.0), Holds)


@given(st.floats(0.5, 1 - 1e-9))
def test_a_confidence_is_no_less_than_its_margin(sure: float) -> None:
    margin = margin_of(sure)
    assert margin <= math.log(sure / (1 - sure))
    assert 1 / (1 + math.exp(-margin)) == pytest.approx(sure, abs=1e-6)


@given(st.integers(0, 10**6), st.integers(2, 4))
def test_outputs_with_other_answers_are_unsafe_and_others_are_not(seed: int, k: int) -> None:
    outputs = np.random.default_rng(seed).normal(size=2 * k)
    rows = np.concatenate([outputs[:k], outputs[:k] - outputs[k:]])
    unsafe = [bool((u.weights @ rows <= u.bounds + 1e-12).all()) for u in answers_differ(k, 0.0)]
    assert any(unsafe) == (outputs[:k].argmax() != outputs[k:].argmax())


def test_networks_that_cannot_be_compared_are_refused() -> None:
    rng = np.random.default_rng(0)
    one, two, single = (graph_of(network_of(rng, sizes)) for sizes in ((1, 2, 2), (1, 2, 3), (1, 2, 1)))
    for first, second, sure, words in (
        (one, two, 0.0, "cannot be compared"),
        (single, single, 0.0, "answers are compared of 2 to"),
        (one, one, 1.0, "a number from 0 to below 1"),
    ):
        with pytest.raises(InputError, match=words):
            same_answer(first, second, LINE, 1.0, sure)


def test_what_is_not_of_one_depth_is_asked_of_both_as_one_network() -> None:
    rng = np.random.default_rng(3)
    one, two = (graph_of(network_of(rng, sizes)) for sizes in ((1, 3, 2), (1, 3, 3, 2)))
    assert not isinstance(same_answer(one, one, LINE, 5.0), Unknown)
    assert isinstance(same_answer(one, two, LINE, 5.0), Violated | Holds)
