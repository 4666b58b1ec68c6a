"""Short trainings for the tests."""

from surefoot.train import (
    Recipe,
)

QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}


SHORT = Recipe(epochs=4, batch_size=64, optimiser="adam", learning_rate=3e-3, drops=(0.5,), clip_norm=1.0)
