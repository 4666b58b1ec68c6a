"""Autoencoders of meshes: polynomials of spiral neighbourhoods, on surfaces that share their triangles."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from surefoot.core.errors import InputError
from surefoot.models.polynomial import NCP


def spirals(faces: Int[np.ndarray, "f 3"], vertices: int, length: int = 12) -> Int[np.ndarray, "v length"]:
    """Return for each vertex itself and its neighbours, ring after ring, each ring once around: so many of them.

    Where a component of the surface has fewer vertices, the last is repeated.

    Raises:
        InputError: faces of other vertices, or a length of none.

    Reference: Bouritsas et al. 2019 (Neural3DMM); Lim et al. 2018.
    """
    faces = np.asarray(faces)
    triangles = faces.ndim == 2 and faces.shape[1] == 3
    if not triangles or length < 1 or (faces.size and not 0 <= faces.min() <= faces.max() < vertices):
        raise InputError(f"faces {faces.shape} are no triangles of {vertices} vertices, or {length} is no length")
    after: list[dict[int, int]] = [{} for _ in range(vertices)]  # around each vertex: from one neighbour to the next
    for a, b, c in faces.tolist():
        after[a][b], after[b][c], after[c][a] = c, a, b
    rings = np.zeros((vertices, length), dtype=np.int64)
    for vertex in range(vertices):
        order, met, at = [vertex], {vertex}, 0
        while len(order) < length and at < len(order):
            for neighbour in _ring(after[order[at]]):
                if neighbour not in met:
                    met.add(neighbour)
                    order.append(neighbour)
            at += 1
        order = order[:length]
        rings[vertex] = order + [order[-1]] * (length - len(order))
    return rings


def _ring(after: dict[int, int]) -> list[int]:
    """Go once around a vertex; an open fan begins at its end."""
    begins = set(after) - set(after.values())
    order: list[int] = []
    while len(order) < len(after) + len(begins):
        rest = [start for start in (*sorted(begins), *sorted(after)) if start not in order]
        if not rest:
            break
        here: int | None = rest[0]
        while here is not None and here not in order:
            order.append(here)
            here = after.get(here)
    return order


def spread_out(points: np.ndarray, count: int) -> Int[np.ndarray, " count"]:
    """Choose so many points, each the farthest from those chosen before."""
    chosen = [0]
    nearest = np.linalg.norm(points - points[0], axis=1)
    for _ in range(count - 1):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.sort(np.array(chosen))


class _SpiralPolynomial(nn.Module):
    """An NCP with skips, affine where the degree is 1, of each vertex's neighbourhood: (n, v, c) to (n, v, outputs)."""

    around: Tensor

    def __init__(self, inputs: int, outputs: int, around: Tensor, degree: int, rank: int) -> None:
        super().__init__()
        self.register_buffer("around", around)
        size = inputs * around.shape[1]
        self.map = nn.Linear(size, outputs) if degree == 1 else NCP(size, outputs, degree, rank, skip=True)

    def forward(self, x: Tensor) -> Tensor:
        n, v, _ = x.shape
        around = x[:, self.around].flatten(2)
        return self.map(around.flatten(0, 1)).reshape(n, v, -1)


class MeshAutoencoder(nn.Module):
    """Vertices (n, v, 3) to `latent` numbers and back, without activations: degree 1 is an affine autoencoder.

    Spiral polynomials on all vertices; between them an affine map of some vertices (`spread_out`), from which the
    others' features are the mean of the nearest three.

    Reference: Chrysos et al. 2021, section 5.4, whose pooling is by quadric simplification.
    """

    chosen: Tensor
    near: Tensor
    share: Tensor

    def __init__(
        self,
        template: np.ndarray,
        faces: np.ndarray,
        latent: int = 16,
        degree: int = 2,
        widths: Sequence[int] = (16, 16),
        kept: int = 256,
        length: int = 12,
    ) -> None:
        super().__init__()
        around = torch.from_numpy(spirals(faces, len(template), length))
        chosen = spread_out(template, min(kept, len(template)))
        apart = np.linalg.norm(template[:, None] - template[None, chosen], axis=2)
        near = np.argsort(apart, axis=1)[:, :3]
        share = 1 / (np.take_along_axis(apart, near, 1) + 1e-6)
        self.register_buffer("chosen", torch.from_numpy(chosen))
        self.register_buffer("near", torch.from_numpy(near))
        self.register_buffer("share", torch.from_numpy(share / share.sum(1, keepdims=True)).float())
        inner, outer = widths
        self.encoder = _SpiralPolynomial(3, inner, around, degree, inner)
        self.code = nn.Linear(len(chosen) * inner, latent)
        self.back = nn.Linear(latent, len(chosen) * outer)
        self.decoder = _SpiralPolynomial(outer, 3, around, degree, outer)

    def encode(self, x: Tensor) -> Tensor:
        """Compute codes (n, latent)."""
        return self.code(self.encoder(x)[:, self.chosen].flatten(1))

    def decode(self, code: Tensor) -> Tensor:
        """Compute vertices (n, v, 3)."""
        few = self.back(code).reshape(len(code), len(self.chosen), -1)
        return self.decoder((few[:, self.near] * self.share.unsqueeze(-1)).sum(2))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the vertices again."""
        return self.decode(self.encode(x))
