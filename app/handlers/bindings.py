"""What is bound to menu keys, codes, follows, reported locations and kinds of message."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.conversation.router import Decide, Router
from app.core.actions import run
from app.core.decisions import KEEP, Decision, Pass, Snapshot
from app.core.incoming import Incoming, Kind
from app.core.rng import pick
from app.engines.replies.compiled import Bound
from app.engines.replies.conditions import Situation
from app.engines.replies.inputs import MESSAGE_TYPES
from app.engines.replies.source import Source
from app.engines.replies.understanding import is_unsupported

_ON = {Kind.MENU: "menu", Kind.SCAN: "scan", Kind.FOLLOW: "follow"}


def places(incoming: Incoming) -> list[tuple[str, str]]:
    """Where an answer to this contact may be bound, the closest first."""
    key = incoming.key
    match incoming.kind:
        case Kind.FOLLOW if key:
            return [("follow", key), ("scan", key), ("follow", "")]
        case Kind.SCAN:
            return [("scan", key), ("scan", ""), ("follow", key), ("follow", "")]
        case Kind.MENU:
            return [("menu", key), ("menu", "")]
        case Kind.FOLLOW:
            return [("follow", "")]
        case Kind.LOCATION:
            return [("location", "")]
        case Kind.TEXT if is_unsupported(incoming):
            return []
        case kind if kind in MESSAGE_TYPES:
            tapped = [("menu", key)] if key else []
            return [*tapped, ("type", kind.value), ("type", "")]
        case _:
            return []


def bound(book: Source) -> Decide:
    """Answers by the closest binding that holds now and for this follower. A new follow ends any
    dialogue of before."""

    def bound(snap: Snapshot) -> Decision | Pass | None:
        compiled = book.current(snap.account.id)
        if not compiled.settings.enabled:
            return Pass({"switched_off": True})
        passed: list[dict[str, str]] = []
        for place in places(snap.incoming):
            found = compiled.bindings.get(place)
            if found is None:
                continue
            lapse = found.condition and found.condition.lapse(Situation.of(snap))
            if lapse:
                passed.append({**_named(found), "why": lapse.value})
                continue
            return _answered(found, snap, {"passed_bindings": passed} if passed else {})
        return Pass({"passed_bindings": passed}) if passed else None

    return bound


def _answered(found: Bound, snap: Snapshot, passed: Mapping[str, Any]) -> Decision:
    why = {**_named(found), **passed}
    decision = run(pick(found.answers, snap.key), snap, why)
    ended = snap.incoming.kind is Kind.FOLLOW and decision.flow is KEEP
    return replace(decision, flow=None) if ended else decision


def _named(found: Bound) -> dict[str, str]:
    return {"binding": str(found.id), "on": found.on, "key": found.key}


def router(answer: Decide) -> Router:
    routes = Router("bindings")
    routes.decide()(answer)
    return routes
