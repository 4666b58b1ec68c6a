"""Generators that multiply: degrees, shapes, and what each level injects."""

import pytest
import torch
from torch import nn

from polynomial_models import check_degree_and_runtime, shaken
from surefoot.models import InjectionGenerator, PolynomialGenerator


@pytest.mark.parametrize(
    ("model", "degree"),
    [
        (PolynomialGenerator(5, (1, 8, 8), 0), 1),
        (PolynomialGenerator(5, (1, 8, 8)), 4),
        (InjectionGenerator(5, (1, 8, 8), (4, 4), mapping=False), 2),
        (InjectionGenerator(5, (3, 9, 7), (4, 4)), 4),
    ],
)
def test_degrees_and_the_runtime(model: nn.Module, degree: int) -> None:
    check_degree_and_runtime(model, (1, 5), degree)


def test_a_level_of_no_style_is_nothing() -> None:
    """x_n = (A_n w) * ...: where A_n w is 0 at one level, only the last convolution's bias is left."""
    model = shaken(InjectionGenerator(5, (3, 9, 7), (4, 4), mapping=False))
    z = torch.randn(2, 5)
    assert model(z).shape == (2, 3, 9, 7)
    assert not torch.allclose(model(z)[0], model(z)[1])
    first = model.get_submodule("maps").get_submodule("0")
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
        second = model.get_submodule("convs").get_submodule("1").get_submodule("2")
        second.load_state_dict(nn.BatchNorm2d(4).state_dict())  # nothing stays nothing
        found = model(z)
    bias = model.get_submodule("last").get_parameter("bias")
    assert torch.equal(found, bias[None, :, None, None].expand_as(found))
