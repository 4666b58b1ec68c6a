"""Commands as they are typed."""

import pytest

from surefoot.cli.main import run


def surefoot(*arguments: object, code: int = 0) -> None:
    """Run a command; see that it leaves with this code."""
    with pytest.raises(SystemExit) as left:
        run([str(a) for a in arguments])
    assert left.value.code == code


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command; return its exit code, and what it wrote to standard output and error."""
    with pytest.raises(SystemExit) as done:
        run([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return int(done.value.code or 0), out, err
