"""Every package has a face: what people import comes from there, and is what its own file says."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import surefoot

ROOT = Path(__file__).parents[1]
SOURCE = Path(surefoot.__file__).parent
PACKAGES = sorted(p.parent.name for p in SOURCE.glob("*/__init__.py") if p.parent.name != "cli")
FOR_PEOPLE = [
    *ROOT.glob("README.md"), *ROOT.glob("examples/*.py"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/guide/*.md")
]  # fmt: skip
DEEP = re.compile(r"(?:from|import) (surefoot\.\w+\.[\w.]+)")


def names_of(package: str) -> dict[str, str]:
    """Return each name of a face and the module that it is from."""
    face = SOURCE / package / "__init__.pyi"
    tree = ast.parse((face if face.exists() else face.with_suffix(".py")).read_text())
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "typing"]
    return {
        alias.name: f"surefoot.{package}.{node.module}" if node.level else str(node.module)
        for node in froms
        for alias in node.names
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_face_gives_what_its_files_say(package: str) -> None:
    """Also where a file of the name was imported first: no name is that of a file unless the face is imported whole."""
    names, face = names_of(package), importlib.import_module(f"surefoot.{package}")
    assert names
    for name, module in names.items():
        value = getattr(importlib.import_module(module), name)
        assert getattr(face, name) is value
        assert not inspect.ismodule(value)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_lazy_face_has_no_name_of_a_file(package: str) -> None:
    """The import of a file puts it into its package under its name, where a name that comes later would not be seen."""
    if (SOURCE / package / "__init__.pyi").exists():
        files = {path.stem for path in (SOURCE / package).iterdir()}
        assert not files & names_of(package).keys()


@pytest.mark.parametrize("path", FOR_PEOPLE, ids=lambda path: path.name)
def test_what_people_read_imports_from_faces(path: Path) -> None:
    assert DEEP.findall(path.read_text(encoding="utf-8")) == []
