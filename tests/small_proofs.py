"""A question about |x - 1/2| on [0, 1], proofs of it, and what is false of it."""

import numpy as np
import torch

from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Linear, Relu
from surefoot.proof.certificate import Certificate, Proof, SplitLeaf
from surefoot.proof.question import Question, certificate_of_property


def distance() -> Graph:
    """Make |x - 1/2|, as the sum of two ReLUs."""
    builder = GraphBuilder((1,))
    sides = builder.add(Linear(torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([-0.5, 0.5]).double()), 0)
    builder.add(Linear(torch.ones((1, 2)).double()), builder.add(Relu(), sides))
    return builder.build()


def asked(bound: float) -> list[Question]:
    """Ask whether it can be at most a bound."""
    return [Question(np.zeros(1), np.ones(1), [(np.ones((1, 1)), np.array([bound]))])]


def by_boxes(bound: float, *bisections: tuple[int, int, float]) -> Proof:
    """Prove it by halving the region."""
    question, columns = asked(bound)[0], list(zip(*bisections, strict=True)) or [(), (), ()]
    constraints = (np.array(columns[0], dtype=int), np.array(columns[1], dtype=int), np.array(columns[2], dtype=float))
    return Proof(question.lower, question.upper, tuple(question.unsafe), "boxes", bisections=constraints)


def leaf(*signs: tuple[int, int, int], row: int = 0, unsafe: int = 0) -> SplitLeaf:
    """Make a part of a proof by signs; the ReLU is node 2."""
    return SplitLeaf(unsafe, row, signs, {}, {})


def by_signs(bound: float, *leaves: SplitLeaf) -> Proof:
    """Prove it by deciding signs."""
    question = asked(bound)[0]
    return Proof(question.lower, question.upper, tuple(question.unsafe), "signs", leaves=leaves)


def certified(*proofs: Proof) -> Certificate:
    """Make the certificate."""
    return certificate_of_property(distance(), proofs)
