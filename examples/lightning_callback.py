"""A Lightning module that is there already: a callback logs calibration with its floor, and fits a temperature.

    python examples/lightning_callback.py

TensorBoard or MLflow get the same numbers through Lightning's loggers: `L.Trainer(logger=MLFlowLogger(...))`.
"""

import lightning as L
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from surefoot.train import CalibrationCallback


class Digits(L.LightningModule):
    """An MLP; `validation_step` returns what the callback reads."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        """Compute the loss."""
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], _: int) -> dict[str, Tensor]:
        """Return logits and labels."""
        return {"logits": self.net(batch[0]), "labels": batch[1]}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Use Adam."""
        return torch.optim.Adam(self.parameters(), lr=3e-3)


x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
L.seed_everything(0)
calibration = CalibrationCallback(map_file="map.json")
trainer = L.Trainer(
    max_epochs=10, callbacks=[calibration], logger=False, enable_checkpointing=False, enable_progress_bar=False,
    accelerator="cpu",
)  # fmt: skip
train, validation = (TensorDataset(x[part], y[part]) for part in (slice(0, 1300), slice(1300, None)))
trainer.fit(Digits(), DataLoader(train, 64), DataLoader(validation, 64))
ece = calibration.readings["ece"]
print(f"ECE {ece.value:.3f}, a calibrated model would show about {ece.floor:.3f}; T = {calibration.temperature:.2f}")
