"""What is released: an sdist, and the wheel made of it, which does in a clean environment what `make demo` does."""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILT = ("pyproject.toml", "README.md", "LICENSE", "src")


def ran(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    for name in BUILT:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    ran(sys.executable, "-c", "from setuptools.build_meta import build_sdist as b; b('dist')", cwd=folder)
    (made,) = (folder / "dist").glob("*.tar.gz")
    return made


def test_the_sdist_holds_what_a_build_needs(archive: Path) -> None:
    with tarfile.open(archive) as file:
        names = {name.split("/", 1)[1] for name in file.getnames() if "/" in name}
    wanted = {
        str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*") if path.suffix in (".py", ".html", ".c")
    }
    assert wanted | {"src/surefoot/py.typed", "pyproject.toml", "LICENSE"} <= names


@pytest.mark.slow
def test_the_wheel_passes_the_demo_in_a_clean_environment(archive: Path, tmp_path: Path) -> None:
    ran(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, archive, cwd=tmp_path)
    (wheel,) = tmp_path.glob("surefoot-*.whl")
    with zipfile.ZipFile(wheel) as file:
        assert "surefoot/py.typed" in file.namelist()
    ran(sys.executable, "-m", "venv", "clean", cwd=tmp_path)
    python = tmp_path / "clean" / "bin" / "python"
    ran(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", f"{wheel}[all]", cwd=tmp_path)
    surefoot = tmp_path / "clean" / "bin" / "surefoot"
    told = json.loads(ran(surefoot, "doctor", "--json", cwd=tmp_path))
    assert not any(told["extras"][name]["missing"] for name in ("train", "report", "data", "cluster", "onnx", "verify"))
    ran(surefoot, "compare", "--losses", "ce,fl-3", "--seeds", "1", "--epochs", "2", "--out", "demo", cwd=tmp_path)
    assert (tmp_path / "demo" / "report.html").stat().st_size > 100_000
    ran(surefoot, "assess", cwd=tmp_path)
    assert (
        json.loads((tmp_path / "runs" / "assess" / "assessment.json").read_text())["schema"] == "surefoot.assessment/1"
    )
