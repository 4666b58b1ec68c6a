"""Certified confidence holds at every point, for every map that has bounds."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.special import expit

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.metrics import METRICS
from surefoot.recalibrate import CALIBRATORS, TemperatureScaling
from surefoot.recalibrate.auto import LADDER
from surefoot.recalibrate.steps import Affine, Softmax
from surefoot.spec.perturbations import linf_ball
from surefoot.verify.confidence import Certified, certify, summarise
from surefoot.verify.enclose import Differences, enclose
from surefoot.verify.network import Network

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(600, 3)) * 3
LABELS = (LOGITS / 2 + RNG.gumbel(size=LOGITS.shape)).argmax(1)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_bounds_hold_at_sampled_points(name: str) -> None:
    made = CALIBRATORS[name]().fit(LOGITS, LABELS)
    widths = []
    for seed in (0, 3, 4):
        graph = random_network(seed)
        network = Network.of(graph)
        x = np.random.default_rng(seed).normal(size=graph.input_shape)
        region = linf_ball(x, 0.03, -10, 10)
        try:
            found = certify(network, region, made)
        except InputError as error:
            assert name == "temperature-parameterized"  # the one whose temperature depends on the row
            assert f"{type(made).__name__}: " in str(error)  # noqa: PT017
            assert "surefoot recalibrate --method temperature" in str(error)  # noqa: PT017
            assert name not in LADDER
            return
        points = np.random.default_rng(1).uniform(region.lower, region.upper, (300, network.inputs))
        points = np.where(np.random.default_rng(2).random(points.shape) < 0.5, region.lower, points)
        z = evaluate(graph, torch.from_numpy(points).reshape(-1, *graph.input_shape)).numpy()
        p = made.predict_proba(z)
        assert (p >= found.lower - 1e-9).all()
        assert (p <= found.upper + 1e-9).all()
        if found.stays:
            assert (p.argmax(1) == found.label).all()
        truth = int(p[0].argmax())
        brier = ((p - np.eye(3)[truth]) ** 2).sum(1)
        assert found.brier(truth)[0] - 1e-9 <= brier.min()
        assert brier.max() <= found.brier(truth)[1] + 1e-9
        widths.append(found.confidence[1] - found.confidence[0])
    assert max(widths) <= 1


def test_a_point_has_its_own_confidence() -> None:
    graph = random_network(0)
    x = np.random.default_rng(3).normal(size=graph.input_shape)
    made = TemperatureScaling().fit(LOGITS, LABELS)
    found = certify(Network.of(graph), linf_ball(x, 0.0, -10, 10), made)
    p = made.predict_proba(evaluate(graph, torch.from_numpy(x)[None]).numpy())[0]
    assert found.confidence == pytest.approx((p.max(), p.max()), abs=1e-9)


def test_the_summary_holds_whatever_happens_to_the_inputs() -> None:
    """Any choice within the bounds has accuracy, Brier score and ECE within the summary's."""
    rng = np.random.default_rng(7)
    for _ in range(20):
        n, k = 40, 3
        p = rng.dirichlet(np.ones(k) * 0.7, n)
        truth = rng.integers(0, k, n)
        radius = rng.choice([0.0, 0.01, 0.1])
        found = []
        for row in p:
            low, high = np.clip(row - radius, 0, 1), np.clip(row + radius, 0, 1)
            label = int(row.argmax())
            found.append(Certified(label, bool((np.delete(high, label) < low[label]).all()), low, high))
        summary = summarise(found, truth.tolist())
        for _ in range(20):
            moved = np.clip(
                p + rng.uniform(-radius, radius, p.shape), [c.lower for c in found], [c.upper for c in found]
            )
            moved /= moved.sum(1, keepdims=True)
            inside = (moved >= [c.lower for c in found]).all() and (moved <= [c.upper for c in found]).all()
            if not inside:
                moved = p
            ece = METRICS["ece"].read(METRICS["ece"].observe(moved, truth))
            correct = float((moved.argmax(1) == truth).mean())
            brier = float(((moved - np.eye(k)[truth]) ** 2).sum(1).mean())
            assert summary.ece[0] - 1e-9 <= ece <= summary.ece[1] + 1e-9
            assert summary.accuracy[0] - 1e-9 <= correct <= summary.accuracy[1] + 1e-9
            assert summary.brier[0] - 1e-9 <= brier <= summary.brier[1] + 1e-9
    with pytest.raises(InputError, match="one of each"):
        summarise([], [])


@pytest.mark.parametrize("seed", range(20))
def test_a_bias_that_cancels_leaves_room_for_what_was_rounded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight, bias = rng.uniform(0.1, 3), 10.0 ** rng.integers(14, 18)
    d = -bias / weight
    truth = float(Fraction(weight) * Fraction(d) + Fraction(bias))  # what is left of two classes' difference
    found = enclose(
        (Affine(np.array(weight), np.array([bias, 0.0])), Softmax()), Differences(np.array([[0, d], [-d, 0]]))
    )
    assert found.lower[0] <= expit(truth) <= found.upper[0]
