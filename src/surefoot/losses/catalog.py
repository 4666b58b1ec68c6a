"""Every loss by name: feeds the command line, the law tests and the documentation."""

from collections.abc import Callable
from functools import partial

from surefoot.core.catalog import look_up
from surefoot.losses.adaptive import AdaFocalLoss
from surefoot.losses.base import Loss
from surefoot.losses.batch import MDCALoss, MMCELoss, WeightedMMCELoss
from surefoot.losses.focal import DualFocalLoss, FocalLoss, InverseFocalLoss
from surefoot.losses.gamma import ByConfidence, Scheduled, Solved
from surefoot.losses.proper import BrierLoss, CrossEntropy, LabelSmoothingLoss, MarginSmoothingLoss

LOSSES: dict[str, Callable[..., Loss]] = {
    "ce": CrossEntropy,
    "ls": LabelSmoothingLoss,
    "brier": BrierLoss,
    "mmce": MMCELoss,
    "mmce-ref": partial(MMCELoss, variant="reference"),
    "mmce-w": WeightedMMCELoss,
    "mmce-w-ref": partial(WeightedMMCELoss, variant="reference"),
    "fl-1": partial(FocalLoss, 1.0),
    "fl-2": partial(FocalLoss, 2.0),
    "fl-3": partial(FocalLoss, 3.0),
    "flsc-531": partial(FocalLoss, Scheduled()),
    "flsd-53": partial(FocalLoss, ByConfidence()),
    "flsd-532": partial(FocalLoss, ByConfidence((5.0, 3.0, 2.0), (0.2, 0.5))),
    "focal-solved": partial(FocalLoss, Solved()),
    "dual-focal": DualFocalLoss,
    "inverse-focal": InverseFocalLoss,
    "mbls": MarginSmoothingLoss,
    "mdca": MDCALoss,
    "adafocal": AdaFocalLoss,
}


def find_loss(name: str) -> Callable[..., Loss]:
    """Return what makes the loss of that name.

    Raises:
        InputError: there is no such loss; the message lists those there are.
    """
    return look_up(LOSSES, "loss", name)
