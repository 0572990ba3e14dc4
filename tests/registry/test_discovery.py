"""A new thing is a new file: found by its name, or refused with the nearest known one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from registry.discovery import checked_name, load_module, names, package_folder
from registry.errors import Refusal


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An importable package of two things, something private and something of another kind."""
    folder = tmp_path / "things_to_find"
    folder.mkdir()
    for name, text in {
        "__init__.py": "",
        "_private.py": "",
        "alpha.py": "VALUE = 1\n",
        "beta_two.py": "VALUE = 2\n",
        "notes.md": "no module",
        ".hidden.py": "",
    }.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    name = "things_to_find"
    for module in [loaded for loaded in sys.modules if loaded.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    return name


def test_names_are_the_public_files_sorted(package: str) -> None:
    assert names(package_folder(package), ".py") == ["alpha", "beta_two"]
    assert names(package_folder(package), ".md") == ["notes"]


def test_a_folder_that_is_not_there_has_no_names(tmp_path: Path) -> None:
    assert names(tmp_path / "absent", ".py") == []


def test_a_file_added_is_found_without_a_list_to_edit(package: str) -> None:
    (package_folder(package) / "gamma.py").write_text("VALUE = 3\n")
    assert names(package_folder(package), ".py") == ["alpha", "beta_two", "gamma"]
    assert load_module(package, "gamma", "thing").VALUE == 3


def test_an_unknown_name_is_refused_with_the_nearest(package: str) -> None:
    with pytest.raises(Refusal) as caught:
        load_module(package, "alfa", "thing")
    assert caught.value.where == "thing 'alfa'"
    assert caught.value.what == "there is no such thing; did you mean 'alpha'?"
    assert caught.value.way_out == "choose one of: alpha, beta_two"


@pytest.mark.parametrize("name", ["_private", "__init__", "notes", "os.path", "../alpha", "alpha.py", ""])
def test_nothing_but_a_listed_file_is_ever_imported(package: str, name: str) -> None:
    with pytest.raises(Refusal):
        load_module(package, name, "thing")


@pytest.mark.parametrize("name", ["chartqa", "llava-1.5-665k", "0x", "a_b.c-d"])
def test_plain_names_are_safe(name: str) -> None:
    assert checked_name(name, "dataset") == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a..b", ".hidden", "-x", "Upper", "é", "a b", "a\n", "a\0"]
)
def test_names_that_could_leave_a_folder_are_refused(name: str) -> None:
    with pytest.raises(Refusal, match="not a valid name"):
        checked_name(name, "dataset")
