"""Pairs of dense networks of one layout, and what they give in exact rational arithmetic."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch

from surefoot.reach.dense import DenseNetwork
from surefoot.reach.difference import DensePair

Exact = np.ndarray  # of fractions
KINDS = ("noise", "last place", "one weight", "pruned", "unlike", "equal")


def network_of(rng: np.random.Generator, sizes: tuple[int, ...], scale: float = 1.0) -> DenseNetwork:
    """Make a network of float32 weights, times a scale."""
    weights = [scale * rng.normal(size=(m, n)).astype(np.float32).astype(float) for n, m in pairwise(sizes)]
    biases = [scale * rng.normal(size=m).astype(np.float32).astype(float) / 2 for m in sizes[1:]]
    return DenseNetwork(tuple(map(torch.from_numpy, weights)), tuple(map(torch.from_numpy, biases)))


def twin_of(rng: np.random.Generator, network: DenseNetwork, kind: str) -> DenseNetwork:
    """Make another of the same layout, alike in some way."""
    if kind == "unlike":
        return network_of(rng, (network.weights[0].shape[1], *(len(b) for b in network.biases)))
    weights, biases = ([x.clone() for x in xs] for xs in (network.weights, network.biases))
    k = int(rng.integers(len(weights)))
    at = tuple(int(rng.integers(side)) for side in weights[k].shape)
    if kind == "last place":
        weights[k][at] = torch.nextafter(weights[k][at], torch.tensor(torch.inf, dtype=torch.float64))
    elif kind == "one weight":
        weights[k][at] += 0.01 * rng.normal()
    elif kind == "pruned":
        unit = int(rng.integers(len(biases[0])))
        weights[0][unit], biases[0][unit], weights[1][:, unit] = 0.0, 0.0, 0.0
    elif kind == "noise":
        size = 10.0 ** rng.uniform(-6, -1)
        weights = [w * (1 + size * torch.from_numpy(rng.normal(size=w.shape))) for w in weights]
        biases = [b * (1 + size * torch.from_numpy(rng.normal(size=b.shape))) for b in biases]
    return DenseNetwork(tuple(weights), tuple(biases))


def pair_of(first: DenseNetwork, second: DenseNetwork) -> DensePair:
    """Pair networks that are of one layout."""
    pair = DensePair.of(first, second)
    assert pair is not None
    return pair


def exactly(network: DenseNetwork, x: np.ndarray) -> tuple[Exact, Exact]:
    """Return what enters all ReLUs, side by side, and the outputs."""
    values, hidden = np.array([Fraction(v) for v in x.tolist()], dtype=object), []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        w, b = (np.vectorize(Fraction, otypes=[object])(t.numpy()) for t in (weight, bias))
        z = w @ values + b
        hidden.append(z)
        values = np.array([max(v, Fraction(0)) for v in z], dtype=object)
    return np.concatenate(hidden[:-1]), hidden[-1]
