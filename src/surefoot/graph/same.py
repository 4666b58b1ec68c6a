"""Are two graphs the same operations?"""

import torch
from torch import Tensor

from surefoot.graph.graph import Graph
from surefoot.graph.ops import Op


def same_operations(first: Graph, second: Graph) -> bool:
    """Whether two graphs are of the same operations with the same constants: equal, whatever their nodes' names."""
    return len(first.nodes) == len(second.nodes) and all(
        type(one.op) is type(two.op) and one.inputs == two.inputs and one.shape == two.shape and same_op(one.op, two.op)
        for one, two in zip(first.nodes, second.nodes, strict=True)
    )


def same_op(first: Op, second: Op) -> bool:
    """Whether two operations are the same, with the same constants."""
    if first is second:
        return True
    if type(first) is not type(second):
        return False
    one, two = ({name: v for name, v in vars(op).items() if name[0] != "_"} for op in (first, second))  # not its caches
    return one.keys() == two.keys() and all(
        torch.equal(value, two[name])
        if isinstance(value, Tensor) and isinstance(two[name], Tensor)
        else type(value) is type(two[name]) and not isinstance(value, Tensor) and value == two[name]
        for name, value in one.items()
    )
