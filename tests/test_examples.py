"""Every example runs, on small local data; what needs a library that is not here is skipped, and says so."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
NEEDS = {
    "huggingface_trainer": ("transformers", "accelerate"),
    "skorch_net": ("skorch",),
    "lightning_loggers": ("tensorboard",),
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples(example: Path, tmp_path: Path) -> None:
    for module in NEEDS.get(example.stem, ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    command = [sys.executable, str(example)]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
    if "surefoot report predictions.npz" in example.read_text(encoding="utf-8"):
        assert (tmp_path / "predictions.npz").exists()
