"""Polynomial networks: formulas, tensors written out, degrees, and the runtime's answer."""

import itertools
import math

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from cases import first
from surefoot.core.errors import InputError
from surefoot.graph.degree import polynomial_degree
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_out import onnx_of_graph
from surefoot.graph.torch_in import graph_of_module
from surefoot.models import CCP, MODELS, NCP, PolynomialNet

POLYNOMIAL = {
    "ccp-2": 2,
    "ccp-4": 4,
    "ccp-8": 8,
    "ncp-2": 2,
    "ncp-4": 4,
    "ncp-skip-4": 4,
    "prod-poly": 8,
    "pi-small": 4,
    "pdc-small": 4,
    "r-poly-small": 4,
}


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_parameters_are_those_of_the_formulas(degree: int) -> None:
    d, k, o = 7, 5, 3
    counts = {
        "ccp": degree * d * k + o * k + o,
        "ncp": degree * d * k + (degree - 1) * (k * k + k) + o * k + o,
        "skip": degree * d * k + (degree - 1) * (2 * k * k + k) + o * k + o,
    }
    made = {"ccp": CCP(d, o, degree, k), "ncp": NCP(d, o, degree, k), "skip": NCP(d, o, degree, k, skip=True)}
    assert {name: sum(p.numel() for p in m.parameters()) for name, m in made.items()} == counts


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_ccp_is_its_closed_form(degree: int) -> None:
    torch.manual_seed(degree)
    model = CCP(6, 4, degree, 5).double()
    z = torch.randn(30, 6).double()
    first, *others = model.factors.weight.chunk(degree)  # pyright: ignore[reportCallIssue]
    x = (z @ first.T) * math.prod((1 + z @ u.T for u in others), start=torch.ones(1).double())
    torch.testing.assert_close(model(z), model.head(x))


def tensors(model: nn.Module, d: int, degree: int) -> list[Tensor]:
    """Write out W[n] (o, d, ..., d) of each degree by running the recursion on tensors instead of values."""
    assert isinstance(model, CCP | NCP)
    factors = model.factors.weight.chunk(degree)  # pyright: ignore[reportCallIssue]
    k = len(factors[0])
    x: list[Tensor] = [torch.zeros(k).double(), factors[0]] + [
        torch.zeros(k, *[d] * n).double() for n in range(2, degree + 1)
    ]
    for step, factor in enumerate(factors[1:]):
        if isinstance(model, CCP):
            inner, kept = x, x
        else:
            nested = model.nested[step]
            inner = [torch.einsum("kj,j...->k...", nested.weight, t) for t in x]
            inner[0] = inner[0] + nested.bias  # pyright: ignore[reportOperatorIssue]
            skip = model.skips[step].weight if len(model.skips) else torch.zeros(k, k).double()
            kept = [torch.einsum("kj,j...->k...", skip, t) for t in x]
        x = [kept[0]] + [kept[n] + torch.einsum("ka,k...->ka...", factor, inner[n - 1]) for n in range(1, degree + 1)]
    return [torch.einsum("ok,k...->o...", model.head.weight, t) for t in x]


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("kind", ["ccp", "ncp", "skip"])
def test_every_model_is_the_polynomial_of_its_tensors(kind: str, degree: int) -> None:
    torch.manual_seed(0)
    d = 4
    model: nn.Module = CCP(d, 3, degree, 5) if kind == "ccp" else NCP(d, 3, degree, 5, skip=kind == "skip")
    model = model.double()
    z = torch.randn(20, d).double()
    y = torch.zeros(20, 3).double() + model.head.bias  # pyright: ignore[reportOperatorIssue]
    for n, w in enumerate(tensors(model, d, degree)):
        monomials = torch.ones(20).double()
        for _ in range(n):
            monomials = torch.einsum("n...,na->n...a", monomials, z)
        y = y + monomials.reshape(20, -1) @ w.reshape(3, -1).T
    torch.testing.assert_close(model(z), y)


@pytest.mark.parametrize("norm", ["none", "product", "step", "last"])
@pytest.mark.parametrize("skip", [None, False, True])
def test_dense_and_convolutional_agree_on_images_of_one_pixel(norm: str, skip: bool | None) -> None:
    torch.manual_seed(0)
    made = [
        CCP(5, 3, 3, 4, norm, kernel) if skip is None else NCP(5, 3, 3, 4, norm, kernel, skip)  # pyright: ignore[reportArgumentType]
        for kernel in (None, 1)
    ]
    weights = made[0].state_dict()
    made[1].load_state_dict({name: w.reshape(made[1].state_dict()[name].shape) for name, w in weights.items()})
    z = torch.randn(8, 5)
    for training in (True, False):
        dense, image = (m.train(training) for m in made)
        torch.testing.assert_close(dense(z), image(z.reshape(8, 5, 1, 1)).flatten(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "degree"), first(6, POLYNOMIAL.items()))
def test_degrees_along_a_line_are_those_that_are_said(name: str, degree: int) -> None:
    """A polynomial of degree N is determined by N + 1 points of a line: the N-th difference is constant, not 0."""
    torch.manual_seed(0)
    model = MODELS[name]((1, 8, 8), 10)
    for part, parameter in model.named_parameters():
        if part.endswith("share"):  # begins with 0
            nn.init.ones_(parameter)
    model(torch.randn(16, 1, 8, 8))  # statistics that are not the initial ones
    found = polynomial_degree(model, torch.rand(2, 1, 8, 8))
    assert found.degree == degree
    graph = graph_of_module(model, torch.rand(2, 1, 8, 8)).to(torch.float64)
    line = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    points = torch.linspace(-1, 1, degree + 3, dtype=torch.float64).reshape(-1, 1, 1, 1)
    y = evaluate(graph, line[0] + points * line[1]).numpy()
    scale = np.abs(y).max() * 2.0**degree
    assert np.abs(np.diff(y, degree, axis=0)).max() > 1e-9 * scale
    assert np.abs(np.diff(y, degree + 1, axis=0)).max() < 1e-11 * scale


@pytest.mark.parametrize("name", first(7, [*POLYNOMIAL, "pi-resnet18"]))
def test_the_runtime_gives_the_same(name: str) -> None:
    torch.manual_seed(0)
    shape = (3, 32, 32) if "resnet" in name else (1, 8, 8)
    model = MODELS[name](shape, 10).eval()
    x = torch.rand(5, *shape)
    graph = graph_of_module(model, x)
    session = onnxruntime.InferenceSession(onnx_of_graph(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    y = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    np.testing.assert_allclose(np.asarray(y), model(x).detach().numpy(), rtol=1e-4, atol=1e-4)


def test_products_of_polynomials_learn_what_no_linear_map_can() -> None:
    """The product of two inputs."""
    torch.manual_seed(0)
    x = torch.rand(512, 2) * 2 - 1
    y = (x[:, :1] * x[:, 1:]).sign().clamp(min=0).long().flatten()
    for kind, norm in itertools.product(("ccp", "ncp", "ncp-skip"), ("none", "product")):
        model = PolynomialNet((2,), 2, kind, (2,), 8, norm)
        optimiser = torch.optim.Adam(model.parameters(), 0.02)
        for _ in range(150):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        assert (model.eval()(x).argmax(1) == y).float().mean() > 0.93, (kind, norm)


@pytest.mark.parametrize("wrong", [{"degree": 0}, {"rank": 0}, {"kernel": 2}])
@pytest.mark.parametrize("kind", [CCP, NCP])
def test_mistakes(kind: type[nn.Module], wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match="degree and rank"):
        kind(3, 2, **wrong)
