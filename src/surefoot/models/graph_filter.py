"""Polynomials of a graph's signals: factors look at the neighbourhood, products take the place of activations."""

import numpy as np
import torch
from torch import Tensor, nn

from surefoot.core.errors import InputError


def normalised_adjacency(edges: np.ndarray, nodes: int) -> Tensor:
    """Return D^(-1/2) (A + I) D^(-1/2) as a sparse matrix; edges (e, 2) in both directions or one.

    Raises:
        InputError: edges of other nodes.

    Reference: Kipf and Welling 2017, equation 2.
    """
    edges = np.asarray(edges)
    if edges.ndim != 2 or edges.shape[1] != 2 or (edges.size and not 0 <= edges.min() <= edges.max() < nodes):
        raise InputError(f"edges {edges.shape} are no pairs of {nodes} nodes")
    both = np.unique(np.concatenate([edges, edges[:, ::-1], np.repeat(np.arange(nodes)[:, None], 2, 1)]), axis=0)
    degree = np.bincount(both[:, 0], minlength=nodes)
    weight = torch.from_numpy(1 / np.sqrt(degree[both[:, 0]] * degree[both[:, 1]])).float()
    return torch.sparse_coo_tensor(
        torch.from_numpy(both.T.copy()), weight, (nodes, nodes), check_invariants=True
    ).coalesce()


class PolynomialGraphFilter(nn.Module):
    """x_1 = S Z A_1; x_n = (S Z A_n) * (S x_(n-1) + 1) + x_(n-1); logits = x_N C + beta, for S the adjacency.

    Z (nodes, features) or (nodes, features) sparse; a polynomial of the given degree in Z. `step` scales the products.

    Reference: the NCP-Skip recursion of Chrysos et al. 2021 with the maps A, S replaced by graph filters.
    """

    def __init__(self, features: int, classes: int, degree: int = 2, rank: int = 32, dropout: float = 0.5) -> None:
        super().__init__()
        if degree < 1 or rank < 1:
            raise InputError(f"degree and rank must be at least 1; got {degree}, {rank}")
        self.degree = degree
        self.factors = nn.Linear(features, degree * rank, bias=False)
        self.steps = nn.Parameter(torch.full((degree - 1, rank), 0.5))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(rank, classes)

    def forward(self, z: Tensor, adjacency: Tensor) -> Tensor:
        """Compute logits (nodes, k)."""
        x, *others = (adjacency @ self.factors(self.dropout(z))).chunk(self.degree, 1)
        for factor, step in zip(others, self.steps, strict=True):
            x = factor * (step * (adjacency @ x) + 1) + x
        return self.head(self.dropout(x))
