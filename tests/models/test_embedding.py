"""Embeddings, and the cosines that train them."""

import torch

from polynomial_models import check_degree_and_runtime
from surefoot.models import CosineHead, PolynomialEmbedding


def test_cosines() -> None:
    head = CosineHead(5, 3)
    found = head(7 * head.directions.weight.detach())
    assert torch.allclose(found.diagonal(), torch.ones(3))


def test_degrees_and_the_runtime() -> None:
    check_degree_and_runtime(PolynomialEmbedding((1, 8, 8), 6, (1,), (4,)), (1, 1, 8, 8), 4)
