"""No answer about a ball of inputs contradicts an input of it, and no method answers about another set."""

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.reach.balls import projected
from surefoot.spec.perturbations import ball, linf_ball
from surefoot.spec.query import Holds, Violated, robustness
from surefoot.verify.catalog import BALLS, METHODS
from surefoot.verify.network import Network
from surefoot.verify.run import verify


@pytest.mark.parametrize("method", BALLS)
@pytest.mark.parametrize("norm", [1, 2])
def test_answers_and_inputs_agree(norm: int, method: str) -> None:
    answers = {Holds: 0, Violated: 0}
    for seed in range(6):
        network = Network.of(random_network(seed))
        rng = np.random.default_rng(seed)
        image = rng.uniform(0, 1, size=network.inputs).astype(np.float32)
        label = int(network.run(image[None])[0].argmax())
        for radius in (0.02, 0.3, 3.0):
            region = ball(image, radius, 1 if norm == 1 else 2, 0.0, 1.0)
            query = robustness(region, label, network.outputs)
            verdict = verify(network, query, 4.0, method, float32=False)
            answers[type(verdict)] = answers.get(type(verdict), 0) + 1
            if isinstance(verdict, Violated):
                assert region.distance(verdict.input) <= 1e-6
                assert query.broken_by(verdict.output)
            if isinstance(verdict, Holds):
                assert region.ball is not None
                moved = rng.normal(size=(300, network.inputs)) * rng.exponential(size=(300, 1))
                x = projected(torch.from_numpy(image + radius * moved), region.ball).clamp(0, 1).numpy()
                inside = [row for row in x.astype(np.float32) if region.contains(row.astype(float))]
                assert inside
                assert not any(query.broken_by(y) for y in network.run(np.stack(inside)))
    assert answers[Holds] > 2
    assert answers[Violated] > 2


def test_what_does_not_know_of_balls_is_refused() -> None:
    network = Network.of(random_network(0))
    query = robustness(ball(np.full(network.inputs, 0.5), 0.1, 2, 0.0, 1.0), 0, network.outputs)
    for name in METHODS.keys() - set(BALLS):
        with pytest.raises(InputError, match="does not know of balls"):
            verify(network, query, 1.0, name)


def test_a_ball_lies_between_boxes() -> None:
    """What holds in the box of a ball holds in it; and a ball holds the box of radius r / sqrt(d)."""
    for seed in range(6):
        network = Network.of(random_network(seed))
        image = np.full(network.inputs, 0.5)
        label = int(network.run(image[None].astype(np.float32))[0].argmax())
        around, inner = linf_ball(image, 0.2, 0, 1), linf_ball(image, 0.19 / np.sqrt(network.inputs), 0, 1)
        verdicts = [
            verify(network, robustness(region, label, network.outputs), 5.0)
            for region in (around, ball(image, 0.2, 2, 0, 1), inner)
        ]
        outer, middle, within = (isinstance(verdict, Holds) for verdict in verdicts)
        if outer:
            assert not isinstance(verdicts[1], Violated)
        if middle:
            assert not isinstance(verdicts[2], Violated)
        assert outer <= within
