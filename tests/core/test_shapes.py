"""Pixels and sigmoids as rows of classes, through files and metrics."""

from pathlib import Path

import numpy as np
import pytest

from surefoot.core.errors import InputError
from surefoot.core.shapes import rows_of_pixels, rows_of_sigmoids
from surefoot.core.tables import load_predictions


def test_pixels_keep_their_class_and_their_image() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(3, 4, 2, 5)), rng.integers(0, 4, size=(3, 2, 5))
    labels[0, 0, 0], labels[1, 1, 4] = 255, -1
    rows, target, image = rows_of_pixels(scores, labels)
    assert len(rows) == 28
    at = 0
    for i in range(3):
        for h in range(2):
            for w in range(5):
                if labels[i, h, w] in (255, -1):
                    continue
                assert (rows[at] == scores[i, :, h, w]).all()
                assert (target[at], image[at]) == (labels[i, h, w], i)
                at += 1


def test_sigmoids_are_two_classes() -> None:
    z, y = np.array([[2.0, -1.0, 0.5]]), np.array([[1, -1, 0]])
    rows, labels, which = rows_of_sigmoids(z, y)
    p = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    assert np.allclose(p[:, 1], 1 / (1 + np.exp(-np.array([2.0, 0.5]))))
    assert (labels.tolist(), which.tolist()) == ([1, 0], [0, 2])
    probs, _, _ = rows_of_sigmoids(np.array([0.7, 0.2]), np.array([1, 0]), probabilities=True)
    assert np.allclose(probs, [[0.3, 0.7], [0.8, 0.2]])


def test_mistakes() -> None:
    with pytest.raises(InputError, match="are not those of scores"):
        rows_of_pixels(np.zeros((2, 3, 4, 4)), np.zeros((2, 4, 5), dtype=int))
    with pytest.raises(InputError, match="no pixel is left"):
        rows_of_pixels(np.zeros((1, 3, 2, 2)), np.full((1, 2, 2), 255))
    with pytest.raises(InputError, match="are not those of scores"):
        rows_of_sigmoids(np.zeros((2, 3)), np.zeros((2, 2), dtype=int))
    with pytest.raises(InputError, match="labels of sigmoids"):
        rows_of_sigmoids(np.zeros(2), np.array([0, 2]))
    with pytest.raises(InputError, match="no label is known"):
        rows_of_sigmoids(np.zeros(1), np.array([-1]))


@pytest.mark.filterwarnings("ignore::surefoot.core.errors.Taken")
def test_files_of_pixels_and_sigmoids_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "pixels.npz", logits=rng.normal(size=(4, 3, 2, 2)), labels=rng.integers(0, 3, size=(4, 2, 2)),
        split=np.array(["validation", "validation", "test", "test"]),
    )  # fmt: skip
    pixels = load_predictions(tmp_path / "pixels.npz")
    assert (pixels.n, pixels.k, pixels.part("test").n) == (16, 3, 8)
    labels = rng.integers(0, 2, size=(6, 3))
    labels[2, 1] = -1
    np.savez(
        tmp_path / "labels.npz", probs=rng.random((6, 3)), labels=labels, class_names=np.array(["cat", "dog", "cow"]),
        split=np.repeat(["validation", "test"], 3),
    )  # fmt: skip
    several = load_predictions(tmp_path / "labels.npz")
    assert (several.n, several.k, several.class_names) == (17, 2, ("no", "yes"))
    assert several.part("validation").n == 8


@pytest.mark.filterwarnings("ignore::surefoot.core.errors.Taken")
@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_one_hot_labels_are_not_taken_for_sigmoids_without_a_word(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.eye(3, dtype=int)[rng.integers(0, 3, size=8)]
    scores = rng.random((8, 3))
    np.savez(tmp_path / "t.npz", allow_pickle=False, **{kind: scores}, labels=labels)
    with pytest.raises(InputError, match=r"one class of 3 \(one-hot\) or as 3 independent sigmoids") as raised:
        load_predictions(tmp_path / "t.npz")
    assert "labels.argmax(1)" in str(raised.value)
    assert "`sigmoids`" in str(raised.value)
    np.savez(tmp_path / "t.npz", allow_pickle=False, **{kind: scores}, labels=labels, sigmoids=np.array(True))
    assert load_predictions(tmp_path / "t.npz").n == 24
    labels[0] = 1
    np.savez(tmp_path / "t.npz", allow_pickle=False, **{kind: scores}, labels=labels)
    assert load_predictions(tmp_path / "t.npz").n == 24
    np.savez(tmp_path / "t.npz", allow_pickle=False, **{kind: scores[:, 0]}, labels=labels[:, 0])  # one sigmoid
    assert load_predictions(tmp_path / "t.npz").n == 8
