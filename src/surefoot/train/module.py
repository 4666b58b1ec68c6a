"""A network, a loss and a recipe as a Lightning module."""

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from surefoot.data import Prepare
from surefoot.losses import Loss
from surefoot.losses.base import FollowsEpochs, LearnsFromValidation
from surefoot.recalibrate import TemperatureScaling
from surefoot.train.adversary import worst_in_one_step
from surefoot.train.recipes import Recipe

REFINED = "val_refined_nll"


class Classifier(L.LightningModule):
    """Train a network that gives logits (n, k). Everything random in an epoch follows from the seed and its number.

    So a run that was killed and resumed from the last epoch's checkpoint ends in the same weights as one that was not.
    Each epoch's line in the log has what the paper looks at: NLL, entropy and confidence of right and wrong answers on
    the rows trained on (as they were seen) and held out, the norm of the last layer's weights and of the gradient.
    """

    def __init__(
        self, model: nn.Module, loss: Loss, recipe: Recipe, seed: int = 0, prepare: Prepare | None = None
    ) -> None:
        super().__init__()
        self.model, self.loss, self.recipe, self.seed = model, loss, recipe, seed
        self.prepare = prepare or Prepare()
        self._sums: dict[str, Tensor] = {}
        self._held_out: list[tuple[Tensor, Tensor]] = []
        self._norms: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k) of inputs as they are stored."""
        return self.model(self.prepare(x))

    def setup(self, stage: str) -> None:
        """Compile the network where that pays."""
        if self.recipe.compile and self.trainer.strategy.root_device.type == "cuda":
            self.model.compile()

    def configure_optimizers(self) -> Any:
        """Follow the recipe."""
        optimiser = self.recipe.make_optimiser(self.model)
        if self.recipe.schedule == "steps":
            schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self.recipe.rate_in_epoch)
            return {"optimizer": optimiser, "lr_scheduler": schedule}
        steps = int(self.trainer.estimated_stepping_batches)
        # the first step of a cycle is not wasted on a rate of 0
        cycle = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: self.recipe.rate_at((step + 1) / (steps + 1)))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Seed this epoch, and tell a loss that follows training where it stands."""
        torch.manual_seed(1_000_003 * self.seed + self.current_epoch)
        if isinstance(self.loss, FollowsEpochs):
            self.loss.begin_epoch(self.current_epoch, self.recipe.epochs)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Compute the loss of a batch."""
        x, y = batch
        numbers, radius = self.prepare.numbers(x, augment=True), self.recipe.adversarial
        if radius:
            low, high = numbers.min().item(), numbers.max().item()  # of images: 0 and 1
            numbers = worst_in_one_step(lambda z: self.model(self.prepare.normalise(z)), numbers, y, radius, low, high)
        logits = self.model(self.prepare.normalise(numbers))
        loss = self.loss(logits, y)
        if self.recipe.l1:  # of the mean over rows, whatever the loss is reduced to
            rows = len(y) if self.recipe.reduction == "sum" else 1
            weights = [p.abs().sum() for p in self.model.parameters() if p.ndim > 1]
            loss = loss + rows * self.recipe.l1 * torch.stack(weights).sum()
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(y))
        self._observe("train", logits.detach().float(), y)
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the recipe; keep the norm that the gradient had before."""
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        self._norms.append(nn.utils.clip_grad_norm_(parameters, gradient_clip_val or float("inf"), foreach=True))

    def on_train_epoch_end(self) -> None:
        """Log what the epoch did."""
        self._report("train")
        weights = [p for p in self.model.parameters() if p.ndim > 1]
        self.log("last_layer_norm", weights[-1].detach().norm())
        self.log("gradient_norm", torch.stack(self._norms).mean())
        self._norms = []

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Keep the logits of held-out rows."""
        x, y = batch
        logits = self(x).float()
        self._observe("val", logits, y)
        self._held_out.append((logits, y))

    def on_validation_epoch_end(self) -> None:
        """Log held-out NLL before and after a temperature, and show calibration to a loss that learns from it."""
        self._report("val")
        logits, labels = (torch.cat(part) for part in zip(*self._held_out, strict=True))
        self._held_out = []
        gathered: Any = self.all_gather((logits, labels))  # every device sees all of it
        logits, labels = gathered[0].reshape(-1, logits.shape[1]), gathered[1].reshape(-1)
        self.log(REFINED, refined_nll(logits, labels), prog_bar=True)
        if isinstance(self.loss, LearnsFromValidation):
            confidence, predicted = logits.softmax(1).max(1)
            self.loss.observe_validation(confidence, predicted == labels)

    def _observe(self, part: str, logits: Tensor, y: Tensor) -> None:
        """Add a batch to the sums of an epoch: rows, NLL, entropy, correct, confidence of correct and of wrong rows."""
        log_p = logits.log_softmax(1)
        confidence, predicted = log_p.max(1)
        confidence, hit = confidence.exp(), (predicted == y).float()
        nll = -log_p.gather(1, y.unsqueeze(1)).sum()
        entropy = -(log_p.exp() * log_p.clamp(min=-1e4)).sum()
        rows, right, wrong = torch.ones_like(hit).sum(), (confidence * hit).sum(), (confidence * (1 - hit)).sum()
        sums = torch.stack([rows, nll, entropy, hit.sum(), right, wrong]).double()
        self._sums[part] = self._sums[part] + sums if part in self._sums else sums

    def _report(self, part: str) -> None:
        sums: Any = self.all_gather(self._sums.pop(part))
        n, nll, entropy, correct, right, wrong = sums.reshape(-1, 6).sum(0).float()
        values = {"error": 1 - correct / n, "nll": nll / n, "entropy": entropy / n}
        values |= {
            "confidence_right": right / correct.clamp(min=1),
            "confidence_wrong": wrong / (n - correct).clamp(min=1),
        }
        shown = ("error", "nll") if part == "val" else ()
        for name, value in values.items():
            self.log(f"{part}_{name}", value, prog_bar=name in shown)


def refined_nll(logits: Tensor, labels: Tensor) -> float:
    """Compute the NLL after the temperature that makes it least: what a network knows, whatever it claims.

    Reference: Berta et al. 2025, *Rethinking Early Stopping: Refine, Then Calibrate*.
    """
    if not torch.isfinite(logits).all():
        return float("inf")
    table, target = logits.double().cpu(), labels.cpu()
    temperature = TemperatureScaling().fit(table, target).temperature_
    return float(nn.functional.cross_entropy(table / temperature, target))
