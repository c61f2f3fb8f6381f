"""`plugin list`, `enable`, `disable`, `new`, and what `doctor` says of plugins."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run

GOOD = """
from app.plugins import Plugin
plugin = Plugin(name="clerk", api=1, version="2.0")
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "clerk_plugin.py").write_text(GOOD)
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no licence')")
    yield
    sys.modules.pop("clerk_plugin", None)


def test_none(run: Run) -> None:
    assert "no plugins" in run("plugin", "list").stdout
    assert "plugins: 0, fine" in run("doctor").stdout


def test_one_that_is_left_out_is_named(run: Run) -> None:
    both = "clerk_plugin, broken_plugin"
    listed = run("plugin", "list", plugins=both)
    assert listed.code == 1
    assert "clerk 2.0  on  failures 0, blocks 0  (GUANXI_PLUGINS clerk_plugin)" in listed.stdout
    assert "broken_plugin  left out" in listed.stdout
    assert "no licence" in listed.stdout
    examined = run("doctor", plugins=both)
    assert examined.code == 1
    assert "broken_plugin" in examined.stdout


def test_off_and_on(run: Run) -> None:
    assert run("plugin", "disable", "clerk", plugins="clerk_plugin").code == 0
    listed = run("plugin", "list", plugins="clerk_plugin")
    assert (listed.code, "off: switched off by cli" in listed.stdout) == (0, True)
    examined = run("doctor", plugins="clerk_plugin")
    assert (examined.code, "python -m app plugin enable clerk" in examined.stdout) == (1, True)
    assert run("plugin", "enable", "clerk").code == 0, "it is on record, so it need not be loaded"
    assert run("doctor", plugins="clerk_plugin").code == 0


def test_a_name_that_nobody_has(run: Run) -> None:
    refused = run("plugin", "disable", "clark", plugins="clerk_plugin")
    assert refused.code == 1
    assert "clerk" in refused.stderr


def test_a_setting_that_names_nothing(run: Run) -> None:
    refused = run("plugin", "list", plugins="not-a-module")
    assert refused.code == 1
    assert "GUANXI_PLUGINS" in refused.stderr


def test_new_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    made = run("plugin", "new", "lucky", "--dir", str(tmp_path / "mine"))
    assert made.code == 0, made.stderr
    files = sorted(p.relative_to(tmp_path) for p in (tmp_path / "mine").rglob("*") if p.is_file())
    assert [str(file) for file in files] == [
        "mine/guanxi-lucky/README.md",
        "mine/guanxi-lucky/pyproject.toml",
        "mine/guanxi-lucky/src/guanxi_lucky/__init__.py",
        "mine/guanxi-lucky/src/guanxi_lucky/py.typed",
        "mine/guanxi-lucky/tests/test_lucky.py",
    ]
    assert not [file for file in files if "$" in (tmp_path / file).read_text()]
    readme = tmp_path / "mine/guanxi-lucky/README.md"
    readme.write_text("mine")
    again = run("plugin", "new", "lucky", "--dir", str(tmp_path / "mine"))
    assert again.code == 1
    assert "guanxi-lucky" in again.stderr
    assert readme.read_text() == "mine"


@pytest.mark.parametrize("name", ["Lucky", "x", "1st", "a-b", "../up", "keywords", "a" * 33])
def test_new_takes_only_good_names(run: Run, tmp_path: Path, name: str) -> None:
    refused = run("plugin", "new", name, "--dir", str(tmp_path / "mine"))
    assert refused.code == 1
    assert "a-z, 0-9 and _" in refused.stderr
    assert not (tmp_path / "mine").exists()
