"""Polynomials of the signals of a graph."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from polynomial_models import degree_along
from surefoot.core.errors import InputError
from surefoot.models import (
    PolynomialGraphFilter,
)
from surefoot.models.graph_filter import normalised_adjacency


def test_adjacency_is_symmetric_and_its_largest_eigenvalue_is_one() -> None:
    edges = np.array([[0, 1], [1, 2], [2, 0], [3, 0]])
    dense = normalised_adjacency(edges, 5).to_dense()
    assert torch.equal(dense, dense.T)
    assert float(torch.linalg.eigvalsh(dense.double())[-1]) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(InputError, match="no pairs of 3 nodes"):
        normalised_adjacency(edges, 3)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_graph_filters_are_polynomials_of_the_features(degree: int) -> None:
    adjacency = normalised_adjacency(np.array([[0, 1], [1, 2], [2, 3]]), 4).to_dense().double()
    model = PolynomialGraphFilter(6, 3, degree).double().eval()

    class Along(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.stack([model(one, adjacency) for one in z])

    assert degree_along(Along(), torch.randn(1, 4, 6), degree) == degree
    with pytest.raises(InputError, match="at least 1"):
        PolynomialGraphFilter(6, 3, 0)
