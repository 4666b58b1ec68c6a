"""The Lightning callback: what it logs is what `measure` says, and the map is the one of those rows."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from surefoot.core.errors import InputError
from surefoot.metrics import METRICS, measure
from surefoot.recalibrate import TemperatureScaling, load_calibrator
from surefoot.train import CalibrationCallback


class Model(L.LightningModule):
    def __init__(self, whole: bool = True) -> None:
        super().__init__()
        self.net, self.whole = torch.nn.Linear(3, 4), whole

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], _: int) -> dict[str, Tensor] | None:
        return {"logits": self.net(batch[0]), "labels": batch[1]} if self.whole else None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trained(callback: CalibrationCallback, whole: bool = True) -> tuple[L.Trainer, Model, Tensor, Tensor]:
    torch.manual_seed(0)
    x, y = torch.randn(200, 3), torch.randint(4, (200,))
    loader: Any = DataLoader(TensorDataset(x, y), 50, num_workers=0)
    options: Any = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = L.Trainer(max_epochs=2, callbacks=[callback], logger=False, accelerator="cpu", **options)
    model = Model(whole)
    trainer.fit(model, loader, loader)
    return trainer, model, x, y


@pytest.mark.filterwarnings("ignore")
def test_it_logs_what_measure_says_and_leaves_a_map(tmp_path: Path) -> None:
    callback = CalibrationCallback(tmp_path / "map.json")
    trainer, model, x, y = trained(callback)
    with torch.no_grad():
        logits = model.net(x).numpy()
    ece = measure([(torch.from_numpy(logits).softmax(1).numpy(), y.numpy())], [METRICS["ece"]])["ece"]
    assert float(trainer.callback_metrics["calibration/ece"]) == pytest.approx(ece.value, abs=1e-6)
    assert float(trainer.callback_metrics["calibration/ece_floor"]) == pytest.approx(ece.floor, rel=0.1)
    want = TemperatureScaling().fit(logits, y.numpy())
    assert callback.temperature == pytest.approx(want.temperature_, rel=1e-4)
    assert np.allclose(load_calibrator(tmp_path / "map.json").predict_proba(logits), want.predict_proba(logits))


@pytest.mark.filterwarnings("ignore")
def test_a_step_that_returns_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="to return a dict with `logits` and `labels`"):
        trained(CalibrationCallback(), whole=False)
