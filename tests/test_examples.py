"""Every example runs, on small local data; what needs a library that is not here is skipped, and says so."""

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
NEEDS = {
    "huggingface_trainer": ("transformers", "accelerate"),
    "skorch_net": ("skorch",),
    "lightning_loggers": ("tensorboard",),
}


@pytest.mark.filterwarnings("default")  # of the libraries that the examples show
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in NEEDS.get(example.stem, ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")  # Lightning sets it, for whatever comes after
    monkeypatch.setattr(sys, "argv", [str(example)])
    runpy.run_path(str(example), run_name="__main__")  # here, not in a process that imports PyTorch anew for each
    assert capsys.readouterr().out.strip()
    if "surefoot report predictions.npz" in example.read_text(encoding="utf-8"):
        assert (tmp_path / "predictions.npz").exists()
