"""Whatever a command prints as JSON is JSON: NaN and infinity are none."""

import ast
from pathlib import Path

import pytest

import surefoot.cli

FILES = sorted(Path(surefoot.cli.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_no_command_writes_what_is_no_json(file: Path) -> None:
    for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
        if ast.unparse(call.func) in ("json.dump", "json.dumps"):
            assert any(k.arg == "allow_nan" and ast.unparse(k.value) == "False" for k in call.keywords), call.lineno
