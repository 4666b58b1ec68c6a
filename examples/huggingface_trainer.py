"""Hugging Face's Trainer with one of our losses, by `compute_loss_func`. Needs: pip install transformers accelerate

python examples/huggingface_trainer.py && surefoot report predictions.npz
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.utils.data import Dataset
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.models.vit import ViTConfig, ViTForImageClassification
from transformers.trainer import Trainer
from transformers.training_args import TrainingArguments

from surefoot.losses import FocalLoss

pixels, digits = load_digits(return_X_y=True)
x, y = torch.tensor(pixels / 8 - 1, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(digits)


class Digits(Dataset):
    """Rows of the digits, as the Trainer wants them."""

    def __init__(self, rows: slice) -> None:
        self.x, self.y = x[rows], y[rows]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.x)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        """Return one."""
        return {"pixel_values": self.x[i], "labels": self.y[i]}


criterion = FocalLoss(gamma=3.0, reduction="sum")


def loss(
    outputs: ImageClassifierOutput, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None
) -> torch.Tensor:
    """Divide by the rows of the whole step, also where gradients are accumulated."""
    return criterion(outputs["logits"], labels) / (len(labels) if num_items_in_batch is None else num_items_in_batch)


config = ViTConfig(
    image_size=8, patch_size=2, num_channels=1, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=64, id2label={i: str(i) for i in range(10)},
)  # fmt: skip
trainer = Trainer(
    model=ViTForImageClassification(config),
    args=TrainingArguments(
        "out", num_train_epochs=5, learning_rate=3e-3, per_device_train_batch_size=64, report_to="none",
        save_strategy="no", use_cpu=True,
    ),
    train_dataset=Digits(slice(0, 1200)),
    compute_loss_func=loss,
)  # fmt: skip
trainer.train()
logits = np.asarray(trainer.predict(Digits(slice(1200, None))).predictions)
np.savez("predictions.npz", logits=logits, labels=y[1200:].numpy())
print(f"predictions.npz: {len(logits)} rows")
