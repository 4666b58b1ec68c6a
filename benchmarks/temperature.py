"""Fitting a temperature against passes of a chunked logsumexp, and against peers that are installed."""

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
import torch
from harness import Results, medians, peak_of_numpy
from scipy.optimize import minimize_scalar
from sklearn.calibration import _TemperatureScaling  # type: ignore[attr-defined]

from surefoot.recalibrate import TemperatureScaling
from surefoot.recalibrate.temperature import _slope_and_curvature

torch.set_num_threads(1)


def nll(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Compute the mean NLL in float64, in chunks."""
    total = 0.0
    for start in range(0, len(labels), 1024):
        z = logits[start : start + 1024].astype(np.float64) / temperature
        peak = z.max(1)
        total += (
            np.log(np.exp(z - peak[:, None]).sum(1)) + peak - z[np.arange(len(z)), labels[start : start + 1024]]
        ).sum()
    return total / len(labels)


def logsumexp_pass(logits: torch.Tensor) -> Callable[[], None]:
    """Return one pass of logsumexp over chunks of 256 rows, the unit of this benchmark."""

    def run() -> None:
        for start in range(0, len(logits), 256):
            torch.logsumexp(logits[start : start + 256], 1)

    return run


def peers(logits: np.ndarray, labels: np.ndarray) -> dict[str, Callable[[], float]]:
    """Return the peers that are installed, each giving its temperature."""

    def scikit_learn() -> float:
        return 1 / float(_TemperatureScaling().fit(logits, labels).beta_)

    found: dict[str, Callable[[], float]] = {"scikit-learn _TemperatureScaling": scikit_learn}
    if importlib.util.find_spec("probmetrics"):
        from probmetrics.calibrators import TemperatureScalingCalibrator  # type: ignore[import]  # noqa: PLC0415
        from probmetrics.distributions import CategoricalLogits  # type: ignore[import]  # noqa: PLC0415

        table, target = CategoricalLogits(torch.from_numpy(logits)), torch.from_numpy(labels)

        def probmetrics() -> float:
            calibrator = TemperatureScalingCalibrator(opt="bisection")
            calibrator.fit_torch(table, target)
            return 1 / float(np.ravel(calibrator.invtemp_)[0])

        found["probmetrics, bisection"] = probmetrics
    else:
        print("probmetrics is not installed: its row is left out")
    return found


def main() -> None:
    """Measure and write."""
    columns = ("rows", "way", "ms", "passes of logsumexp", "excess NLL", "peak MB", "limit")
    results = Results("Temperature", *columns)
    for n, k, repeats in ((10_000, 100, 9), (50_000, 1000, 5)):
        rng = np.random.default_rng(0)
        truth = (2.5 * rng.standard_normal((n, k))).astype(np.float32)
        noisy = truth + rng.gumbel(size=(n, k)).astype(np.float32)
        labels = noisy.argmax(1)
        logits = np.float32(2.2) * truth
        del noisy, truth
        ways: dict[str, Callable] = {
            "chunked logsumexp": logsumexp_pass(torch.from_numpy(logits)),
            "TemperatureScaling": lambda z=logits, y=labels: TemperatureScaling().fit(z, y).temperature_,
            "one of its passes": lambda z=logits, y=labels: _slope_and_curvature(z, y, 0.5),
            **peers(logits, labels),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            times = medians(ways, repeats)
        best = minimize_scalar(
            lambda t, z=logits, y=labels: nll(z, y, t), bounds=(1.5, 3), method="bounded", options={"xatol": 1e-7}
        )
        least = float(best.fun)  # type: ignore[attr-defined]
        unit = times["chunked logsumexp"]
        for name, seconds in times.items():
            fits = name not in ("chunked logsumexp", "one of its passes")
            excess = f"{nll(logits, labels, ways[name]()) - least:.0e}" if fits else ""
            peak = f"{peak_of_numpy(ways[name]) / 1e6:.1f}" if name == "TemperatureScaling" else ""
            asked = "12 passes, 1e-9" if name == "TemperatureScaling" and n == 50_000 else ""
            results.add(f"{n:,} x {k:,}", name, f"{1e3 * seconds:.1f}", f"{seconds / unit:.1f}", excess, peak, asked)
    results.write()


if __name__ == "__main__":
    main()
