"""Sentences as binary trees: the Stanford Sentiment Treebank, positive against negative."""

import lzma
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from surefoot.core.errors import FileError
from surefoot.data import hub
from surefoot.data.splits import Data, Part, divide_published
from surefoot.data.texts import vocabulary_of

_HUB = hub.Source("stanfordnlp/sst", "ptb_tree", "ptb_tree", config="ptb")
_TOKEN = re.compile(r"\(|\)|[^\s()]+")
_FILES = {"train": "train", "validation": "dev", "test": "test"}


@dataclass(frozen=True)
class Tree:
    """A labelled binary tree as nodes from the words up, the root last.

    Attributes:
        nodes: a word (text), or the places of the two children.
        labels: 0 (very negative) to 4 (very positive), one a node.
    """

    nodes: tuple[str | tuple[int, int], ...]
    labels: tuple[int, ...]


def parse(line: str) -> Tree:
    """Read a tree in brackets: (label word) or (label left right).

    Raises:
        ValueError: the brackets do not match, a label is not 0 to 4, or a node has other than two children.

    >>> parse("(3 (2 a) (4 film))")
    Tree(nodes=('a', 'film', (0, 1)), labels=(2, 4, 3))
    """
    nodes: list[Any] = []
    labels: list[int] = []
    stack: list[list[Any]] = []  # of open brackets: label, then a word or the places of children
    tokens = _TOKEN.findall(line)
    for at, token in enumerate(tokens):
        if token == "(":
            stack.append([])
        elif token != ")":
            if not stack:
                raise ValueError(f"{token!r} is outside of brackets")
            stack[-1].append(token)
        else:
            label, *rest = stack.pop() if stack else [""]
            kinds = [type(x) for x in rest]
            is_word, is_node = bool(kinds) and set(kinds) == {str}, kinds == [int, int]
            if label not in ("0", "1", "2", "3", "4") or not (is_word or is_node):
                raise ValueError("a node is (label word) or (label left right), label 0 to 4")
            nodes.append(" ".join(rest) if is_word else tuple(rest))  # published files have blanks in words
            labels.append(int(label))
            if stack:
                stack[-1].append(len(nodes) - 1)
            elif at != len(tokens) - 1:
                raise ValueError("something follows the tree")
    if stack or not nodes:
        raise ValueError("a bracket is not closed, or there is no tree")
    return Tree(tuple(nodes), tuple(labels))


def phrases(tree: Tree) -> list[Tree]:
    """Return the subtree of every node, the whole tree last."""
    subtrees: list[Tree] = []
    first: list[int] = []  # where the nodes of each subtree begin: they are contiguous, children before parents
    for i, node in enumerate(tree.nodes):
        first.append(i if isinstance(node, str) else first[node[0]])
        start = first[i]
        moved = (x if isinstance(x, str) else (x[0] - start, x[1] - start) for x in tree.nodes[start : i + 1])
        subtrees.append(Tree(tuple(moved), tree.labels[start : i + 1]))
    return subtrees


def encode_trees(trees: Sequence[Tree], vocabulary: Sequence[str], nodes: int) -> torch.Tensor:
    """Encode trees as (n, nodes, 3): a word (number, 0, 0), a node (left, right, height), padding (0, 0, -1)."""
    number = {word: i for i, word in enumerate(vocabulary)}
    rows = np.zeros((len(trees), nodes, 3), dtype=np.int16 if len(vocabulary) < 2**15 else np.int32)
    rows[:, :, 2] = -1
    for row, tree in zip(rows, trees, strict=True):
        for i, node in enumerate(tree.nodes):
            if isinstance(node, str):
                row[i] = number.get(node.lower(), 1), 0, 0
            else:
                row[i] = *node, 1 + max(row[node[0], 2], row[node[1], 2])
    return torch.from_numpy(rows)


def sentiment(seed: int = 0, folder: Path | str | None = None) -> Data:
    """Return SST, binary: sentences that are not neutral; training on every phrase of them that is not.

    From a folder with trees in brackets, `train`, `dev` and `test` (.txt, .ptb, also .xz), or else from the hub; the
    validation part is the published one.

    Raises:
        FileError: a file is missing or damaged; the message says which line.
    """
    trees = {split: _read(folder, split) for split in _FILES}
    words = [[n.lower() for n in tree.nodes if isinstance(n, str)] for tree in trees["train"]]
    vocabulary = vocabulary_of(words, 2**15 - 1)
    seen = {phrase: None for tree in trees["train"] for phrase in phrases(tree)}  # every distinct phrase once, in order
    trees["train"] = list(seen)
    size = max(len(tree.nodes) for part in trees.values() for tree in part)
    parts = {}
    for split, part in trees.items():
        clear = [tree for tree in part if tree.labels[-1] != 2]
        labels = torch.tensor([int(tree.labels[-1] > 2) for tree in clear])
        parts[split] = Part(encode_trees(clear, vocabulary, size), labels)
    names = ("negative", "positive")
    data = divide_published("sst", parts["train"], parts["test"], names, seed, parts["validation"])
    return replace(data, vocabulary=vocabulary)


def _read(folder: Path | str | None, split: str) -> list[Tree]:
    if folder is None:
        return _trees(list(hub.texts(_HUB, split)[0]), f"{_HUB.name} {split}")
    stem = _FILES[split]
    files = [p for p in sorted(Path(folder).glob(f"{stem}.*")) if p.suffix in (".txt", ".ptb", ".xz")]
    if not files:
        raise FileError(f"{folder} does not hold SST: expected {stem}.txt (or .ptb, .ptb.xz) with a tree a line")
    opener = lzma.open if files[0].suffix == ".xz" else open
    try:
        with opener(files[0], "rt", encoding="utf-8") as file:
            return _trees(file.read().split("\n"), files[0])
    except (OSError, EOFError, UnicodeDecodeError, lzma.LZMAError) as error:
        raise FileError(f"cannot read {files[0]}: {error}") from error


def _trees(lines: Sequence[str], where: Path | str) -> list[Tree]:
    trees = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                trees.append(parse(line))
            except ValueError as error:
                raise FileError(f"{where} line {number}: {error}") from error
    if not trees:
        raise FileError(f"{where} holds no tree")
    return trees
