"""A Lightning callback for a training that is there already: calibration with its floor, a temperature at the end."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.core.scored import Scored
from surefoot.metrics import METRICS, Reading, measure
from surefoot.recalibrate import TemperatureScaling, save_calibrator

NAMES = ("accuracy", "nll", "ece", "ks")


class CalibrationCallback(L.Callback):
    """Log accuracy, NLL, ECE and KS error of the validation part each epoch, ECE's noise floor beside it.

    The module's `validation_step` returns a dict with `logits` (n, k) and `labels` (n,), detached or not. At the end of
    `fit` a temperature is fitted on the last validation epoch's rows, kept as `temperature`, and written to `map_file`
    if one is named, for `surefoot export`.

    Raises:
        InputError: a step that returns something else.
    """

    def __init__(self, map_file: Path | str | None = None, prefix: str = "calibration/") -> None:
        self.map_file, self.prefix = map_file, prefix
        self.temperature: float | None = None
        self.readings: dict[str, Reading] = {}
        self._rows: list[tuple[np.ndarray, np.ndarray]] = []

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the last epoch."""
        self._rows = []

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """Keep a batch's logits and labels."""
        if not isinstance(outputs, dict) or not {"logits", "labels"} <= set(outputs):
            raise InputError("CalibrationCallback needs validation_step to return a dict with `logits` and `labels`")
        logits, labels = (
            torch.as_tensor(outputs[name]).detach().float().cpu().numpy() for name in ("logits", "labels")
        )
        self._rows.append((logits, labels.astype(np.int64)))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure, and log."""
        if trainer.sanity_checking or not self._rows:
            return
        logits, labels = self._held()
        self.readings = measure([(Scored.of_logits(logits), labels)], [METRICS[name] for name in NAMES])
        for name, reading in self.readings.items():
            pl_module.log(f"{self.prefix}{name}", float(reading.value), batch_size=len(labels))
        pl_module.log(f"{self.prefix}ece_floor", float(self.readings["ece"].floor), batch_size=len(labels))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Fit the temperature."""
        if not self._rows:
            return
        calibrator = TemperatureScaling().fit(*self._held())
        self.temperature = float(calibrator.temperature_)
        if self.map_file is not None and trainer.is_global_zero:
            save_calibrator(calibrator, self.map_file)

    def _held(self) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate([z for z, _ in self._rows]), np.concatenate([y for _, y in self._rows])
