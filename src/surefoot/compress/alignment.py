"""Two dense networks unit by unit: which unit of one is which of the other, by their weights.

Where units were removed or permuted the layouts differ, but what is left is alike. In each hidden layer units are
matched so that the weights that enter them, in the matched order of the layer before, are nearest in total; one is
left alone rather than matched with one that is farther off than 0. Both networks are written in the common order, with
units that give 0 where one has no partner: each is the same function as before, whatever was matched.

*Reference*: Ainsworth et al. 2023 (Git Re-Basin), weight matching.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from surefoot.reach.dense import DenseNetwork
from surefoot.reach.difference import DensePair

MOST_UNITS = 1000  # of a layer, in both together, for the search


def aligned(first: DenseNetwork, second: DenseNetwork) -> DensePair | None:
    """Pair two networks of the same depth, inputs and outputs; None for others.

    Large ones are paired as they stand, where they are of one layout.
    """
    ends = [(net.weights[0].shape[1], len(net.biases[-1]), len(net.biases)) for net in (first, second)]
    if ends[0] != ends[1]:
        return None
    widths = [len(b) + len(c) for b, c in zip(first.biases[:-1], second.biases[:-1], strict=True)]
    if max(widths) > MOST_UNITS:
        return DensePair.of(first, second)
    orders: list[list[np.ndarray]] = [[], []]
    enter = [np.arange(ends[0][0])] * 2
    for k in range(len(widths)):
        units = [_units(net, k, order) for net, order in zip((first, second), enter, strict=True)]
        enter = list(matched(*units))
        for network, order in zip(orders, enter, strict=True):
            network.append(order)
    return DensePair.of(_in_order(first, orders[0]), _in_order(second, orders[1]))


def matched(
    first: Float[np.ndarray, "m d"], second: Float[np.ndarray, "n d"]
) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """Match rows to rows, each at most once: which rows of the first and of the second are partners; -1 is none.

    The sum of distances is least, where a row without a partner is as far off as 0 is: so those that are the same find
    each other. Rows that point apart are no partners.

    >>> matched(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.1, 2.0], [-1.0, 0.0]]))
    (array([ 1,  0, -1]), array([ 0, -1,  1]))
    """
    sizes, sizes_ = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    cost = cdist(first, second) - sizes[:, None] - sizes_
    rows, columns = linear_sum_assignment(cost if np.isfinite(cost).all() else np.zeros_like(cost))
    near = (first[rows] * second[columns]).sum(1) >= 0
    rows, columns = rows[near], columns[near]
    alone, alone_ = np.setdiff1d(np.arange(len(first)), rows), np.setdiff1d(np.arange(len(second)), columns)
    none, none_ = np.full_like(alone, -1), np.full_like(alone_, -1)
    return np.concatenate([rows, alone, none_]), np.concatenate([columns, none, alone_])


def _units(network: DenseNetwork, k: int, enter: Int[np.ndarray, " p"]) -> Float[np.ndarray, "m q"]:
    """Return what enters each unit of a layer: weights in the order of the layer before, and the bias."""
    return np.concatenate([_columns(network.weights[k], enter), network.biases[k][:, None]], 1)


def _columns(weight: torch.Tensor, order: np.ndarray) -> torch.Tensor:
    return torch.cat([weight, weight.new_zeros(len(weight), 1)], 1)[:, order]  # -1 is the last, which is 0


def _in_order(network: DenseNetwork, orders: list[np.ndarray]) -> DenseNetwork:
    """Write a network with its hidden units in these orders."""
    weights, biases = [], []
    enter = np.arange(network.weights[0].shape[1])
    for weight, bias, order in zip(
        network.weights, network.biases, [*orders, np.arange(len(network.biases[-1]))], strict=True
    ):
        columns = _columns(weight, enter)
        weights.append(_columns(columns.T, order).T.contiguous())
        biases.append(_columns(bias[None], order)[0])
        enter = order
    return DenseNetwork(tuple(weights), tuple(biases))
