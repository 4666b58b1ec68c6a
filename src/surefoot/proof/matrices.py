"""What an affine operation is: y = M x + b, with M sparse."""

import numpy as np
from scipy import sparse

from surefoot.core.errors import InputError
from surefoot.graph.graph import Node
from surefoot.graph.ops import Conv2d, ElementwiseAffine, Gather, Linear, Reshape


def affine_matrix(node: Node, given: tuple[int, ...]) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Write an affine operation on values of a shape as M (outputs, inputs) and b (outputs,), both exact.

    Raises:
        InputError: an operation that is not affine.
    """
    op, size_in, size_out = node.op, int(np.prod(given)), int(np.prod(node.shape))
    bias = np.zeros(node.shape)
    match op:
        case Linear():
            weight = op.weight.double().numpy()
            matrix = sparse.kron(sparse.identity(size_in // weight.shape[1]), sparse.csr_matrix(weight))
            bias = bias if op.bias is None else bias + op.bias.double().numpy()
        case ElementwiseAffine():
            diagonal = np.broadcast_to(op.scale.double().numpy(), node.shape).ravel()
            matrix = sparse.diags(diagonal)
            bias = bias if op.bias is None else bias + op.bias.double().numpy()
        case Reshape():
            matrix = sparse.identity(size_in)
        case Gather():
            index = op.index.numpy().ravel()
            kept = np.nonzero(index >= 0)[0]
            matrix = sparse.csr_matrix((np.ones(len(kept)), (kept, index[kept])), (size_out, size_in))
        case Conv2d():
            matrix = _convolution(op, given, node.shape)
            bias = bias if op.bias is None else bias + op.bias.double().numpy()[:, None, None]
        case _:
            raise InputError(f"a certificate does not speak of {type(op).__name__}")
    return sparse.csr_matrix(matrix), bias.ravel()


def _convolution(op: Conv2d, given: tuple[int, ...], shape: tuple[int, ...]) -> sparse.csr_matrix:
    weight = op.weight.double().numpy()
    places = np.arange(int(np.prod(shape))).reshape(shape)
    (out, per_group, kh, kw), (left, _, top, _) = weight.shape, op.padding
    entries = []
    for o in range(out):
        first = o // (out // op.groups) * per_group
        for c, dy, dx in np.ndindex(per_group, kh, kw):
            y = np.arange(shape[1]) * op.stride[0] + dy * op.dilation[0] - top
            x = np.arange(shape[2]) * op.stride[1] + dx * op.dilation[1] - left
            inside = np.ix_((y >= 0) & (y < given[1]), (x >= 0) & (x < given[2]))
            source = (first + c) * given[1] * given[2] + y[:, None] * given[2] + x[None]
            entries.append((places[o][inside].ravel(), source[inside].ravel(), weight[o, c, dy, dx]))
    rows, columns = (np.concatenate([e[i] for e in entries]) for i in (0, 1))
    values = np.concatenate([np.full(len(e[0]), e[2]) for e in entries])
    matrix = sparse.csr_matrix((values, (rows, columns)), (len(places.ravel()), int(np.prod(given))))
    if matrix.nnz != len(values):  # SciPy would have added up, and rounded, what meets at one place
        raise InputError("a convolution that reads one element twice for one output")
    return matrix
