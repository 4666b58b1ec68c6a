"""Training losses, each a drop-in for `torch.nn.CrossEntropyLoss`."""

from surefoot.losses.adaptive import AdaFocalLoss as AdaFocalLoss
from surefoot.losses.base import Loss as Loss
from surefoot.losses.base import PointwiseLoss as PointwiseLoss
from surefoot.losses.batch import MDCALoss as MDCALoss
from surefoot.losses.batch import MMCELoss as MMCELoss
from surefoot.losses.batch import WeightedMMCELoss as WeightedMMCELoss
from surefoot.losses.catalog import LOSSES as LOSSES
from surefoot.losses.catalog import find_loss as find_loss
from surefoot.losses.focal import DualFocalLoss as DualFocalLoss
from surefoot.losses.focal import FocalLoss as FocalLoss
from surefoot.losses.focal import InverseFocalLoss as InverseFocalLoss
from surefoot.losses.gamma import ByConfidence as ByConfidence
from surefoot.losses.gamma import Fixed as Fixed
from surefoot.losses.gamma import GammaPolicy as GammaPolicy
from surefoot.losses.gamma import Scheduled as Scheduled
from surefoot.losses.gamma import Solved as Solved
from surefoot.losses.gamma import gamma_star as gamma_star
from surefoot.losses.linear import LinearLoss as LinearLoss
from surefoot.losses.margin import AngularMarginLoss as AngularMarginLoss
from surefoot.losses.proper import BrierLoss as BrierLoss
from surefoot.losses.proper import CrossEntropy as CrossEntropy
from surefoot.losses.proper import LabelSmoothingLoss as LabelSmoothingLoss
from surefoot.losses.proper import MarginSmoothingLoss as MarginSmoothingLoss
from surefoot.losses.sigmoid import SigmoidFocalLoss as SigmoidFocalLoss
