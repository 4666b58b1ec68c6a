"""ReLUs of few inputs, relaxed together: what no line over each alone can see.

Values z_c that are affine functions of the same few inputs x (the channels of a 2 x 2 kernel at one place, the first
layer of a network of 5 inputs) make, for coefficients a_c <= 0 and slopes b_c in [0, 1], the function
g(x) = sum_c a_c (relu(z_c(x)) - b_c z_c(x)): a sum of concave functions, so that over a box its least value is at a
corner. sum_c a_c relu(z_c) >= sum_c a_c b_c z_c + min_corners g is never looser than the triangles
relu(z) <= u (z - l) / (u - l) with b = u / (u - l), each of which takes the worst corner for itself, and can be much
tighter: it closes networks with small kernels that ReLU splitting does not.
"""

import itertools
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.rounding import LEAST, UPWARD, gamma, unit_of
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Affine, Conv2d, Linear
from surefoot.reach.ibp import Box

MOST_INPUTS = 5  # 32 corners


@dataclass(frozen=True, eq=False)
class MultiNeuron:
    """What enters a ReLU, (b, corners, *shape), and how far each value may lie from the true one, (b, *shape).

    The values along the first axis of the shape are functions of the same inputs.
    """

    values: Float[Tensor, "b corners *shape"]
    error: Float[Tensor, " b *shape"]

    def to(self, dtype: torch.dtype) -> "MultiNeuron":
        """Return it in another type."""
        return MultiNeuron(self.values.to(dtype), self.error.to(dtype))

    def least(
        self, negative: Float[Tensor, "b s *shape"], upper_slopes: Float[Tensor, "#b #s *shape"], rounded: bool
    ) -> Float[Tensor, "b s *rest"]:
        """Bound sum_c a_c (relu(z_c) - b_c z_c) from below: a <= 0 and b in [0, 1], (b, s, *shape), to (b, s, *rest).

        Property: sound, for whatever `upper_slopes`.
        """
        z = self.values
        a, slanted, z = (
            t.flatten(3) if t.dim() > 3 else t.unsqueeze(3) for t in (negative, negative * upper_slopes, z)
        )
        a, slanted = a.permute(0, 3, 1, 2), slanted.permute(0, 3, 1, 2)  # (b, place, s, c)
        z = z.permute(0, 3, 2, 1)  # (b, place, c, corner)
        least = (a @ z.clamp(min=0) - slanted @ z).min(3).values  # (b, place, s)
        if rounded:
            unit = gamma(4 * z[0, :, :, 0].numel() + 8, unit_of(z.dtype))
            error = self.error.flatten(2) if self.error.dim() > 2 else self.error.unsqueeze(2)  # (b, c, place)
            spread = error.permute(0, 2, 1).unsqueeze(3) + unit * z.abs().amax(3, keepdim=True)
            least = least - UPWARD * (a.abs() @ spread + LEAST * spread.sum(2, keepdim=True)).squeeze(3)
        return least.transpose(1, 2).reshape(*negative.shape[:2], *negative.shape[3:])


def shares_inputs(graph: Graph, at: int) -> bool:
    """Whether the values that enter the ReLU at a place are functions of few inputs, many of the same."""
    before = graph.nodes[graph.nodes[at].inputs[0]]
    op = before.op
    narrow = isinstance(op, Affine) and 1 < op.terms <= MOST_INPUTS
    return narrow and (
        (isinstance(op, Conv2d) and op.groups == 1) or (isinstance(op, Linear) and len(before.shape) == 1)
    )


def multi_neuron_of(
    op: Affine, given: Box, size: Float[Tensor, " b *shape"], float32_error: Float[Tensor, " b *shape"] | None
) -> MultiNeuron:
    """Evaluate a narrow operation at the corners of its inputs' box.

    `size` is |W| |x| + |b|, which our rounding is relative to; `float32_error` is what float32 execution adds.
    """
    assert isinstance(op, Conv2d | Linear)
    weight = op.weight
    ends = []
    for high in itertools.product((0.0, 1.0), repeat=op.terms):
        mask = weight.new_tensor(high).reshape(1, *weight.shape[1:])
        upper, lower = replace(op, weight=weight * mask, bias=None), replace(op, weight=weight * (1 - mask))
        ends.append(upper(given.upper) + lower(given.lower))
    error = gamma(2 * op.terms + 2, unit_of(weight.dtype)) * size
    return MultiNeuron(torch.stack(ends, 1), error if float32_error is None else error + float32_error)
