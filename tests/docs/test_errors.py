"""Every code an error can have is documented, with its status."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import app
from app.core.errors import AppError, Refusal

TEXT = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
BASES = (AppError, Refusal)
"""Raised only as their subclasses."""


def _below(error: type[AppError]) -> Iterator[type[AppError]]:
    for found in error.__subclasses__():
        yield found
        yield from _below(found)


def _known() -> dict[str, int]:
    """Codes of all errors in the program, and their status."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = (found for found in _below(AppError) if found.__module__.startswith("app."))
    return {found.code: found.status for found in ours if found not in BASES}


def _rows() -> dict[str, str]:
    """Documented codes and the status beside them, empty in the tables without one."""
    found = {}
    for line in TEXT.splitlines():
        if line.startswith("| `"):
            codes, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            status = cells[0] if cells and re.fullmatch(r"\d{3}", cells[0]) else ""
            found.update(dict.fromkeys(re.findall(r"`([A-Z_]+)`", codes), status))
    return found


def test_every_code_is_documented_and_no_other() -> None:
    assert set(_rows()) == set(_known())


def test_the_status_is_the_one_that_is_sent() -> None:
    known = _known()
    said = {code: int(status) for code, status in _rows().items() if status}
    assert said == {code: known[code] for code in said}
    assert len(said) > 30
