"""Networks by name."""

from surefoot.models.catalog import MODELS as MODELS
from surefoot.models.catalog import find_model as find_model
from surefoot.models.densenet import DenseNet as DenseNet
from surefoot.models.embedding import CosineHead as CosineHead
from surefoot.models.embedding import PolynomialEmbedding as PolynomialEmbedding
from surefoot.models.generator import InjectionGenerator as InjectionGenerator
from surefoot.models.generator import PolynomialGenerator as PolynomialGenerator
from surefoot.models.graph_filter import PolynomialGraphFilter as PolynomialGraphFilter
from surefoot.models.mesh import MeshAutoencoder as MeshAutoencoder
from surefoot.models.mlp import MLP as MLP
from surefoot.models.pi_resnet import PiResNet as PiResNet
from surefoot.models.polynomial import CCP as CCP
from surefoot.models.polynomial import NCP as NCP
from surefoot.models.polynomial import PolynomialNet as PolynomialNet
from surefoot.models.pooling_cnn import PoolingCNN as PoolingCNN
from surefoot.models.resnet import BottleneckResNet as BottleneckResNet
from surefoot.models.resnet import CifarResNet as CifarResNet
from surefoot.models.small_cnn import SmallCNN as SmallCNN
from surefoot.models.tree_lstm import TreeLSTM as TreeLSTM
from surefoot.models.wide_resnet import WideResNet as WideResNet
