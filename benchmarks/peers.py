"""Maps and metrics against other libraries, in one process; see peers.txt for the environment."""

import importlib.abc
import logging
import os
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any
from unittest.mock import MagicMock

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from harness import Results, medians, peak_of_numpy

from surefoot.core.numerics import top_scores
from surefoot.metrics import (
    observe_classwise,
    observe_confidence,
    observe_ranked_confidence,
    observe_ranking,
    observe_reliability,
    read_classwise_ece,
    read_ece,
)
from surefoot.metrics.ranking import read_adaptive_ece, read_ks
from surefoot.metrics.smooth import _CELLS, observe_smooth, read_smooth_ece
from surefoot.recalibrate import (
    DirichletCalibration,
    MatrixScaling,
    OneVsRest,
    Spline,
    StructuredMatrixScaling,
    TemperatureScaling,
    VectorScaling,
)

torch.set_num_threads(1)
warnings.simplefilter("ignore")


def nll(probs: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-300)).mean())


def sample(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw over-confident logits with a scale and a shift for each class, and a little mixing of neighbours."""
    rng = np.random.default_rng(seed)
    truth = 2.5 * rng.standard_normal((n, k))
    labels = (truth + rng.gumbel(size=(n, k))).argmax(1)
    of_classes = np.random.default_rng(0)
    scale, shift = 2 + 0.3 * of_classes.standard_normal(k), 0.5 * of_classes.standard_normal(k)
    mixed = truth + 0.1 * np.roll(truth, 1, axis=1)
    return (scale * mixed + shift).astype(np.float32), labels


def maps(results: Results) -> None:
    """Compare fits at 10,000 x 100: time, and NLL on as many other rows."""
    from probmetrics.calibrators import VectorScalingCalibrator, get_calibrator  # type: ignore[import]  # noqa: PLC0415
    from probmetrics.distributions import CategoricalLogits  # type: ignore[import]  # noqa: PLC0415

    (z, y), (z_test, y_test) = sample(10_000, 100, 1), sample(10_000, 100, 2)
    table, target, test = CategoricalLogits(torch.from_numpy(z)), torch.from_numpy(y), torch.from_numpy(z_test)

    def peer(make: Callable) -> Callable[[], np.ndarray]:
        def run() -> np.ndarray:
            fitted = make()
            fitted.fit_torch(table, target)
            return fitted.predict_proba_torch(CategoricalLogits(test)).get_probs().numpy()

        return run

    def ours(make: Callable) -> Callable[[], np.ndarray]:
        return lambda: make().fit(z, y).predict_proba(z_test)

    made = {
        "temperature": TemperatureScaling,
        "vector": VectorScaling,
        "structured matrix": StructuredMatrixScaling,
        "matrix (ODIR, penalty chosen)": MatrixScaling,
        "Dirichlet (ODIR, penalty chosen)": DirichletCalibration,
    }
    groups: dict[str, dict[str, Callable]] = {
        "temperature": {
            "surefoot": ours(TemperatureScaling),
            "probmetrics, bisection": peer(lambda: get_calibrator("temp-scaling", ts_opt="bisection")),
        },
        "vector": {
            "surefoot": ours(VectorScaling),
            "probmetrics, vector": peer(VectorScalingCalibrator),
            "probmetrics, SVS": peer(lambda: get_calibrator("svs")),
        },
        "structured matrix": {
            "surefoot": ours(StructuredMatrixScaling),
            "probmetrics, SMS": peer(lambda: get_calibrator("sms")),
        },
        "matrix (ODIR, penalty chosen)": {
            "surefoot": ours(MatrixScaling),
            "probmetrics, SMS": peer(lambda: get_calibrator("sms")),
        },
        "Dirichlet (ODIR, penalty chosen)": {
            "surefoot": ours(DirichletCalibration),
            "torch-uncertainty, penalty 0.1": dirichlet_of_torch_uncertainty(z, y, z_test),
        },
    }
    for task, ways in groups.items():
        judged = {name: nll(way(), y_test) for name, way in ways.items()}
        times = medians(ways, 3)
        for name, seconds in times.items():
            ratio = seconds / times["surefoot"]
            peak = f"{peak_of_numpy(lambda m=made[task]: m().fit(z, y)) / 1e6:.1f}" if name == "surefoot" else ""
            results.add("10,000 x 100", task, name, f"{1e3 * seconds:.0f}", f"{ratio:.1f}", f"{judged[name]:.4f}", peak)


class _Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands for what torch-uncertainty imports, does not need here, and cannot have: torchvision and its friends."""

    _NAMES = ("torchvision", "timm", "kornia", "seaborn", "glest", "torch_simple_metrics", "matplotlib", "cv2")

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return (
            ModuleSpec(fullname, self, is_package=True) if fullname.split(".", maxsplit=1)[0] in self._NAMES else None
        )

    def create_module(self, spec: ModuleSpec) -> Any:
        module = MagicMock()
        module.__path__, module.__name__, module.__spec__ = [], spec.name, spec
        return module

    def exec_module(self, module: object) -> None:
        pass


def dirichlet_of_torch_uncertainty(z: np.ndarray, y: np.ndarray, z_test: np.ndarray) -> Callable[[], np.ndarray]:
    sys.meta_path.append(_Absent())
    from torch_uncertainty.post_processing import DirichletScaler  # type: ignore[import]  # noqa: PLC0415

    logging.disable(logging.WARNING)
    rows = torch.utils.data.TensorDataset(torch.from_numpy(z), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(rows, batch_size=len(y))

    def run() -> np.ndarray:
        scaler = DirichletScaler(z.shape[1], model=torch.nn.Identity(), lambda_reg=0.1, mu_reg=0.1)
        scaler.fit(loader, progress=False)
        with torch.no_grad():
            return scaler(torch.from_numpy(z_test)).softmax(1).numpy()

    return run


def metrics(results: Results) -> None:
    """Compare metrics at 50,000 x 1,000 probabilities."""
    import calibration as uncertainty_calibration  # type: ignore[import]  # noqa: PLC0415
    import relplot  # type: ignore[import]  # noqa: PLC0415
    from netcal.metrics import ACE, ECE  # type: ignore[import]  # noqa: PLC0415
    from torchmetrics.classification import MulticlassCalibrationError  # noqa: PLC0415

    logits = 4 * torch.randn(50_000, 1000, generator=torch.Generator().manual_seed(0))
    table = logits.softmax(1)
    probs = table.numpy()
    rng = np.random.default_rng(0)
    labels = (logits.numpy()[:, :50] / 2 + rng.gumbel(size=(50_000, 50))).argmax(1)
    target, wide = torch.from_numpy(labels), probs.astype(np.float64)

    def torchmetrics_ece() -> float:
        return float(MulticlassCalibrationError(1000, n_bins=15)(table, target))

    def netcal_classwise() -> float:
        return float(np.mean([ECE(15).measure(wide[:, j], (labels == j).astype(int)) for j in range(0, 1000, 50)]))

    groups: dict[str, dict[str, Callable]] = {
        "top-label ECE": {
            "surefoot": lambda: read_ece(observe_reliability(probs, labels)),
            "torchmetrics": torchmetrics_ece,
            "netcal": lambda: ECE(15).measure(wide, labels),
            "uncertainty-calibration": lambda: uncertainty_calibration.get_ece(probs, labels),
        },
        "adaptive ECE": {
            "surefoot": lambda: read_adaptive_ece(observe_ranking(probs, labels)),
            "netcal (ACE, 15 bins)": lambda: ACE(15).measure(wide, labels),
            "uncertainty-calibration": lambda: uncertainty_calibration.get_ece_em(probs, labels),
        },
        "classwise ECE": {
            "surefoot": lambda: read_classwise_ece(observe_classwise(probs, labels)),
            "netcal, 20 of the 1,000 classes": netcal_classwise,
        },
        "smooth ECE": {
            "surefoot": lambda: read_smooth_ece(observe_smooth(probs, labels)),
            "relplot": lambda: relplot.smECE(probs.max(1), (probs.argmax(1) == labels).astype(float)),
        },
    }
    compare(results, "50,000 x 1,000", groups, 5)


def scores(results: Results) -> None:
    """Compare what works on 10 million confidences, and KS and the spline on 50,000."""
    import relplot  # type: ignore[import]  # noqa: PLC0415
    from mapie.metrics.calibration import kolmogorov_smirnov_statistic  # type: ignore[import]  # noqa: PLC0415
    from probmetrics.calibrators import CDFSplineCalibrator  # type: ignore[import]  # noqa: PLC0415

    rng = np.random.default_rng(0)
    many = (1 - 0.7 * rng.random(10_000_000) ** 2).astype(np.float32)
    right = rng.random(10_000_000) < many**1.3
    compare(
        results, "10,000,000",
        {
            "smooth ECE": {
                "surefoot": lambda: read_smooth_ece(observe_confidence(many, right, _CELLS)),
                "relplot": lambda: relplot.smECE(many, right.astype(float)),
            },
            "adaptive ECE": {"surefoot": lambda: read_adaptive_ece(observe_ranked_confidence(many, right))},
        },
        1,
    )  # fmt: skip
    score, correct = many[:50_000].astype(np.float64), right[:50_000]
    two = np.stack([1 - score, score], 1)

    def cdf_spline() -> np.ndarray:
        fitted = CDFSplineCalibrator()
        fitted.fit(two[:25_000], correct[:25_000].astype(int))
        return fitted.predict_proba(two[25_000:])

    compare(
        results, "50,000",
        {
            "KS error": {
                "surefoot": lambda: read_ks(observe_ranked_confidence(score, correct)),
                "MAPIE": lambda: kolmogorov_smirnov_statistic(correct.astype(int), score),
            },
            "spline, fit and apply": {
                "surefoot": lambda: Spline().fit(score[:25_000], correct[:25_000])(score[25_000:]),
                "probmetrics, CDFSpline": cdf_spline,
            },
        },
        9,
    )  # fmt: skip


def spline_path(results: Results) -> None:
    """Time the spline from a 50,000 x 1,000 table to the KS error after it, in passes of a chunked logsumexp."""
    z, y = sample(50_000, 1000, 3)
    half = 25_000
    tensor = torch.from_numpy(z)

    def logsumexp() -> None:
        for start in range(0, len(z), 256):
            torch.logsumexp(tensor[start : start + 256], 1)

    def top_label() -> float:
        score, top = top_scores(z)
        curve = Spline().fit(score[:half], top[:half] == y[:half])
        return read_ks(observe_ranked_confidence(curve(score[half:]), top[half:] == y[half:]))

    times = medians({"logsumexp": logsumexp, "top label": top_label}, 5)
    classwise = OneVsRest(Spline(clock="deviation"))
    both = medians(
        {
            "fit": lambda: classwise.fit(z[:half], y[:half]),
            "fit and apply": lambda: classwise.fit(z[:half], y[:half]).predict_proba(z[half:]),
        },
        1,
    )
    unit = times["logsumexp"]
    # the reference, as the specification measured it beside this unit (0.053 s): 0.757 s, and 0.27 s a class
    rows = "50,000 x 1,000"
    for what, seconds, passes in (
        ("spline of the top label, table to KS after", times["top label"], 14.3),
        ("spline of 1,000 classes, fit on 25,000 rows", both["fit"], 5100),
        ("the same, and applied to 25,000", both["fit and apply"], 5100),
    ):
        ratio = f"{passes / (seconds / unit):.0f} (reference, {passes:,} passes of logsumexp)"
        results.add(rows, what, "surefoot", f"{1e3 * seconds:.0f}", ratio, "", "")
    before = read_ks(observe_ranked_confidence(*_hits(z, y, half)))
    print(f"KS before {before:.4f}, after {top_label():.4f}")


def _hits(z: np.ndarray, y: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    score, top = top_scores(z[start:])
    return score, top == y[start:]


def compare(results: Results, rows: str, groups: dict[str, dict[str, Callable]], repeats: int) -> None:
    for task, ways in groups.items():
        values = {name: float(np.mean(way())) for name, way in ways.items()}
        times = medians(ways, repeats)
        for name, seconds in times.items():
            peak = f"{peak_of_numpy(ways[name]) / 1e6:.0f}" if name == "surefoot" else ""
            ratio = f"{seconds / times['surefoot']:.1f}"
            results.add(rows, task, name, f"{1e3 * seconds:.1f}", ratio, f"{values[name]:.4f}", peak)


def main() -> None:
    """Measure and write."""
    columns = ("rows", "what", "who", "ms", "times ours", "test NLL or value", "our peak MB (of a fit; of a metric)")
    results = Results("Peers", *columns)
    for part in (maps, metrics, scores, spline_path):
        if len(sys.argv) < 2 or part.__name__ in sys.argv[1:]:
            part(results)
    if len(sys.argv) < 2:
        results.write()


if __name__ == "__main__":
    main()
