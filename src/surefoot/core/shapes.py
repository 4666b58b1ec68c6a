"""Pictures of labels, single sigmoids and several labels at once, as rows of classes: what everything else reads."""

import numpy as np

from surefoot.core.errors import InputError

IGNORED = 255  # of segmentations, by custom; also anything below 0


def rows_of_pixels(
    scores: np.ndarray, labels: np.ndarray, ignore: int = IGNORED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows (m, k), labels (m,), and which image each is of, for scores (n, k, ...) and labels (n, ...).

    Pixels whose label is `ignore`, or negative, are left out.

    Raises:
        InputError: shapes that do not fit, or no pixel left.

    >>> rows, labels, image = rows_of_pixels(np.zeros((2, 3, 4, 4)), np.zeros((2, 4, 4), dtype=int))
    >>> rows.shape, labels.shape, int(image.max())
    ((32, 3), (32,), 1)
    """
    if scores.ndim < 3 or labels.shape != scores.shape[:1] + scores.shape[2:]:
        raise InputError(f"labels {labels.shape} are not those of scores {scores.shape}, (n, k, ...) and (n, ...)")
    rows = np.moveaxis(scores, 1, -1).reshape(-1, scores.shape[1])
    flat = labels.reshape(-1)
    image = np.repeat(np.arange(len(scores)), flat.size // max(len(scores), 1))
    kept = (flat != ignore) & (flat >= 0)
    if not kept.any():
        raise InputError(f"no pixel is left: all {flat.size} labels are {ignore} or negative")
    return rows[kept], flat[kept], image[kept]


def refuse_one_hot(labels: np.ndarray) -> None:
    """Refuse labels that may be either: of one class of several, one-hot, or of several sigmoids.

    Raises:
        InputError: every row of labels (n, k) has exactly one 1 and zeros.
    """
    if labels.ndim != 2 or labels.shape[1] < 2 or not np.isin(labels, (0, 1)).all():
        return
    if (labels.sum(1) == 1).all():
        raise InputError(
            f"labels of shape {labels.shape} with one 1 in each row can be read as one class of {labels.shape[1]} "
            f"(one-hot) or as {labels.shape[1]} independent sigmoids: for classes give labels.argmax(1), of shape "
            f"({len(labels)},); for sigmoids add an array `sigmoids` that holds True"
        )


def rows_of_sigmoids(
    scores: np.ndarray, labels: np.ndarray, probabilities: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows (m, 2), labels 0 or 1 (m,), and which label each is about, for one or several independent labels.

    Scores and labels (n,) or (n, labels); sigmoid(z) is the second entry of softmax([0, z]), so calibrators and metrics
    hold as they are, and so does the inverse of focal loss. A label of -1 is unknown, and left out.

    Raises:
        InputError: shapes that do not fit, labels other than 0, 1 and -1, or nothing known.

    >>> rows, labels, which = rows_of_sigmoids(np.array([[2.0, -1.0]]), np.array([[1, 0]]))
    >>> rows.tolist(), labels.tolist(), which.tolist()
    ([[0.0, 2.0], [0.0, -1.0]], [1, 0], [0, 1])
    """
    if scores.shape != labels.shape or scores.ndim not in (1, 2):
        raise InputError(f"labels {labels.shape} are not those of scores {scores.shape}: one for each sigmoid")
    if not np.isin(labels, (-1, 0, 1)).all():
        raise InputError("labels of sigmoids are 0, 1, or -1 where unknown")
    flat, target = scores.reshape(-1), labels.reshape(-1).astype(np.int64)
    which = np.tile(np.arange(scores.shape[1] if scores.ndim == 2 else 1), len(scores))
    kept = target >= 0
    if not kept.any():
        raise InputError("no label is known")
    flat = flat[kept]
    first = 1 - flat if probabilities else np.zeros_like(flat)
    return np.stack([first, flat], 1), target[kept], which[kept]
