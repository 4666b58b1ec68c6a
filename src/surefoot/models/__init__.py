"""Networks by name."""

from surefoot.models.catalog import MODELS as MODELS
from surefoot.models.catalog import find_model as find_model
from surefoot.models.mlp import MLP as MLP
from surefoot.models.resnet import BottleneckResNet as BottleneckResNet
from surefoot.models.resnet import CifarResNet as CifarResNet
from surefoot.models.small_cnn import SmallCNN as SmallCNN
