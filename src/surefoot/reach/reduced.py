"""A network reduced to its unstable ReLUs: stable ones are folded into matrices, and bounds take two products a layer.

With the values of the unstable ReLUs of each layer k in one vector z_k, over a box of inputs x,

    z_k = A_k (x, relu(z_1), ..., relu(z_(k-1))) + b_k,

and so is what is to be bounded. CROWN carries coefficients back through A_k; the gradient in slopes and multipliers
needs the same matrices forwards, from the corner of the box that the bound takes (Wang et al. 2021; the primal values
of the dual's inner minimisation). In float32: what comes out chooses slopes and multipliers, and proves nothing.
"""

import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Add, Affine, Concat, Input, Relu
from surefoot.reach.crown import LARGEST_ROWS
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.relaxation import Relaxation
from surefoot.reach.unstable import UnstableRelu, UnstableRelus

LARGEST = 2**26  # numbers in all matrices
DENSE = 16  # times the graph's own multiplications: beyond, the graph is faster
SPARSE = 0.25  # of a matrix's numbers: where so few are not 0, as behind convolutions, the others are left out


class Products:
    """Products with a matrix and with its transpose."""

    def __init__(self, matrix: Float[Tensor, "n m"]) -> None:
        self.matrix, self.transposed = matrix, matrix.T
        if matrix.numel() and float((matrix != 0).float().mean()) <= SPARSE:
            with warnings.catch_warnings():  # that the layout may still change
                warnings.simplefilter("ignore", UserWarning)
                self.matrix, self.transposed = matrix.to_sparse_csr(), matrix.T.contiguous().to_sparse_csr()

    def of(self, x: Float[Tensor, "m b"]) -> Float[Tensor, "n b"]:
        """Multiply the matrix with columns."""
        return self.matrix @ x

    def add_transposed(self, into: Float[Tensor, "m b"], y: Float[Tensor, "n b"]) -> None:
        """Add the product of the transposed matrix with columns, in place."""
        torch.addmm(into, self.transposed, y, out=into)


@dataclass(frozen=True, eq=False)
class Layer:
    """The unstable values z = matrix (x, earlier ReLUs) + bias of one ReLU, low <= z <= high."""

    relu: UnstableRelu
    matrix: Float[Tensor, "n before"]
    bias: Float[Tensor, " n"]
    low: Float[Tensor, " n"]
    high: Float[Tensor, " n"]

    @cached_property
    def products(self) -> Products:
        """Products with the matrix, as fast as its zeros allow."""
        return Products(self.matrix)


@dataclass(frozen=True, eq=False)
class Rows:
    """What is to be bounded: matrix (x, all ReLUs) + bias, a row each."""

    matrix: Float[Tensor, "r all"]
    bias: Float[Tensor, " r"]

    def of(self, which: Tensor) -> "Rows":
        """Return some of the rows."""
        return Rows(self.matrix[which], self.bias[which])


@dataclass(eq=False)
class ReducedNetwork:
    """The layers of unstable ReLUs of a relaxation over one region; grows with the places that are reduced."""

    relaxation: Relaxation  # in float32
    centre: Float[Tensor, " d"]  # of the inputs that are not fixed
    radius: Float[Tensor, " d"]
    free: Int[Tensor, " d"]
    layers: list[Layer] = field(default_factory=list)

    @staticmethod
    def begin(relaxation: Relaxation) -> "ReducedNetwork":
        """Begin with the inputs of a relaxation over one region."""
        single = relaxation.to(torch.float32)
        box = single.boxes[0]
        low, high = box.lower.flatten(), box.upper.flatten()
        free = (high > low).nonzero().squeeze(1)
        return ReducedNetwork(single, ((low + high) / 2)[free], ((high - low) / 2)[free], free)

    @staticmethod
    def of(relaxation: Relaxation) -> "ReducedNetwork | None":
        """Reduce a whole graph; None if it has products, or where matrices would be slower than the graph."""
        if not is_reducible(relaxation):
            return None
        reduced = ReducedNetwork.begin(relaxation)
        for at in reduced.relaxation.relus():
            reduced.add_layer(at)
        return reduced

    def see(self, relaxation: Relaxation) -> None:
        """Go on with a relaxation of which more is known: add its further ReLUs as layers."""
        seen = len(self.relaxation.boxes)
        known = [Box(box.lower.float(), box.upper.float()) for box in relaxation.boxes[seen:]]
        self.relaxation = replace(self.relaxation, boxes=[*self.relaxation.boxes, *known])
        done = self.layers[-1].relu.at if self.layers else 0
        for at in range(done + 1, len(self.relaxation.boxes)):
            if isinstance(self.relaxation.graph.nodes[at].op, Relu):
                self.add_layer(at)

    @property
    def inputs(self) -> int:
        """How many inputs are not fixed."""
        return len(self.centre)

    @property
    def count(self) -> int:
        """How many ReLUs are unstable."""
        return self.unstable.count

    @property
    def unstable(self) -> UnstableRelus:
        """Which ReLUs they are."""
        return UnstableRelus(tuple(layer.relu for layer in self.layers))

    def add_layer(self, at: int) -> None:
        """Reduce what enters the ReLU at a place; all earlier ones must have been added."""
        node = self.relaxation.graph.nodes[at]
        entering = node.inputs[0]
        box = self.relaxation.boxes[entering]
        low, high = box.lower.flatten(), box.upper.flatten()
        values = ((low < 0) & (high > 0)).nonzero().squeeze(1)
        if len(values):
            rows = self.rows_of(entering, values)
            relu = UnstableRelu(at, entering, (high > -low).reshape(node.shape), values, self.count)
            self.layers.append(Layer(relu, rows.matrix, rows.bias, low[values], high[values]))

    def rows_of(self, node: int, values: Int[Tensor, " r"]) -> Rows:
        """Reduce some values of a node."""
        size = size_of(self.relaxation.graph.nodes[node])
        parts = []
        for chunk in values.split(max(LARGEST_ROWS // self._widest(node), 1)):
            tick()
            rows = self.centre.new_zeros(len(chunk), size)
            rows[torch.arange(len(chunk)), chunk] = 1.0
            parts.append(self.rows(node, rows))
        return Rows(torch.cat([part.matrix for part in parts]), torch.cat([part.bias for part in parts]))

    def _widest(self, node: int) -> int:
        return max(size_of(n) for n in self.relaxation.graph.nodes[: node + 1])

    def rows(self, node: int, rows: Float[Tensor, "r size"]) -> Rows:
        """Reduce linear functions of a node's values."""
        nodes, boxes = self.relaxation.graph.nodes, self.relaxation.boxes
        places = {layer.relu.at: layer.relu for layer in self.layers}
        matrix = rows.new_zeros(len(rows), self.inputs + self.count)
        bias = rows.new_zeros(len(rows))
        carried = {node: rows}
        for at in range(node, 0, -1):
            a = carried.pop(at, None)
            if a is None:
                continue
            given, op = nodes[at].inputs, nodes[at].op
            if isinstance(op, Affine):
                shift = op.broadcast_bias()
                if shift is not None:
                    bias += a @ torch.broadcast_to(shift, nodes[at].shape).flatten()
                backs = [op.adjoint(a.reshape(-1, *nodes[at].shape), nodes[given[0]].shape).flatten(1)]
            elif isinstance(op, Relu):
                box = boxes[given[0]]
                if at in places:
                    relu = places[at]
                    matrix[:, self.inputs :][:, relu.places] += a[:, relu.values]
                backs = [a * (box.lower.flatten() >= 0)]
            elif isinstance(op, Add):
                backs = [a, a]
            else:
                assert isinstance(op, Concat)
                widths = [nodes[i].shape[op.axis] for i in given]
                split = a.reshape(-1, *nodes[at].shape).split(widths, op.axis + 1)
                backs = [part.flatten(1) for part in split]
            for place, back in zip(given, backs, strict=True):
                carried[place] = carried[place] + back if place in carried else back
        a = carried.get(0)
        if a is not None:
            matrix[:, : self.inputs] = a[:, self.free]
            fixed = boxes[0].lower.flatten().clone()
            fixed[self.free] = 0.0
            bias += a @ fixed
        return Rows(matrix, bias)

    def default(self, regions: int) -> Float[Tensor, "b n"]:
        """Return the slopes with the smaller areas."""
        if not self.layers:
            return self.centre.new_zeros(regions, 0)
        slopes = torch.cat([(layer.high > -layer.low).to(self.centre.dtype) for layer in self.layers])
        return slopes.repeat(regions, 1)


def is_reducible(relaxation: Relaxation, until: int | None = None) -> bool:
    """Whether a relaxation over one region, up to a node, is of what can be reduced, and matrices would be faster."""
    nodes = relaxation.graph.nodes[: None if until is None else until + 1]
    if relaxation.multi_neuron or relaxation.constraints is not None or relaxation.around is not None:
        return False
    if len(relaxation.boxes[0].lower) > 1:
        return False
    if not all(isinstance(node.op, Input | Affine | Relu | Add | Concat) for node in nodes):
        return False
    before, numbers = int((relaxation.boxes[0].upper > relaxation.boxes[0].lower).sum()), 0
    for at, node in enumerate(nodes):
        if isinstance(node.op, Relu):
            unstable = int(relaxation.unstable(at).sum())
            numbers += unstable * before
            before += unstable
    return numbers <= min(LARGEST, DENSE * _multiplications(Graph(tuple(nodes))) + 2**20)


def _multiplications(graph: Graph) -> int:
    return sum(size_of(node) * node.op.terms for node in graph.nodes if isinstance(node.op, Affine))
