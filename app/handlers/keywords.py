"""Keyword rules."""

from dataclasses import replace
from typing import Any

from app.conversation.filters import OfKind
from app.conversation.router import Decide, Router
from app.core.actions import run
from app.core.decisions import Decision, Pass, Snapshot
from app.core.incoming import Kind
from app.core.rng import pick
from app.engines.replies.conditions import Situation
from app.engines.replies.matcher import PassedOver
from app.engines.replies.source import Source
from app.engines.replies.understanding import is_unsupported


def rule(book: Source) -> Decide:
    """Answers a text by the winning rule. A repeat, or a dry run with its key, takes the same one of
    the rule's answers. Better rules that do not hold now or for this follower are named in `why`."""

    def rule(snap: Snapshot) -> Decision | Pass | None:
        if is_unsupported(snap.incoming):
            return None
        compiled = book.current(snap.account.id)
        if not compiled.settings.enabled:
            return Pass({"switched_off": True})
        hit, passed = compiled.choose(snap.incoming.text, Situation.of(snap))
        if hit is None:
            return Pass({"passed_rules": _named(passed)}) if passed else None
        why: dict[str, Any] = {
            "rule": str(hit.rule_id),
            "name": hit.name,
            "kind": hit.kind.value,
            "word": hit.word,
        }
        if passed:
            why["passed_rules"] = _named(passed)
        answer = pick(compiled.answers[hit.rule_id], snap.key)
        if any(action.hears for action in answer):
            snap = replace(snap, called_by=hit.word)
        return run(answer, snap, why)

    return rule


def _named(passed: tuple[PassedOver, ...]) -> list[dict[str, str]]:
    return [
        {"rule": str(one.hit.rule_id), "name": one.hit.name, "why": one.lapse.value}
        for one in passed
    ]


def router(answer: Decide) -> Router:
    routes = Router("keywords")
    routes.decide(OfKind(Kind.TEXT))(answer)
    return routes
