"""Why a network became miscalibrated: a training run's own log, read."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from surefoot.core.errors import FileError

COLUMNS = (
    *(f"{part}_{name}" for part in ("train", "val") for name in ("nll", "error", "entropy")),
    *(f"{part}_confidence_{which}" for part in ("train", "val") for which in ("right", "wrong")),
    "val_refined_nll",
    "last_layer_norm",
    "gradient_norm",
)
_RISE = 1.02  # NLL that ends this factor above its least has over-fitted


@dataclass(frozen=True)
class TrainingLog:
    """One number an epoch for each of `COLUMNS`.

    Attributes:
        numbers: of the epochs, counted from 1; a run that was stopped may lack one.
    """

    columns: dict[str, list[float]]
    numbers: list[int]

    @property
    def epochs(self) -> int:
        """Count the epochs."""
        return len(self.columns["val_nll"])


def read_log(run: Path | str) -> TrainingLog:
    """Read `log/metrics.csv` in the folder of a run.

    Raises:
        FileError: there is none, or it is not a log that `surefoot train` wrote.
    """
    path = Path(run) / "log" / "metrics.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        epochs: dict[int, dict[str, float]] = {}
        for row in rows:  # an epoch's numbers stand in two lines; a resumed run may have said them twice
            numbers = {name: float(row[name]) for name in COLUMNS if row.get(name)}
            epochs.setdefault(int(row["epoch"]), {}).update(numbers)
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}; name the folder that `surefoot train` left") from error
    except (ValueError, KeyError, csv.Error, UnicodeDecodeError) as error:
        raise FileError(f"{path} is not a log of `surefoot train`, or damaged: {error}") from error
    whole = {epoch: epochs[epoch] for epoch in sorted(epochs) if set(COLUMNS) <= set(epochs[epoch])}
    if not whole:
        raise FileError(f"{path} holds no whole epoch with {', '.join(COLUMNS[:3])}, ...")
    columns = {name: [numbers[name] for numbers in whole.values()] for name in COLUMNS}
    return TrainingLog(columns, [epoch + 1 for epoch in whole])


def sentences_of(log: TrainingLog) -> list[str]:
    """Say when over-fitting of NLL began, whether it is confidence or knowledge that went, and who grew sure."""
    nll, error, refined = (log.columns[f"val_{name}"] for name in ("nll", "error", "refined_nll"))
    best = min(range(log.epochs), key=lambda i: (nll[i], i) if not math.isnan(nll[i]) else (math.inf, i))
    if nll[-1] <= _RISE * nll[best]:
        first = f"No overfitting of NLL: held-out NLL ends at {nll[-1]:.3f}, its least was {nll[best]:.3f}."
    else:
        first = (
            f"Overfitting of NLL began after epoch {log.numbers[best]}: held-out NLL rose from {nll[best]:.3f} to "
            f"{nll[-1]:.3f} by epoch {log.numbers[-1]}, while held-out error went from {100 * error[best]:.1f}% to "
            f"{100 * error[-1]:.1f}%."
        )
    least = min(refined)
    if refined[-1] <= _RISE * least:
        second = (
            f"What the network knows did not suffer: after a temperature its held-out NLL ends at {refined[-1]:.3f}, "
            f"{'its least' if refined[-1] == least else f'where its least was {least:.3f}'}; a temperature is worth "
            f"{nll[-1] - refined[-1]:.3f} at the end."
        )
    else:
        second = (
            f"Knowledge was lost, too: after a temperature held-out NLL rose from {least:.3f} to {refined[-1]:.3f}; "
            f"keep the best epoch, a temperature does not bring it back."
        )
    wrong = log.columns["val_confidence_wrong"]
    third = (
        f"On held-out rows that it gets wrong the network's mean confidence went from {wrong[best]:.2f} (epoch "
        f"{log.numbers[best]}) to {wrong[-1]:.2f}; the last layer's weights went from a norm of "
        f"{log.columns['last_layer_norm'][0]:.1f} to {log.columns['last_layer_norm'][-1]:.1f}."
    )
    return [first, second, third]
