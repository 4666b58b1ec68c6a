"""Polynomial networks (Chrysos et al. 2020): outputs are polynomials of the inputs, no activation is needed."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from surefoot.core.errors import InputError

Norm: TypeAlias = Literal["none", "product", "step", "last"]


def _map(inputs: int, outputs: int, kernel: int | None, bias: bool = False) -> nn.Module:
    """Make a linear map: a matrix, or a convolution that keeps the image's size."""
    if kernel is None:
        return nn.Linear(inputs, outputs, bias=bias)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)


def _norms(norm: Norm, rank: int, degree: int, kernel: int | None) -> nn.ModuleList:
    """Make the batch normalisations of the steps 2 to degree."""
    wanted = {"none": [], "product": range(2, degree + 1), "step": range(2, degree + 1), "last": [degree]}[norm]
    kind = nn.BatchNorm1d if kernel is None else nn.BatchNorm2d
    return nn.ModuleList(kind(rank) if n in wanted else nn.Identity() for n in range(2, degree + 1))


def _checked(degree: int, rank: int, kernel: int | None) -> None:
    if degree < 1 or rank < 1 or (kernel is not None and kernel % 2 == 0):
        raise InputError(f"degree and rank must be at least 1, a kernel odd; got {degree}, {rank}, {kernel}")


def _scaled(maps: nn.Module, parts: int, fan: int, first: float, others: float) -> None:
    """Draw the weights of several maps in one: variance first / fan, and others / fan for all but the first."""
    assert isinstance(maps.weight, Tensor)
    with torch.no_grad():
        for number, weight in enumerate(maps.weight.chunk(parts)):
            nn.init.normal_(weight, std=((first if number == 0 else others) / fan) ** 0.5)


class CCP(nn.Module):
    """A polynomial of one degree, factorised with coupled factors (coupled CP).

    x_1 = U_1 z; x_n = (U_n z) * x_(n-1) + x_(n-1); y = C x_N + beta.
    So y = beta + sum_r c_r (u_1r z) prod_(n > 1) (1 + u_nr z).

    z (n, inputs), y (n, outputs); with a kernel the maps U are convolutions, z (n, inputs, h, w), y (n, outputs, h, w)
    and C is 1 x 1. `norm`: batch normalisation of each product, of each step, or of the last product.

    Property: a polynomial of this degree in evaluation mode, batch normalisation being affine there.

    Reference: Chrysos et al. 2020, model 1. Initialisation: without normalisation inputs should be about in [-1, 1].

    >>> sum(p.numel() for p in CCP(64, 10, degree=4, rank=32).parameters())  # N d k + o k + o
    8522
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        degree: int = 2,
        rank: int = 32,
        norm: Norm = "none",
        kernel: int | None = None,
    ) -> None:
        super().__init__()
        _checked(degree, rank, kernel)
        self.degree = degree
        self.factors = _map(inputs, degree * rank, kernel)
        self.norms = _norms(norm, rank, degree, kernel)
        self.whole = norm == "step"
        self.head = _map(rank, outputs, None if kernel is None else 1, bias=True)
        _scaled(self.factors, degree, inputs * (kernel or 1) ** 2, 1.0, 0.25)

    def forward(self, z: Tensor) -> Tensor:
        """Compute all factors by one map, then their products."""
        x, *others = self.factors(z).chunk(self.degree, 1)
        for factor, norm in zip(others, self.norms, strict=True):
            x = norm(torch.addcmul(x, factor, x)) if self.whole else norm(factor * x) + x
        return self.head(x)


class NCP(nn.Module):
    """A polynomial of one degree, factorised with nested factors (nested coupled CP), with or without skips.

    x_1 = A_1 z; x_n = (A_n z) * (S_n x_(n-1) + b_n) [+ V_n x_(n-1) with `skip`]; y = C x_N + beta.
    The published B_n b_n is one learnt vector here, and the first is part of A_1: the same functions, fewer parameters.

    Shapes, `norm` and `kernel` as `CCP`.

    Property: a polynomial of this degree in evaluation mode.

    Reference: Chrysos et al. 2020, models 2 and 3 (NCP-Skip).

    >>> sum(p.numel() for p in NCP(64, 10, degree=2, rank=32).parameters())  # N d k + (N - 1)(k k + k) + o k + o
    5482
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        degree: int = 2,
        rank: int = 32,
        norm: Norm = "none",
        kernel: int | None = None,
        skip: bool = False,
    ) -> None:
        super().__init__()
        _checked(degree, rank, kernel)
        self.degree = degree
        self.factors = _map(inputs, degree * rank, kernel)
        self.nested = nn.ModuleList(_map(rank, rank, kernel, bias=True) for _ in range(degree - 1))
        self.skips = nn.ModuleList(
            _map(rank, rank, None if kernel is None else 1) for _ in range(degree - 1 if skip else 0)
        )
        self.norms = _norms(norm, rank, degree, kernel)
        self.whole = norm == "step"
        self.head = _map(rank, outputs, None if kernel is None else 1, bias=True)
        fan = inputs * (kernel or 1) ** 2
        _scaled(self.factors, degree, fan, 1.0, 1.0)
        for inner in self.nested:
            _scaled(inner, 1, rank * (kernel or 1) ** 2, 0.25, 0.25)
            assert isinstance(inner.bias, Tensor)
            nn.init.ones_(inner.bias)
        for skipped in self.skips:
            assert isinstance(skipped.weight, Tensor)
            with torch.no_grad():
                skipped.weight.copy_(torch.eye(rank).reshape(skipped.weight.shape))

    def forward(self, z: Tensor) -> Tensor:
        """Compute all factors of z by one map, then nest."""
        x, *others = self.factors(z).chunk(self.degree, 1)
        skips = self.skips if len(self.skips) else [None] * len(others)
        for factor, inner, skipped, norm in zip(others, self.nested, skips, self.norms, strict=True):
            product = factor * inner(x)
            kept = 0.0 if skipped is None else skipped(x)
            x = norm(product + kept) if self.whole else norm(product) + kept
        return self.head(x)


class PolynomialNet(nn.Module):
    """Flatten, then polynomials one after the other: a product of polynomials, whose degree is that of all, multiplied.

    `kind`: ccp, ncp or ncp-skip. `degrees` of the polynomials; each but the last gives `rank` values.

    Reference: Chrysos et al. 2020, section 3.2 (ProdPoly).

    >>> sum(p.numel() for p in PolynomialNet((1, 8, 8), 10, "ccp", (2,)).parameters())
    4426
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        kind: Literal["ccp", "ncp", "ncp-skip"] = "ccp",
        degrees: Sequence[int] = (2,),
        rank: int = 32,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        size = 1
        for length in shape:
            size *= length
        sizes = [size, *(rank for _ in degrees[1:]), classes]
        layers: list[nn.Module] = [nn.Flatten()]
        for number, degree in enumerate(degrees):
            ends = sizes[number], sizes[number + 1]
            match kind:
                case "ccp":
                    layers.append(CCP(*ends, degree, rank, norm))
                case "ncp" | "ncp-skip":
                    layers.append(NCP(*ends, degree, rank, norm, skip=kind == "ncp-skip"))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (n, k) from inputs (n, ...)."""
        return self.layers(x)
