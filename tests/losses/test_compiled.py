"""The compiled focal loss at its doors: what it refuses, and that layout, threads and processes change nothing."""

import os

import pytest
import torch

from surefoot.core import native
from surefoot.losses import ByConfidence, FocalLoss, compiled

pytestmark = pytest.mark.skipif(native.LIBRARY is None, reason="there was no C compiler when surefoot was installed")
STEPS = ByConfidence().at(0.0).table


@pytest.mark.parametrize("wrong", [-1, 5, -100, 2**62])
def test_a_target_that_is_no_class_is_refused_before_any_memory_is_read(wrong):
    with pytest.raises(IndexError, match=f"target 1 is class {wrong}, outside 0 to 4"):
        compiled.focal(torch.zeros(3, 5), torch.tensor([0, wrong, 0]), STEPS)


@pytest.mark.parametrize("layout", ["transposed", "sliced", "bfloat16", "parameter"])
def test_any_layout_gives_what_contiguous_rows_give_and_is_left_alone(layout):
    logits, target = torch.randn(7, 5), torch.arange(7) % 5
    given = {
        "transposed": logits.T.contiguous().T,
        "sliced": torch.cat([logits, logits], 1)[:, :5],
        "bfloat16": logits.bfloat16(),
        "parameter": torch.nn.Parameter(logits.clone()),
    }[layout]
    before = given.detach().clone()
    got = compiled.focal(given.detach(), target, STEPS)
    for one, other in zip(got, compiled.focal(given.detach().float().contiguous().clone(), target, STEPS), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(given, before)


def test_the_number_of_threads_changes_no_bit():
    logits, target = torch.randn(1201, 1000), torch.arange(1201) % 1000
    many, before = FocalLoss(reduction="none"), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        threaded = many(logits, target)
        torch.set_num_threads(1)
        assert torch.equal(many(logits, target), threaded)
    finally:
        torch.set_num_threads(before)


def test_a_forked_process_has_threads_of_its_own():
    logits, target = torch.randn(1201, 1000), torch.arange(1201) % 1000
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        compiled.focal(logits, target, STEPS)
        child = os.fork()
        if not child:
            compiled.focal(logits, target, STEPS)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        torch.set_num_threads(before)


def test_traced_tensors_and_those_without_memory_take_the_other_path(monkeypatch):
    assert compiled.serves(torch.zeros(2, 2))
    assert not compiled.serves(torch.zeros(2, 2, device="meta"))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not compiled.serves(torch.zeros(2, 2))
