"""Where plugins come from; whatever is wrong with one, it is named and left out."""

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr, ValidationError

from app.conversation.router import Router
from app.core.actions import Action
from app.core.decisions import Decision, Snapshot
from app.core.settings import Settings
from app.plugins import Job, Plugin, PluginSettings
from app.plugins.finding import find_plugins
from app.plugins.parts import RESERVED
from app.runtime import open_runtime
from tests.plugins.weather import Made

Write = Callable[[str, str], None]
GOOD = "from app.plugins import Plugin\nplugin = Plugin(name='{name}', api=1, version='3')\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    written: list[str] = []

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


def problem_of(path: str, **options: Any) -> str:
    found = find_plugins([path], installed=False, **options)
    assert found.loaded == ()
    (left_out,) = found.left_out
    assert (left_out.name, left_out.source) == (path, f"GUANXI_PLUGINS {path}")
    return left_out.problem


def test_by_setting_with_and_without_an_attribute(write: Write) -> None:
    write("gx_one", GOOD.format(name="one"))
    write("gx_two", GOOD.format(name="two") + "class Box:\n    inside = plugin\n")
    found = find_plugins(["gx_two:Box.inside", "gx_one"], installed=False)
    assert [one.plugin.name for one in found.loaded] == ["two", "one"]
    assert found.left_out == ()


def test_by_entry_point(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("gx_three", GOOD.format(name="three"))
    info = tmp_path / "gx_three-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gx-three\nVersion: 3\n")
    (info / "entry_points.txt").write_text(
        "[guanxi.plugins]\nthree = gx_three:plugin\nbroken = gx_three:nothing\n"
    )
    from app.plugins import finding  # noqa: PLC0415  # its memory is part of the test

    finding._installed.cache_clear()
    try:
        found = find_plugins(["gx_three"])
        assert [one.plugin.name for one in found.loaded] == ["three"], "found twice, loaded once"
        assert [one.name for one in found.left_out] == ["broken"]
        assert "nothing" in found.left_out[0].problem
    finally:
        finding._installed.cache_clear()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys\nsys.exit(1)", "SystemExit"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("plugin = = 1", "SyntaxError"),
        ("plugin = 'weather'", "a Plugin is expected, not str"),
        ("other = 1", "has no attribute 'plugin'"),
        (
            "from app.plugins import Plugin\nplugin = Plugin(name='x', api=1, handlers=[])",
            "unexpected keyword argument 'handlers'",
        ),
        (GOOD.format(name="Weather"), "a-z, 0-9 and _"),
        (GOOD.format(name="keywords"), "the server's own"),
        (GOOD.format(name="later").replace("api=1", "api=2"), "interface 2; this server has 1"),
    ],
)
def test_what_cannot_be_loaded_is_named(write: Write, text: str, words: str) -> None:
    write("gx_bad", text)
    assert words in problem_of("gx_bad")


def test_where_an_import_raised_is_told(write: Write) -> None:
    write("gx_bad", "\n\nraise RuntimeError('here')")
    assert "gx_bad.py:3" in problem_of("gx_bad")


def test_an_import_that_does_not_end_is_left_behind(write: Write) -> None:
    write("gx_slow", "import time\ntime.sleep(3)\n")
    problem = problem_of("gx_slow", load_seconds=0.3)
    assert "did not end within 0.3 s" in problem
    assert "gx_slow.py:2" in problem


def test_of_two_with_one_name_the_first_is_taken(write: Write) -> None:
    write("gx_one", GOOD.format(name="same"))
    write("gx_two", GOOD.format(name="same"))
    found = find_plugins(["gx_one", "gx_two"], installed=False)
    assert [one.source for one in found.loaded] == ["GUANXI_PLUGINS gx_one"]
    assert "GUANXI_PLUGINS gx_one" in found.left_out[0].problem


class Secretive(PluginSettings):
    key: SecretStr
    days: int = 3


def test_settings_come_from_variables_and_secrets_are_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugin = Plugin(name="vault", api=1, settings=Secretive)
    monkeypatch.setenv("GUANXI_PLUGIN_VAULT_KEY", "hidden-key")
    monkeypatch.setenv("GUANXI_PLUGIN_VAULT_DAYS", "7")
    (one,) = find_plugins([], [plugin], installed=False).loaded
    assert isinstance(one.settings, Secretive)
    assert (one.settings.key.get_secret_value(), one.settings.days) == ("hidden-key", 7)
    assert "hidden-key" not in repr(one.settings)
    monkeypatch.setenv("GUANXI_PLUGIN_VAULT_DAYS", "hidden-days")
    monkeypatch.delenv("GUANXI_PLUGIN_VAULT_KEY")
    (left_out,) = find_plugins([], [plugin], installed=False).left_out
    assert "GUANXI_PLUGIN_VAULT_KEY: Field required" in left_out.problem
    assert "GUANXI_PLUGIN_VAULT_DAYS" in left_out.problem
    assert "hidden" not in left_out.problem


def async_router() -> Router:
    router = Router("bad")

    async def decide(snap: Snapshot) -> Decision:
        return Decision()

    router.decide()(decide)  # type: ignore[arg-type]  # what is to be found out
    return router


def plain_apart() -> Router:
    router = Router("bad")
    router.apart()(lambda context: None)  # type: ignore[arg-type,return-value]  # as above
    return router


class Half(Action):
    name: ClassVar[str] = "bad.half"

    def decide(self, snap: Snapshot) -> Decision:
        return Decision()


class Foreign(Action):
    name: ClassVar[str] = "reply"

    def decide(self, snap: Snapshot) -> Decision:
        return Decision()

    def preview(self) -> str:
        return ""


async def run(ctx: object) -> None:
    return None


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"routers": [Router("other")]}, "'other' must be named bad"),
        ({"routers": ["x"]}, "str is no Router"),
        ({"routers": Router("bad")}, "routers must be a list"),
        ({"routers": [Router("bad"), Router("bad")]}, "two routers are named bad"),
        ({"routers": [async_router()]}, "bad.decide is async"),
        ({"routers": [plain_apart()]}, "is not async"),
        ({"actions": [Foreign]}, "'reply' must be named bad.<something>"),
        ({"actions": [Half]}, "lacks preview"),
        ({"actions": [int]}, "no subclass of Action"),
        ({"kinds": [object()]}, "None must be named bad.<something>"),
        ({"jobs": [Job(name="a b", run=run)]}, "'a b'"),
        ({"jobs": [Job(name="ab", run=print)]}, "not an async function"),  # type: ignore[arg-type]
        ({"jobs": [Job(name="ab", run=run, daily_at="25:00")]}, "HH:MM"),
        ({"jobs": [Job(name="ab", run=run, daily_at="")]}, "HH:MM"),
        ({"jobs": [Job(name="ab", run=run, every_minutes=0.1)]}, "every_minutes is 1 to"),
        ({"jobs": [Job(name="ab", run=run, every_minutes=math.inf)]}, "every_minutes is 1 to"),
        ({"jobs": [Job(name="ab", run=run), Job(name="ab", run=run)]}, "two jobs are named ab"),
        ({"settings": int}, "subclass of PluginSettings"),
    ],
)
def test_parts_of_the_wrong_kind(parts: dict[str, Any], words: str) -> None:
    plugin = Plugin(name="bad", api=1, **parts)
    (left_out,) = find_plugins([], [plugin], installed=False).left_out
    assert words in left_out.problem


def test_a_good_one_has_nothing_wrong() -> None:
    assert find_plugins([], [Made().plugin()], installed=False).left_out == ()


async def test_our_own_routers_are_reserved_names(settings: Settings) -> None:
    async with open_runtime(settings) as runtime:
        ours = {route.name.partition(".")[0] for route in runtime.routing._routes}
    assert ours <= RESERVED


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ("", ()),
        ("a.b:c, d", ("a.b:c", "d")),
        ('["a.b:c", "d"]', ("a.b:c", "d")),
    ],
)
def test_the_setting(written: str, paths: tuple[str, ...]) -> None:
    assert Settings.model_validate({"plugins": written}).plugin_paths == paths


@pytest.mark.parametrize("written", ["a-b", "a:b:c", "[1]", '["a"', "a b"])
def test_a_setting_that_names_nothing(written: str) -> None:
    with pytest.raises(ValidationError, match="plugins"):
        Settings.model_validate({"plugins": written})
