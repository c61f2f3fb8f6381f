"""The documents say what the code says."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.main import get_command

from app.cli.commands import app
from app.core.settings import Settings

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]


def _rows() -> dict[str, str]:
    return dict(re.findall(r"^\| `(GUANXI_\w+)` \| (.*?) \|", SETTINGS, re.MULTILINE))


def test_every_setting_is_documented_with_its_default() -> None:
    wanted = {}
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        wanted[f"GUANXI_{name.upper()}"] = f"`{default}`" if default != "" else "–"
    assert _rows() == wanted


def test_every_command_is_documented() -> None:
    group: Any = get_command(app)
    text = (ROOT / "docs" / "commands.md").read_text()
    missing = [name for name in group.commands if f"`{name}" not in text]
    assert missing == []


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_links_of_the_readme_lead_somewhere(readme: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", readme.read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_targets_named_in_the_readme_exist(readme: Path) -> None:
    targets = set(re.findall(r"\bmake ([a-z-]+)", readme.read_text()))
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets
    assert targets <= known
