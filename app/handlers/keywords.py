"""Keyword rules."""

from dataclasses import replace

from app.conversation.filters import OfKind
from app.conversation.router import Decide, Router
from app.core.actions import run
from app.core.decisions import Decision, Snapshot
from app.core.incoming import Kind
from app.core.rng import pick
from app.engines.replies.book import Book
from app.engines.replies.understanding import is_unsupported


def rule(book: Book) -> Decide:
    """Answers a text by the winning rule. A repeat, or a dry run with its key, takes the same one of
    the rule's answers."""

    def rule(snap: Snapshot) -> Decision | None:
        if is_unsupported(snap.incoming):
            return None
        compiled = book.current(snap.account.id)
        hit = compiled.matcher.find(snap.incoming.text)
        if hit is None:
            return None
        answer = pick(compiled.answers[hit.rule_id], snap.key)
        if any(action.hears for action in answer):
            snap = replace(snap, called_by=hit.word)
        why = {"rule": str(hit.rule_id), "name": hit.name, "kind": hit.kind.value, "word": hit.word}
        return run(answer, snap, why)

    return rule


def router(answer: Decide) -> Router:
    routes = Router("keywords")
    routes.decide(OfKind(Kind.TEXT))(answer)
    return routes
