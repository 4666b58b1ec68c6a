"""Every network by name: feeds the command line and the tests. Each is made from the shape of one input and k."""

from collections.abc import Callable
from functools import partial

from torch import nn

from surefoot.core.catalog import look_up
from surefoot.models.densenet import DenseNet
from surefoot.models.mlp import MLP
from surefoot.models.pi_resnet import PiResNet
from surefoot.models.polynomial import PolynomialNet
from surefoot.models.pooling_cnn import PoolingCNN
from surefoot.models.resnet import BottleneckResNet, CifarResNet
from surefoot.models.small_cnn import SmallCNN
from surefoot.models.tree_lstm import TreeLSTM
from surefoot.models.wide_resnet import WideResNet

MODELS: dict[str, Callable[..., nn.Module]] = {
    "linear": partial(MLP, widths=()),
    "mlp": MLP,
    "mlp-64": partial(MLP, widths=(64,)),
    "small-cnn": SmallCNN,
    "resnet20": partial(CifarResNet, depth=20),
    "resnet32": partial(CifarResNet, depth=32),
    "resnet44": partial(CifarResNet, depth=44),
    "resnet56": partial(CifarResNet, depth=56),
    "resnet110": partial(CifarResNet, depth=110),
    "resnet50": BottleneckResNet,
    "resnet110-paper": partial(BottleneckResNet, stages=(3, 4, 26, 3)),
    "resnet50-tiny": partial(BottleneckResNet, pool=2),
    "wrn-26-10": WideResNet,
    "densenet121": DenseNet,
    "pooling-cnn": PoolingCNN,
    "tree-lstm": TreeLSTM,
    "ccp-2": partial(PolynomialNet, kind="ccp", degrees=(2,)),
    "ccp-4": partial(PolynomialNet, kind="ccp", degrees=(4,)),
    "ccp-8": partial(PolynomialNet, kind="ccp", degrees=(8,)),
    "ncp-2": partial(PolynomialNet, kind="ncp", degrees=(2,)),
    "ncp-4": partial(PolynomialNet, kind="ncp", degrees=(4,), norm="product"),
    "ncp-skip-4": partial(PolynomialNet, kind="ncp-skip", degrees=(4,), norm="product"),
    "prod-poly": partial(PolynomialNet, kind="ccp", degrees=(2, 2, 2), rank=48, norm="product"),
    "pi-small": partial(PiResNet, blocks=(1, 1), widths=(16, 32), mixed=True),
    "pi-small-relu": partial(PiResNet, blocks=(1, 1), widths=(16, 32), activation=True, mixed=True),
    "pdc-small": partial(PiResNet, blocks=(1, 1), widths=(16, 32), product="own-factors"),
    "r-poly-small": partial(PiResNet, blocks=(1, 1), widths=(16, 32), product="regularised"),
    "pi-resnet18": partial(PiResNet, mixed=True),
    "pi-resnet18-relu": partial(PiResNet, activation=True, mixed=True),
    "prod-poly-resnet": partial(PiResNet, blocks=(2, 2, 1, 1), activation=True),
}


def find_model(name: str) -> Callable[..., nn.Module]:
    """Return what makes the network of that name.

    Raises:
        InputError: there is no such network; the message lists those there are.
    """
    return look_up(MODELS, "model", name)
