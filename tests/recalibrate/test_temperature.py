"""Temperature: against SciPy's minimiser, equivariant in scale, on the grid of the paper."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import DTypeLike
from scipy.optimize import OptimizeResult, minimize_scalar

from surefoot.core.numerics import log_softmax, softmax
from surefoot.recalibrate import GridTemperatureScaling, TemperatureScaling


def sample(
    seed: int, n: int = 300, k: int = 5, scale: float = 2.5, dtype: DTypeLike = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(n, k))
    labels = (softmax(logits).cumsum(1) < rng.random((n, 1))).sum(1).clip(max=k - 1)
    return (scale * logits).astype(dtype), labels


def least(function: Callable[[float], float], low: float, high: float) -> float:
    """Return the least value of a function between two ends."""
    best = minimize_scalar(function, bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    assert isinstance(best, OptimizeResult)
    return best.fun


def nll(logits, labels, temperature):
    return -log_softmax(logits.astype(np.float64) / temperature)[np.arange(len(labels)), labels].mean()


@given(seed=st.integers(0, 1000), scale=st.floats(0.05, 50), dtype=st.sampled_from([np.float32, np.float64]))
def test_excess_nll_is_nothing(seed, scale, dtype):
    logits, labels = sample(seed, scale=scale, dtype=dtype)
    fitted = TemperatureScaling().fit(logits, labels)
    best = least(lambda t: nll(logits, labels, np.exp(t)), -7, 9)
    assert nll(logits, labels, fitted.temperature_) - best < 1e-9
    assert not fitted.at_bound_


def test_large_tables_use_the_warm_start_and_get_the_same():
    logits, labels = sample(0, n=20_000, dtype=np.float32)
    temperature = TemperatureScaling().fit(logits, labels).temperature_
    best = least(lambda t: nll(logits, labels, t), 1, 5)
    assert nll(logits, labels, temperature) - best < 1e-9


@pytest.mark.parametrize("factor", [1e-12, 1e-3, 7.0, 1e6])
def test_temperature_scales_with_the_logits(factor):
    logits, labels = sample(3)
    plain = TemperatureScaling().fit(logits, labels).temperature_
    assert TemperatureScaling().fit(factor * logits, labels).temperature_ == pytest.approx(factor * plain, rel=1e-6)


@pytest.mark.parametrize("shift", [-1e3, 50.0])
def test_adding_a_constant_to_a_row_changes_nothing(shift):
    logits, labels = sample(4)
    logits[::2] += shift
    assert TemperatureScaling().fit(logits, labels).temperature_ == pytest.approx(
        TemperatureScaling().fit(*sample(4)).temperature_, rel=1e-6
    )


def test_never_wrong_stays_bounded_and_says_so():
    fitted = TemperatureScaling().fit([[5.0, 0.0], [0.0, 4.0]], [0, 1])
    assert fitted.at_bound_
    assert 0 < fitted.temperature_ < 1
    fitted = TemperatureScaling().fit([[5.0, 0.0], [0.0, 4.0]], [1, 0])
    assert fitted.at_bound_
    assert 100 < fitted.temperature_ < 1e5


@pytest.mark.parametrize("objective", ["ece", "nll"])
def test_grid_is_that_of_the_reference(objective):
    """Redo the reference's loop with its own float accumulation and strict improvement."""
    logits, labels = sample(5)

    def score(temperature):
        probs = softmax(logits / temperature)
        if objective == "nll":
            return nll(logits, labels, temperature)
        confidence, correct = probs.max(1), probs.argmax(1) == labels
        total = 0.0
        for low, high in zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True):
            inside = (confidence > low) & (confidence <= high)
            if inside.any():
                total += abs(confidence[inside].mean() - correct[inside].mean()) * inside.mean()
        return total

    best, expected, temperature = 1e7, 1.0, 0.1
    for _ in range(100):
        if score(temperature) < best - 1e-15:
            best, expected = score(temperature), temperature
        temperature += 0.1
    assert GridTemperatureScaling(objective).fit(logits, labels).temperature_ == pytest.approx(expected)


def test_ties_on_the_grid_go_to_the_lowest():
    assert GridTemperatureScaling("ece").fit([[9e3, 0.0], [0.0, 9e3]], [0, 1]).temperature_ == 0.1


def test_unknown_objective_is_refused():
    with pytest.raises(ValueError, match="objective must be"):
        GridTemperatureScaling("brier").fit(*sample(0))  # pyright: ignore[reportArgumentType]  # refused on purpose


@pytest.mark.slow
def test_published_temperatures_of_real_models(shared_data):
    with np.load(shared_data / "logits" / "cifar10_densenet40_valtest.npz", allow_pickle=False) as file:
        fitted = TemperatureScaling().fit(file["logits_val"], file["labels_val"])
    assert fitted.temperature_ == pytest.approx(2.8826, abs=5e-5)
