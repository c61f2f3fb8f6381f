"""`replies …`, as an operator uses it beside a running server."""

from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run

ACCOUNT = (
    "--slug",
    "cafe",
    "--name",
    "山谷咖啡",
    "--kind",
    "service",
    "--appid",
    "wx1234567890abcdef",
)
KEYS = ("--secret", "s" * 32, "--token", "token1234")
BOOK = """\
guanxi: 1
rules:
  - name: 营业时间
    kind: contains
    words: [几点, 营业]
    answers: [[{do: reply, with: {kind: text, text: 每天 9 点}}]]
bindings:
  - on: follow
    answers: [[{do: reply, with: {kind: text, text: 欢迎}}]]
"""


@pytest.fixture
def file(run: Run, tmp_path: Path) -> Path:
    """An account, and a file for it."""
    assert run("setup", "account", *ACCOUNT, *KEYS).code == 0
    path = tmp_path / "book.yaml"
    path.write_text(BOOK, encoding="utf-8")
    return path


def test_a_file_is_shown_then_applied_and_comes_out_again(
    run: Run, file: Path, tmp_path: Path
) -> None:
    shown = run("replies", "import", str(file), "--account", "cafe")
    assert shown.code == 0
    assert "+ rule     营业时间" in shown.stdout
    assert "新增 added 2 · 修改 changed 0" in shown.stdout
    assert "加 --apply 执行（依据版本 0）" in shown.stdout
    assert run("replies", "history", "--account", "cafe").stdout == ""
    done = run("replies", "import", str(file), "--account", "cafe", "--apply", "--note", "初版")
    assert "现为版本 1" in done.stdout
    out = tmp_path / "out.yaml"
    assert run("replies", "export", "--account", "cafe", "--output", str(out)).code == 0
    exported = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert exported["rules"][0]["words"] == ["几点", "营业"]
    again = run("replies", "import", str(out), "--account", "cafe", "--mode", "replace", "--yes")
    assert "新增 added 0 · 修改 changed 0 · 删除 removed 0 · 不变 unchanged 2" in again.stdout
    assert '"guanxi": 1' in run("replies", "export", "--account", "cafe", "--format", "json").stdout


def test_all_mistakes_are_listed_and_nothing_is_applied(run: Run, file: Path) -> None:
    wrong = BOOK.replace("contains", "fuzzy").replace("on: follow", "on: [follow]")
    file.write_text(wrong + "colour: red\n", encoding="utf-8")
    ended = run("replies", "import", str(file), "--account", "cafe", "--apply")
    assert ended.code == 1
    assert "4: rules[0].kind 只能是" in ended.stderr
    assert "8: bindings[0].on 只能是" in ended.stderr
    assert "10: colour 没有这一项" in ended.stderr
    assert "共 3 处错误，未作任何更改 · 3 mistakes, nothing was changed" in ended.stderr
    assert run("replies", "history", "--account", "cafe").stdout == ""


def test_versions_are_listed_compared_and_rolled_back_to(run: Run, file: Path) -> None:
    run("replies", "import", str(file), "--account", "cafe", "--apply", "--note", "初版")
    file.write_text(BOOK.replace("每天 9 点", "每天 10 点"), encoding="utf-8")
    run("replies", "import", str(file), "--account", "cafe", "--apply")
    listed = run("replies", "history", "--account", "cafe").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["2", "1"]
    assert listed[1].endswith("import  cli  +2 ~0 -0  初版")
    difference = "    answers[0][0].with.text: 每天 9 点 → 每天 10 点"
    assert difference in run("replies", "history", "2", "--account", "cafe").stdout
    assert difference in run("replies", "diff", "1", "2", "--account", "cafe").stdout
    shown = run("replies", "rollback", "1", "--account", "cafe")
    assert "    answers[0][0].with.text: 每天 10 点 → 每天 9 点" in shown.stdout
    assert "未执行" in shown.stdout
    done = run("replies", "rollback", "1", "--account", "cafe", "--apply", "--expect", "2")
    assert "现为版本 3" in done.stdout
    assert run("replies", "diff", "1", "3", "--account", "cafe").stdout.startswith("新增 added 0")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("rollback", "7", "--account", "cafe"), "没有版本 7（当前版本 0）"),
        (("diff", "0", "3", "--account", "cafe"), "There is no version 3 (current version 0)"),
        (("export", "--account", "nobody"), "nobody"),
        (("import", "/nowhere/book.yaml", "--account", "cafe"), "No such file"),
        (("import", "{file}", "--account", "cafe", "--expect", "4"), "当前版本 0"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, file: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    ended = run("replies", *(one.format(file=file) for one in arguments))
    assert ended.code == 1
    assert complaint in ended.stderr


def test_what_staff_wrote_does_not_steer_the_terminal(run: Run, file: Path) -> None:
    file.write_text(BOOK.replace("营业时间", '"a\\e[31mb"'), encoding="utf-8")
    shown = run("replies", "import", str(file), "--account", "cafe")
    assert "+ rule     a�[31mb" in shown.stdout
