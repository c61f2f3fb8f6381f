"""`replies test`, as people type it."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select

from app.core.clock import FakeClock
from app.core.settings import Settings
from app.db import tables
from app.db.audit import CLI
from app.db.base import Base
from app.db.database import sync_url
from app.engines.replies.inputs import RuleInput
from app.runtime import open_runtime
from tests.cli.conftest import Run
from tests.shop import SLUG, add_account

PASSES = "[{name: 问好, steps: [{say: 你好, expect: {rule: 招呼, text: 您好}}, {wait: 1h}]}]"
FAILS = "[{name: 问好, steps: [{say: 你好, expect: {text: 再见}}]}]"
BOOK = """
guanxi: 1
rules:
  - {name: 招呼, kind: exact, words: [你好], answers: [[{do: reply, with: {kind: text, text: 再见}}]]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("passes.yaml", PASSES), ("fails.yaml", FAILS), ("book.yaml", BOOK)):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture(autouse=True)
async def shop(settings: Settings, clock: FakeClock, folder: Path) -> None:
    """Two versions of a book: none, and one rule."""
    answers = [[{"do": "reply", "with": {"kind": "text", "text": "您好"}}]]
    hello = RuleInput.model_validate(
        {"name": "招呼", "kind": "exact", "words": ["你好"], "answers": answers}
    )
    async with open_runtime(settings, clock) as runtime:
        account = await add_account(runtime)
        rules = runtime.replies.rules
        await runtime.database.transaction(lambda tx: rules.create(tx, CLI, account, hello))


def test_passes(run: Run, folder: Path) -> None:
    ended = run("replies", "test", str(folder / "passes.yaml"), "--account", SLUG)
    assert (ended.code, ended.stderr) == (0, "")
    assert "✓ 问好" in ended.stdout
    assert "1 步有期望 with expectations · 0 步不符 failed" in ended.stdout


def test_fails_and_says_why(run: Run, folder: Path) -> None:
    ended = run("replies", "test", str(folder / "fails.yaml"), "--account", SLUG)
    assert ended.code == 1
    for words in (
        "✗ 问好",
        "text: 应为 wanted 再见",
        "却是 came   您好",
        "由 by 招呼：只有这条规则匹配",
    ):
        assert words in ended.stdout


def test_as_json(run: Run, folder: Path) -> None:
    ended = run("replies", "test", str(folder / "fails.yaml"), "--account", SLUG, "--json")
    found = json.loads(ended.stdout)
    assert (ended.code, found["passed"], found["failed"]) == (1, False, 1)


def test_the_rules_of_a_file_and_of_a_version(run: Run, folder: Path) -> None:
    fails = ("replies", "test", str(folder / "fails.yaml"), "--account", SLUG)
    assert run(*fails, "--rules", str(folder / "book.yaml")).code == 0
    assert run(*fails, "--version", "0").code == 1
    passes = ("replies", "test", str(folder / "passes.yaml"), "--account", SLUG)
    assert run(*passes, "--version", "1").code == 0


def test_what_changes(run: Run, folder: Path) -> None:
    passes = ("replies", "test", str(folder / "passes.yaml"), "--account", SLUG)
    ended = run(*passes, "--against", str(folder / "book.yaml"))
    assert ended.code == 0
    for words in ("≠ 问好 · 1 say 你好", "- 再见", "+ 您好", "1 处不同 · answers differ"):
        assert words in ended.stdout
    ended = run(*passes, "--against", "0")
    assert "- 抱歉，我还没听懂" in ended.stdout
    assert "（未听懂 missed）" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("passes.yaml", "--account", "nobody"), "nobody"),
        (("missing.yaml", "--account", SLUG), "missing.yaml"),
        (("passes.yaml", "--account", SLUG, "--version", "9"), "9"),
        (("passes.yaml", "--account", SLUG, "--rules", "passes.yaml"), "guanxi: 1"),
        (("book.yaml", "--account", SLUG), "对话"),
    ],
)
def test_mistakes_are_told(
    run: Run, folder: Path, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    ended = run("replies", "test", *arguments)
    assert ended.code == 1
    assert said in ended.stderr


def test_version_and_rules_exclude_each_other(run: Run, folder: Path) -> None:
    files = (str(folder / "passes.yaml"), "--account", SLUG)
    assert run("replies", "test", *files, "--version", "1", "--rules", "x").code == 2


def test_nothing_is_written(run: Run, folder: Path, settings: Settings) -> None:
    """Not even the process's lease of ids."""
    tables.load()
    engine = create_engine(sync_url(settings.database_url))

    def everything() -> list[list[str]]:
        with engine.connect() as connection:
            return [
                sorted(map(str, connection.execute(select(table))))
                for table in Base.metadata.sorted_tables
            ]

    before = everything()
    for more in ((), ("--version", "1"), ("--rules", str(folder / "book.yaml"), "--against", "0")):
        run("replies", "test", str(folder / "passes.yaml"), "--account", SLUG, *more)
    assert everything() == before
    assert any(before)
    engine.dispose()
