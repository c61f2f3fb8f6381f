"""What would be answered: the real routing over a made-up contact. Nothing is written or sent."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.conversation.compose import apology, merge
from app.conversation.router import Routing
from app.core.blame import PartFailed
from app.core.decisions import (
    AccountView,
    ConversationView,
    Decision,
    Effect,
    FlowState,
    FollowerView,
    Snapshot,
)
from app.core.ids import ConversationId, FollowerId
from app.core.incoming import Incoming
from app.core.replies import Reply

NOBODY = FollowerId(0)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    why: Mapping[str, Any]
    """The handler, and the rule or binding it went by."""
    messages: tuple[Reply, ...]
    """What would be said, as far as it does not depend on an effect's outcome."""
    effects: tuple[Mapping[str, Any], ...]
    """What would be written, by kind."""
    flow: str | None
    """The dialogue the follower would be in afterwards."""
    missed: bool
    apart: str | None
    """The apart handler that would be asked."""


def rehearse(
    routing: Routing,
    account: AccountView,
    incoming: Incoming,
    *,
    key: str,
    now: datetime,
    tags: Collection[str] = (),
) -> Rehearsal:
    """For a follower with these tags and without a dialogue, on their first message with the account.

    `key` stands for the delivery's: of several answers the same one is taken as for that delivery.
    """
    snap = Snapshot(
        account=account,
        key=key,
        incoming=incoming,
        follower=FollowerView(NOBODY, new=False, subscribed=True, tags=frozenset(tags)),
        conversation=ConversationView(ConversationId(0), "bot"),
        flow=None,
        now=now,
    )
    return _of(_decided(routing, snap))


def _decided(routing: Routing, snap: Snapshot) -> Decision:
    """An action of a plugin may fail here as it would in earnest: with an apology."""
    try:
        return routing.decide(snap)
    except PartFailed as error:
        told = {"fault": type(error.error).__name__, "plugin": error.owner}
        return Decision.say(apology(snap.account), **told)


def _of(decision: Decision) -> Rehearsal:
    replies = [step for step in decision.steps if not isinstance(step, Effect)]
    return Rehearsal(
        why=decision.why,
        messages=tuple(merge(replies)),
        effects=tuple(shown_effect(step) for step in decision.steps if isinstance(step, Effect)),
        flow=decision.flow.flow if isinstance(decision.flow, FlowState) else None,
        missed=decision.missed,
        apart=decision.apart,
    )


def shown_effect(effect: Effect) -> Mapping[str, Any]:
    """Its own fields; who and which delivery are made up."""
    fields = {k: v for k, v in asdict(effect).items() if k not in ("follower", "key")}
    return {"kind": effect.kind, **fields}
