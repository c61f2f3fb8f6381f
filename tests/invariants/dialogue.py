"""Every other follower of the kill test is in a dialogue, and what must have become of it."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection, select

from app.conversation.models import FlowStateRow
from app.core.actions import Action
from app.core.decisions import Decision, Snapshot
from app.core.ids import AccountId
from app.core.replies import TextReply
from app.core.rng import secret_token
from app.db.audit import CLI
from app.engines.followers.models import FollowerTag, Tag
from app.engines.replies.inputs import FlowInput, RuleInput
from app.engines.support.models import Message
from app.runtime import Runtime
from tests.invariants.effects import COUNTER, TAG, CountUp, TagKey

FLOW = "登记"
QUESTIONS = ("a", "b", "c")
_FINISHED = "填完"
_DONE = "done:"
_PLACES = {"a": 0, "b": 2, "c": 4}


class Accepted(Action):
    """Done once for each answer that the dialogue took."""

    name: ClassVar[str] = "probe_accepted"

    def decide(self, snap: Snapshot) -> Decision:
        follower = snap.follower.id
        unique = TextReply(f"no. {secret_token(12)}")
        return Decision(steps=(CountUp(follower), unique, TagKey(follower, snap.key)))

    def preview(self) -> str:
        return "数一次"


class Finished(Action):
    """Done once at each end of the dialogue."""

    name: ClassVar[str] = "probe_finished"

    def decide(self, snap: Snapshot) -> Decision:
        return Decision(steps=(TagKey(snap.follower.id, _DONE + snap.key),))

    def preview(self) -> str:
        return "填完一次"


def _steps() -> list[dict[str, Any]]:
    asked = [{"ask": f"{name}？", "save_as": name} for name in QUESTIONS]
    return [step for question in asked for step in (question, {"do": [{"do": Accepted.name}]})]


async def write_flow(runtime: Runtime, account: AccountId) -> None:
    """Three questions, and then from the beginning; a text with an `f` begins it."""
    finish = [
        {"do": Finished.name},
        {"do": "tag", "with": {"names": [_FINISHED]}},
        {"do": "start_flow", "with": {"flow": FLOW}},
    ]
    plan = {"steps": _steps(), "finish": finish, "expires_seconds": 86_400}
    start = {"do": "start_flow", "with": {"flow": FLOW}}
    rule = RuleInput.model_validate(
        {"name": "登记", "kind": "contains", "words": ["f"], "answers": [[start]]}
    )
    await runtime.database.transaction(
        lambda tx: runtime.replies.import_many(
            tx, CLI, account, rules=[rule], flows=[FlowInput(name=FLOW, plan=plan)]
        )
    )


def in_dialogue(follower: int) -> bool:
    """Whether the follower of this number talks to the dialogue."""
    return follower % 2 == 1


@dataclass(frozen=True)
class _Said:
    key: str
    text: str
    why: Mapping[str, Any]


def verdict(db: Connection) -> list[str]:
    """Where the dialogues are not what the stored messages, in their order, make of them."""
    said: dict[int, list[_Said]] = defaultdict(list)
    for row in db.execute(
        select(Message.follower_id, Message.receipt_key, Message.text, Message.trace)
        .where(Message.receipt_key.is_not(None), Message.text.like("f%"))
        .order_by(Message.follower_id, Message.seq)
    ):
        why: Any = row.trace
        said[row.follower_id].append(_Said(row.receipt_key, row.text, why))
    counted = dict(db.execute(select(COUNTER.c.follower_id, COUNTER.c.n)).all())
    tagged = Counter(db.scalars(select(TAG.c.key)))
    states = {row.follower_id: row for row in db.execute(select(FlowStateRow.__table__))}
    finished = db.execute(
        select(FollowerTag.follower_id, FollowerTag.source_key)
        .join(Tag, Tag.id == FollowerTag.tag_id)
        .where(Tag.name == _FINISHED)
    ).all()
    tags = {row.follower_id: row.source_key for row in finished}
    broken: list[str] = []
    for follower, messages in said.items():
        broken += _one(follower, messages, counted.get(follower, 0), tagged)
        broken += _state(follower, messages, states.get(follower))
        ends = [one.key for n, one in enumerate(messages) if n and n % 3 == 0]
        if tags.get(follower) != (ends[0] if ends else None):
            broken.append(f"follower {follower}: tagged by {tags.get(follower)}")
    if len(finished) != len(tags):
        broken.append("somebody has the tag twice")
    if not any(len(messages) > 3 for messages in said.values()):
        broken.append("no dialogue came to its end")
    return broken


def _one(
    follower: int, messages: list[_Said], counted: int, tagged: Mapping[str, int]
) -> list[str]:
    """Each message advanced the dialogue once, and did its effects once."""
    broken = []
    if counted != len(messages) - 1:
        broken.append(f"follower {follower}: {len(messages) - 1} answers, counted {counted}")
    for number, one in enumerate(messages):
        step = QUESTIONS[(number - 1) % 3] if number else "a"
        outcome = "begun" if not number else "finished" if step == "c" else "saved"
        found = (one.why.get("step"), one.why.get("outcome"))
        if found != (step, outcome):
            broken.append(f"{one.key}: {found} instead of {(step, outcome)}")
        if tagged.get(one.key, 0) != (number > 0):
            broken.append(f"{one.key}: tagged {tagged.get(one.key, 0)} times")
        if tagged.get(_DONE + one.key, 0) != (outcome == "finished"):
            broken.append(f"{one.key}: finished {tagged.get(_DONE + one.key, 0)} times")
    return broken


def _state(follower: int, messages: list[_Said], state: Any) -> list[str]:
    """Where the dialogue stands, and the answers since its beginning."""
    since = (len(messages) - 1) % 3
    answers = dict(
        zip(QUESTIONS, (m.text for m in messages[len(messages) - since :]), strict=False)
    )
    wanted = (_PLACES[QUESTIONS[since]], answers)
    found = None if state is None else (state.step, state.answers)
    return [] if found == wanted else [f"follower {follower}: stands at {found}, not {wanted}"]
