"""The batched Tree-LSTM against one that follows each tree by recursion."""

import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.data.trees import encode_trees, parse
from surefoot.models import PoolingCNN, TreeLSTM

LINES = ["(3 (2 a) (4 film))", "(1 no)", "(4 (2 (2 not) (1 (1 a) (0 bad))) (2 (2 film) (3 !)))"]
WORDS = ("<pad>", "<unknown>", "a", "film", "no", "not", "bad", "!")


def recursive(model, tree, place):
    node = tree.nodes[place]
    if isinstance(node, str):
        cell, gate = model.leaf(model.embedding(torch.tensor(WORDS.index(node)))).chunk(2)
        return gate.sigmoid() * cell.tanh(), cell
    (h_left, c_left), (h_right, c_right) = (recursive(model, tree, child) for child in node)
    i, f_left, f_right, o, u = model.compose(torch.cat([h_left, h_right])).chunk(5)
    cell = i.sigmoid() * u.tanh() + f_left.sigmoid() * c_left + f_right.sigmoid() * c_right
    return o.sigmoid() * cell.tanh(), cell


def test_a_batch_gives_what_recursion_gives_and_the_same_gradients():
    trees = [parse(line) for line in LINES]
    model = TreeLSTM((12, 3, len(WORDS)), 2, size=5, memory=4).eval()
    batched = model(encode_trees(trees, WORDS, 12))
    single = torch.stack([model.head(recursive(model, tree, len(tree.nodes) - 1)[0]) for tree in trees])
    torch.testing.assert_close(batched, single)
    ours, theirs = (torch.autograd.grad(x.square().sum(), list(model.parameters())) for x in (batched, single))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_padding_and_company_change_nothing():
    trees = [parse(line) for line in LINES]
    model = TreeLSTM((12, 3, len(WORDS)), 2, size=5, memory=4).eval()
    together = model(encode_trees(trees, WORDS, 30))
    alone = torch.cat([model(encode_trees([tree], WORDS, len(tree.nodes))) for tree in trees])
    torch.testing.assert_close(together, alone)


def test_parameter_counts_are_those_of_the_formulas():
    words, size, memory, classes = 100, 300, 150, 2
    leaf, compose = (size + 1) * 2 * memory, (2 * memory + 1) * 5 * memory
    model = TreeLSTM((9, 3, words), classes, size=size, memory=memory)
    assert sum(p.numel() for p in model.parameters()) == words * size + leaf + compose + (memory + 1) * classes
    filters = (100 * 5 + 1) * 128 + 2 * (128 * 5 + 1) * 128
    model = PoolingCNN((1000, words), 20)
    assert sum(p.numel() for p in model.parameters()) == words * 100 + filters + 129 * 128 + 129 * 20


@pytest.mark.parametrize("network", [TreeLSTM, PoolingCNN])
def test_images_are_refused(network):
    with pytest.raises(InputError, match="got inputs of"):
        network((3, 32, 32) if network is PoolingCNN else (1, 8, 8), 10)
