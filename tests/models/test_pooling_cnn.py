"""The convolutional network for texts: where words stand, what is padding, and what is no text."""

import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.models import PoolingCNN


def test_where_a_text_stands_in_its_padding_does_not_matter():
    """Convolutions move with the words, and the pool over the whole text does not see where they are."""
    model = PoolingCNN((60, 30), 4, size=6, filters=8).double().eval()
    words = torch.randint(1, 30, (3, 10))
    early, late = torch.zeros(2, 3, 60, dtype=torch.long)
    early[:, 20:30], late[:, 27:37] = words, words
    torch.testing.assert_close(model(early), model(late))
    assert not torch.allclose(model(early), model(early.flip(1)))  # but their order does


def test_gradients_reach_every_word_but_padding():
    model = PoolingCNN((12, 5), 4, size=6, filters=8).eval()
    logits = model(torch.tensor([[0, 1, 2, 3, 4] + [0] * 7]))
    assert logits.shape == (1, 4)
    logits.square().sum().backward()
    assert model.embedding.weight.grad is not None
    assert (model.embedding.weight.grad != 0).any(1).tolist() == [False, True, True, True, True]


def test_images_are_no_texts():
    with pytest.raises(InputError, match=r"for texts, .* got inputs of shape \(1, 8, 8\)"):
        PoolingCNN((1, 8, 8), 10)
