"""Pairs of dense networks of one layout, and what they give in exact rational arithmetic."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch

from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Linear, Relu
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
    values = _layers(network, np.array([Fraction(v) for v in x.tolist()], dtype=object))
    return np.concatenate(values[:-1]), values[-1]


def on_a_line(networks: tuple[DenseNetwork, DenseNetwork], low: float, high: float) -> list[tuple[Fraction, Exact]]:
    """Return the outputs (f, g) at the ends, and at all inputs between which both networks are linear."""
    points = [Fraction(low), Fraction(high)]
    for network in networks:
        for layer in range(len(network.biases) - 1):
            points = sorted({*points, *_zeros(network, layer, points)})
    return [
        (x, np.concatenate([_layers(network, np.array([x], dtype=object))[-1] for network in networks])) for x in points
    ]


def _zeros(network: DenseNetwork, layer: int, points: list[Fraction]) -> list[Fraction]:
    values = [_layers(network, np.array([x], dtype=object))[layer] for x in points]
    return [
        x - z * (x_ - x) / (z_ - z)
        for (x, zs), (x_, zs_) in pairwise(zip(points, values, strict=True))
        for z, z_ in zip(zs, zs_, strict=True)
        if z * z_ < 0
    ]


def _layers(network: DenseNetwork, values: Exact) -> list[Exact]:
    layers = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        w, b = (np.vectorize(Fraction, otypes=[object])(t.numpy()) for t in (weight, bias))
        layers.append(w @ values + b)
        values = np.array([max(v, Fraction(0)) for v in layers[-1]], dtype=object)
    return layers


def graph_of(network: DenseNetwork) -> Graph:
    """Write a dense network as a graph."""
    builder = GraphBuilder((network.weights[0].shape[1],))
    last = 0
    for k, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        last = builder.add(Linear(weight, bias), builder.add(Relu(), last) if k else last)
    return builder.build(last)
