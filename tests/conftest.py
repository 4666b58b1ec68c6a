"""Settings for every test: shapes are checked at run time, Hypothesis is repeatable, shared data may be absent."""

import os
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch
from hypothesis import settings

import typecheck
from surefoot.core import native

# The kernels for GPUs run on this processor, one program after the other: read by triton when it is imported.
os.environ.setdefault("TRITON_INTERPRET", "1")

# Shapes are types; here, and only here, they are checked: on each function's first calls, and on some of those after.
CHECKED = (
    "losses", "metrics", "recalibrate", "models", "graph", "sets", "spec", "reach", "verify", "compress",
)  # fmt: skip
jaxtyping.install_import_hook([f"surefoot.{name}" for name in CHECKED], "typecheck.check")
jaxtyping.jaxtyped = typecheck.sampled(jaxtyping.jaxtyped)  # by this name the hook calls it

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("full", parent=settings.get_profile("repeatable"), max_examples=50)
settings.register_profile("thorough", derandomize=False, deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder of real data that stands beside the checkout, or skip with a reason."""
    folder = Path(os.environ.get("SUREFOOT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not at hand: {folder} does not exist (set SUREFOOT_DATA to its folder)")
    return folder


@pytest.fixture(scope="module", params=["compiled", "plain"])
def loops(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a module's tests with the compiled loops and without: `pytestmark = pytest.mark.usefixtures("loops")`."""
    if request.param == "compiled" and native.LIBRARY is None:
        pytest.skip("there was no C compiler when surefoot was installed")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plain":
            patch.setattr(native, "LIBRARY", None)
        yield
