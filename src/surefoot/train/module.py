"""A network, a loss and a recipe as a Lightning module."""

import lightning as L
import torch
from torch import Tensor, nn

from surefoot.losses import Loss
from surefoot.losses.base import FollowsEpochs, LearnsFromValidation
from surefoot.train.recipes import Recipe


class Classifier(L.LightningModule):
    """Train a network that gives logits (n, k). Everything random in an epoch follows from the seed and its number.

    So a run that was killed and resumed from the last epoch's checkpoint ends in the same weights as one that was not.
    """

    def __init__(self, model: nn.Module, loss: Loss, recipe: Recipe, seed: int = 0) -> None:
        super().__init__()
        self.model, self.loss, self.recipe, self.seed = model, loss, recipe, seed
        self._confidence: list[Tensor] = []
        self._correct: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k)."""
        return self.model(x)

    def configure_optimizers(self) -> dict:  # type: ignore[override]
        """Follow the recipe."""
        optimiser = self.recipe.make_optimiser(self.model)
        return {
            "optimizer": optimiser,
            "lr_scheduler": torch.optim.lr_scheduler.LambdaLR(optimiser, self.recipe.rate_factor),
        }

    def on_train_epoch_start(self) -> None:
        """Seed this epoch, and tell a loss that follows training where it stands."""
        torch.manual_seed(1_000_003 * self.seed + self.current_epoch)
        if isinstance(self.loss, FollowsEpochs):
            self.loss.begin_epoch(self.current_epoch, self.recipe.epochs)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Compute the loss of a batch."""
        x, y = batch
        loss = self.loss(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(y))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Log error and NLL of held-out rows, the same for every loss."""
        x, y = batch
        logits = self(x).float()
        confidence, predicted = logits.softmax(1).max(1)
        self._confidence.append(confidence)
        self._correct.append(predicted == y)
        self.log("val_error", (predicted != y).float().mean(), prog_bar=True, batch_size=len(y), sync_dist=True)
        nll = nn.functional.cross_entropy(logits, y)
        self.log("val_nll", nll, prog_bar=True, batch_size=len(y), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Show held-out calibration to a loss that learns from it; every device sees all of it."""
        confidence, correct = torch.cat(self._confidence), torch.cat(self._correct)
        self._confidence, self._correct = [], []
        if isinstance(self.loss, LearnsFromValidation) and not self.trainer.sanity_checking:
            gathered = self.all_gather((confidence, correct))
            self.loss.observe_validation(gathered[0].reshape(-1), gathered[1].reshape(-1))
