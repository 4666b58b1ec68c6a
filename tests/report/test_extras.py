"""What an extra promises works without the other extras."""

import subprocess
import sys

import pytest

BLOCK = "import sys\nfor name in {names!r}: sys.modules[name] = None\nimport surefoot.cli.{command}"


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("measure", ["lightning", "safetensors", "triton", "plotly", "jinja2", "onnx", "highspy", "onnxruntime"]),
        ("recalibrate", ["lightning", "plotly", "jinja2", "onnx", "highspy", "onnxruntime"]),
        ("report", ["lightning", "onnx", "highspy", "onnxruntime"]),
        ("train", ["triton", "plotly", "jinja2", "onnx", "highspy", "onnxruntime"]),
        ("verify", ["lightning", "safetensors", "plotly", "jinja2"]),
        ("compress", ["lightning", "plotly", "jinja2"]),
        ("regions", ["lightning", "plotly", "jinja2"]),
    ],
)
def test_a_command_needs_its_own_extra_only(command: str, absent: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCK.format(names=absent, command=command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
