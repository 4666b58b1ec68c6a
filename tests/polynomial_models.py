"""Polynomial networks as if trained, and their degree measured along a line."""

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from surefoot.graph.degree import polynomial_degree
from surefoot.graph.onnx_out import onnx_of_graph
from surefoot.graph.torch_in import graph_of_module


def shaken(module: nn.Module) -> nn.Module:
    """Give batch normalisations statistics, and numbers that begin with 0 a value, as if trained."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("share"):
                parameter.fill_(0.7)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.normal_(std=0.1)
                layer.running_var.uniform_(0.5, 2)
    return module.eval()


def degree_along(module: nn.Module, x: Tensor, most: int) -> int:
    """Return the degree along a line through x, by finite differences of exact enough values."""
    module = module.double()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double()
    t = torch.linspace(-1, 1, most + 3, dtype=torch.float64).reshape(-1, *[1] * x.dim())
    with torch.no_grad():
        y = module((x.double() + t * direction).flatten(0, 1)).flatten(1).numpy()
    for degree in range(most + 2):
        if np.abs(np.diff(y, n=degree + 1, axis=0)).max() < 1e-9 * np.abs(y).max():
            return degree
    return most + 2


def check_degree_and_runtime(model: nn.Module, shape: tuple[int, ...], degree: int) -> None:
    """The degree that the graph tells is the one along a line; ONNX Runtime gives the same values."""
    model = shaken(model)
    x = torch.randn(shape)
    assert polynomial_degree(model, x).degree == degree
    session = onnxruntime.InferenceSession(
        onnx_of_graph(graph_of_module(model, x)).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    want = model(x).detach().numpy()
    assert np.allclose(np.asarray(got).reshape(want.shape), want, rtol=1e-4, atol=1e-4)
    assert degree_along(model, x, degree) == degree
