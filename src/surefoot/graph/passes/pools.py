"""Write max pooling with ReLUs: max(a, b) = a + relu(b - a), a tournament over each window."""

import torch

from surefoot.graph.graph import Graph, GraphBuilder, Node
from surefoot.graph.ops import Add, Concat, ElementwiseAffine, Gather, MaxPool2d, Relu, Reshape


def pools_as_relus(graph: Graph) -> Graph:
    """Replace every max pooling: the same function in real arithmetic, and all that bounds need to know is a ReLU.

    Padding never wins: its places are filled by repeating an element of the same window.
    """
    builder = GraphBuilder(graph.input_shape, graph.nodes[0].name)
    new = {0: 0}
    for at, node in enumerate(graph.nodes[1:], 1):
        inputs = [new[i] for i in node.inputs]
        if isinstance(node.op, MaxPool2d):
            new[at] = _tournament(builder, node.op, inputs[0], node)
        else:
            new[at] = builder.add(node.op, *inputs, name=node.name)
    return builder.build(new[len(graph.nodes) - 1])


def _tournament(builder: GraphBuilder, op: MaxPool2d, image: int, node: Node) -> int:
    windows = op.windows(builder.nodes[image].shape)
    real = windows.max(1, keepdim=True).values  # some element that is not padding
    players = torch.where(windows < 0, real, windows).T  # (window size, windows)
    source = image
    while len(players) > 1:
        half = len(players) // 2
        first = builder.add(Gather(players[:half].contiguous()), source)
        second = builder.add(Gather(players[half : 2 * half].contiguous()), source)
        minus = builder.add(ElementwiseAffine(torch.tensor([[-1.0]], dtype=torch.float64)), first)
        ahead = builder.add(Relu(), builder.add(Add(), second, minus))
        winners = builder.add(Add(), first, ahead)
        if len(players) % 2:  # one goes through without a match
            through = builder.add(Gather(players[-1:].contiguous()), source)
            winners = builder.add(Concat(0), winners, through)
        source = winners
        count, windows_count = builder.nodes[winners].shape
        players = torch.arange(count * windows_count).reshape(count, windows_count)
    if source == image:  # windows of one element
        return builder.add(Gather(players[0].reshape(node.shape).contiguous()), image, name=node.name)
    return builder.add(Reshape(node.shape), source, name=node.name)
