"""While a matrix is trained, each network that is ready is named with how it does."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from surefoot.cli.matrix import run_with_bar
from surefoot.train import cells
from training import SHORT


def test_each_network_is_a_line_when_it_is_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    matrix = cells(["digits"], ["linear"], ["ce", "fl-3"], replace(SHORT, epochs=1), [0])
    found = run_with_bar(matrix, tmp_path, 1, None)
    lines = [line for line in capsys.readouterr().err.splitlines() if "trained" in line]
    assert [line.split(":")[0] for line in lines] == ["1 of 2 trained", "2 of 2 trained"]
    for cell, line in zip(matrix, lines, strict=True):
        assert f"{cell.loss}, seed 0" in line
        test = found[cell].part("test")
        error = (test.scores.argmax(1) != test.labels).mean()
        said = re.search(r"error ([\d.]+)%", line)
        assert said is not None
        assert abs(float(said[1]) / 100 - error) < 1e-4
