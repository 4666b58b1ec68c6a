"""Calibration in TensorBoard and MLflow, through Lightning's loggers; the page of the report as an artefact of the run.

Needs: pip install tensorboard mlflow (either is enough)

    python examples/lightning_loggers.py && tensorboard --logdir logs
"""

import importlib.util

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from surefoot.core import Predictions
from surefoot.evaluate import evaluate
from surefoot.report import write_page
from surefoot.train import CalibrationCallback


class Digits(L.LightningModule):
    """A linear map; `validation_step` returns what the callback reads."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(64, 10)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        """Compute the loss."""
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], _: int) -> dict[str, Tensor]:
        """Return logits and labels."""
        return {"logits": self.net(batch[0]), "labels": batch[1]}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Use Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-2)


x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
train, held_out = (TensorDataset(x[part], y[part]) for part in (slice(0, 1300), slice(1300, None)))
loggers: list[Logger] = []
if importlib.util.find_spec("tensorboard"):
    loggers.append(TensorBoardLogger("logs", name="digits"))
if importlib.util.find_spec("mlflow"):
    loggers.append(MLFlowLogger("digits", tracking_uri="sqlite:///mlflow.db"))
model, calibration = Digits(), CalibrationCallback()
trainer = L.Trainer(
    max_epochs=5, callbacks=[calibration], logger=loggers, enable_checkpointing=False, enable_progress_bar=False,
    accelerator="cpu",
)  # fmt: skip
trainer.fit(model, DataLoader(train, 64), DataLoader(held_out, 512))

with torch.no_grad():
    logits = model.net(x[1300:]).numpy()
evaluation, _ = evaluate(Predictions(logits, "logits", y[1300:].numpy()), title="digits")
write_page("report.html", "How sure is it?", [evaluation])
for logger in loggers:
    if isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, "report.html")
print(f"{', '.join(type(logger).__name__ for logger in loggers) or 'no logger'}: {sorted(trainer.logged_metrics)}")
