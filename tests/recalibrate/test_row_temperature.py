"""The network that gives each row its temperature: what is minimised, where it is least, and what a ridge holds."""

import numpy as np
from scipy.special import log_softmax

from surefoot.recalibrate.row_temperature import fit_network
from surefoot.recalibrate.steps import RowTemperature


def sample() -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Rows of two kinds, one over-confident, one under-confident, and weights to begin from."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, 3))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    logits *= np.where(np.sort(logits, 1)[:, -1] > 1, 4.0, 0.5)[:, None]
    shapes = ((4, 3), (4,), (2, 4), (2,), (2,))
    return logits, labels, [*(0.3 * rng.normal(size=shape) for shape in shapes), np.array(0.5)]


def objective(parameters: list[np.ndarray], ridge: float) -> float:
    """NLL of `RowTemperature`, plus ridge / 2 of squares, the last bias from where it began, a row."""
    logits, labels, start = sample()
    z = RowTemperature(*parameters)(logits)
    nll = -log_softmax(z, axis=1)[np.arange(len(labels)), labels].sum()
    squares = sum((w**2).sum() for w in (*parameters[:-1], parameters[-1] - start[-1]))
    return float(nll + ridge / 2 * squares) / len(labels)


def test_it_ends_lower_than_it_began_and_no_step_goes_lower() -> None:
    logits, labels, start = sample()
    found = fit_network(logits, labels, 1.0, start)
    assert [w.shape for w in found] == [w.shape for w in start]
    least = objective(found, 1.0)
    assert least < objective(start, 1.0) - 0.05
    rng = np.random.default_rng(1)
    for _ in range(50):
        step = [np.asarray(w + 0.03 * rng.normal(size=w.shape)) for w in found]
        assert objective(step, 1.0) > least - 1e-5


def test_a_large_ridge_leaves_one_temperature() -> None:
    logits, labels, start = sample()
    found = fit_network(logits, labels, 1e9, start)
    assert max(np.abs(w).max() for w in found[:-1]) < 1e-3
    assert abs(found[-1] - start[-1]) < 1e-3
