"""The fit of the small network that gives each row its temperature, with PyTorch's gradients."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from surefoot.core.types import Labels, Logits
from surefoot.recalibrate.steps import LEAST_TEMPERATURE, RowTemperature


def fit_network(logits: Logits, labels: Labels, ridge: float, start: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Minimise the NLL, and a ridge on weights and on what the last bias moves, by L-BFGS from `start`.

    Arguments:
        start: weights and biases of three layers, in turn.
    """
    z, y, x = torch.from_numpy(logits), torch.from_numpy(labels.copy()), torch.from_numpy(RowTemperature.top(logits))
    parameters = [torch.tensor(v, requires_grad=True) for v in start]
    origin = float(start[-1])

    def objective() -> Tensor:
        w1, b1, w2, b2, w3, b3 = parameters
        hidden = torch.relu(torch.relu(x @ w1.T + b1) @ w2.T + b2)
        warmth = torch.nn.functional.softplus(hidden @ w3 + b3)
        nll = torch.nn.functional.cross_entropy(z / warmth[:, None].clamp(min=LEAST_TEMPERATURE), y, reduction="sum")
        return (nll + ridge / 2 * sum((w**2).sum() for w in (w1, b1, w2, b2, w3, b3 - origin))) / len(y)

    ends = np.cumsum([p.numel() for p in parameters])[:-1]

    def flat(theta: np.ndarray) -> tuple[float, np.ndarray]:
        for p, v in zip(parameters, np.split(theta, ends), strict=True):
            p.data = torch.from_numpy(v.reshape(p.shape).copy())
        value = objective()
        return value.item(), np.concatenate([g.ravel().numpy() for g in torch.autograd.grad(value, parameters)])

    beginning = np.concatenate([np.ravel(v) for v in start])
    fitted = minimize(flat, beginning, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return [v.reshape(p.shape) for p, v in zip(parameters, np.split(fitted.x, ends), strict=True)]
