"""Losses as curves: values by the formula in 50 digits, slopes as derivatives."""

from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import torch
from torch import Tensor

from surefoot.losses.curves import CROSS_ENTROPY, FocalCurve, focal_curve, inverse_focal_curve
from surefoot.losses.gamma import Fixed

SURPRISE = [1e-12, 1e-6, 0.01, 0.5, 3.0, 40.0, 600.0]  # -log p
DTYPES = [(torch.float64, 1e-12), (torch.float32, 3e-6)]


def point(surprise: list[float], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return log p and log(1 - p)."""
    log_p = -torch.tensor(surprise, dtype=torch.float64)
    return log_p.to(dtype), (-torch.expm1(log_p)).log().to(dtype)


@pytest.mark.parametrize(("dtype", "digits"), DTYPES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 3.0])
def test_focal_and_inverse_focal_are_their_formulas(gamma: float, dtype: torch.dtype, digits: float) -> None:
    log_p, log_u = point(SURPRISE, dtype)
    with mpmath.workdps(50):
        for name, curve, weight in (
            ("focal", focal_curve, lambda p: (1 - p) ** gamma),
            ("inverse", inverse_focal_curve, lambda p: (1 + p) ** gamma),
        ):
            value, slope = curve(log_p, log_u, gamma)

            def loss(surprise: Any, weight: Callable[[Any], Any] = weight) -> Any:
                return weight(mpmath.exp(-surprise)) * surprise

            for x, v, s in zip(log_p.neg().tolist(), value.tolist(), slope.tolist(), strict=True):
                assert v == pytest.approx(float(loss(mpmath.mpf(x))), rel=digits), (name, x)
                want = float(mpmath.diff(loss, mpmath.mpf(x), h=mpmath.mpf(x) * mpmath.mpf(10) ** -20))
                assert s == pytest.approx(want, rel=10 * digits, abs=1e-30), (name, x)


def test_gamma_0_is_the_cross_entropy() -> None:
    log_p, log_u = point(SURPRISE, torch.float64)
    for curve in (CROSS_ENTROPY, FocalCurve(Fixed(0.0).at(0.0))):
        value, slope = curve(log_p, log_u)
        assert torch.equal(value, -log_p)
        assert torch.equal(slope, torch.ones_like(log_p))


def test_a_rule_gives_each_element_its_gamma() -> None:
    """Exponents as a tensor are those of numbers, element by element."""
    log_p, log_u = point(SURPRISE, torch.float64)
    gammas = torch.linspace(0.5, 3, len(SURPRISE), dtype=torch.float64)
    value, slope = focal_curve(log_p, log_u, gammas)
    for i, gamma in enumerate(gammas.tolist()):
        one = focal_curve(log_p[i], log_u[i], gamma)
        torch.testing.assert_close((value[i], slope[i]), one)
