"""What the documents say of rules, bindings and flows is what the program takes."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from app.conversation.script import DOINGS, KINDS, Expectation, read_script
from app.core.actions import ActionRegistry
from app.core.clock import FakeClock
from app.core.ids import AccountId, Ids
from app.core.text import without_marks
from app.db.audit import Audit
from app.db.events import Events
from app.engines.replies.actions import ReplyAction, register
from app.engines.replies.book_plan import WrittenBook
from app.engines.replies.book_settings import BookSettings
from app.engines.replies.bundle import plan_file, sorts
from app.engines.replies.compiled import parse_answers
from app.engines.replies.conditions import Audience, Hours
from app.engines.replies.conflicts import FindingKind
from app.engines.replies.documents import MOST_BYTES, MOST_DEPTH
from app.engines.replies.flows import prepare
from app.engines.replies.inputs import MESSAGE_TYPES, BindingPlace, FlowInput, RuleInput
from app.engines.replies.matcher import RuleKind
from app.engines.replies.mistakes import SHOWN
from app.engines.replies.plan_checks import checked
from app.engines.replies.plans import Expect, Question
from app.engines.replies.service import Replies
from app.engines.staff.permissions import ROLE_RIGHTS
from app.engines.support import actions as support
from app.web.api.why import DryRun
from app.web.middleware import IMPORT_BODY_BYTES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "replies.md").read_text()


class AnyFlow:
    def find_flow(self, account_id: AccountId, name: str, version: int = 0) -> None:
        return None


@pytest.fixture(scope="module")
def registry() -> ActionRegistry:
    made = ActionRegistry()
    register(made, AnyFlow())
    support.register(made)
    return made


def _examples() -> list[dict[str, Any]]:
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


def _column(header: str) -> set[str]:
    """The names in the first column of the table that begins so."""
    table = re.search(rf"^\| {header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert table, header
    return {
        name for row in table[1].splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }


def test_the_examples_are_taken(registry: ActionRegistry) -> None:
    rule, flow, branching = _examples()
    parse_answers(RuleInput.model_validate(rule).answers, registry)
    given = FlowInput.model_validate(flow)
    plan = checked({"name": given.name, **given.plan})
    steps = prepare(plan, registry).plan.steps
    assert [step.save_as for step in steps if isinstance(step, Question)] == ["size", "day"]
    given = FlowInput.model_validate(branching)
    prepare(checked({"name": given.name, **given.plan}), registry)


def test_the_tables_name_everything_there_is(registry: ActionRegistry) -> None:
    assert _column("do") == set(registry.names)
    kinds = [get_args(each.__annotations__["kind"]) for each in ReplyAction.__subclasses__()]
    assert _column("kind of reply") == {kind for (kind,) in kinds}
    assert _column("kind") == set(RuleKind)
    assert _column("on") == set(get_args(BindingPlace))
    assert _column("expect") == set(get_args(Expect))
    assert _column("finding") == set(FindingKind)
    assert _column("setting") == set(BookSettings.model_fields)
    assert [kind for kind in MESSAGE_TYPES if f"`{kind}`" not in TEXT] == []


def test_the_conditions_are_taken() -> None:
    (block,) = re.findall(r"```jsonc\n(.*?)```", TEXT, re.DOTALL)
    written = json.loads(block)
    assert Hours.model_validate(written["hours"]).daily[1] == ("22:00", "02:00")
    assert Audience.model_validate(written["audience"]).written() == written["audience"]


def test_all_punctuation_that_is_named_is_taken_away() -> None:
    (named,) = re.findall(r"goes at both ends: `(.*?)`", TEXT)
    assert len(named.split()) > 10
    assert {without_marks(f"甲{mark}乙") for mark in named.split()} == {"甲 乙"}


def test_who_may_write() -> None:
    said = re.search(r"Roles (.*?) write; (.*?) read", TEXT, re.DOTALL)
    assert said
    writers, readers = (set(re.findall(r"`([\w-]+)`", part)) for part in said.groups())
    rights = {role.value: rights for role, rights in ROLE_RIGHTS.items()}
    assert writers == {role for role, may in rights.items() if "replies.write" in may}
    assert writers | readers == {role for role, may in rights.items() if "replies.read" in may}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_s_calls_are_taken(name: str, registry: ActionRegistry) -> None:
    rule, dry_run = re.findall(r"-d '(.*?)'$", (ROOT / name).read_text(), re.DOTALL | re.MULTILINE)
    parse_answers(RuleInput.model_validate_json(rule).answers, registry)
    assert DryRun.model_validate_json(dry_run).text


def test_the_sample_conversations_are_taken() -> None:
    (block,) = re.findall(r"```yaml\n(- name.*?)```", TEXT, re.DOTALL)
    (conversation,) = read_script(block.encode()).conversations
    assert len(conversation.steps) == 4


def test_every_step_and_every_expectation_is_told() -> None:
    assert _column("step") == set(DOINGS)
    assert _column("to expect") == set(Expectation.model_fields)
    assert [kind for kind in KINDS if f"`{kind}`" not in TEXT] == []


def test_the_file_is_taken(registry: ActionRegistry) -> None:
    (block,) = re.findall(r"```yaml\n(guanxi: 1\n.*?)```", TEXT, re.DOTALL)
    clock = FakeClock()
    ids = Ids(clock, 1)
    shelves = Replies(ids, clock, registry, Events(clock), Audit(ids, clock)).shelves
    kinds = sorts({s.word: s.checked for s in shelves}, {s.word: s.name_of for s in shelves})
    plan = plan_file(block.encode(), kinds, WrittenBook(0, {}, {}), "merge")
    assert [(one.kind, one.what) for one in plan.changes] == [
        ("added", "settings"),
        ("added", "flow"),
        ("added", "rule"),
        ("added", "binding"),
    ]


def test_the_limits_of_a_file_are_those_that_hold() -> None:
    assert f"at most {MOST_BYTES // 2**20} MiB" in TEXT
    assert f"more than {MOST_DEPTH} levels" in TEXT
    assert f"at most {SHOWN:,} of them" in TEXT
    assert IMPORT_BODY_BYTES == MOST_BYTES
