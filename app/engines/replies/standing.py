"""A written book, of a version or out of a file, as what answers. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

from app.engines.replies.book_plan import WrittenBook
from app.engines.replies.bundle import Sort, check_bundle
from app.engines.replies.compiled import Stored, StoredBinding, StoredFlow, StoredRule
from app.engines.replies.documents import Document
from app.engines.replies.mistakes import Mistakes


def stored_of(book: WrittenBook) -> Stored:
    """What of a written book answers: everything that is enabled, oldest first."""

    def of(what: str, made: Callable[[int, Any], Any]) -> list[Any]:
        found = [(number, one) for number, one in book.of(what) if one.get("enabled", True)]
        return [made(number, one) for number, one in sorted(found, key=lambda each: each[0])]

    return Stored(
        version=book.version,
        rules=of("rule", _rule),
        bindings=of("binding", _binding),
        flows=of("flow", _flow),
        settings=dict(book.settings),
    )


def _rule(number: int, one: Any) -> StoredRule:
    return StoredRule(
        id=number,
        version=one.get("version", 1),
        name=one["name"],
        kind=one["kind"],
        words=one["words"],
        priority=one.get("priority", 0),
        answers=one["answers"],
        hours=one.get("hours"),
        audience=one.get("audience"),
    )


def _binding(number: int, one: Any) -> StoredBinding:
    return StoredBinding(
        id=number,
        version=one.get("version", 1),
        on=one["on"],
        key=one.get("key", ""),
        answers=one["answers"],
        hours=one.get("hours"),
        audience=one.get("audience"),
    )


def _flow(number: int, one: Any) -> StoredFlow:
    return StoredFlow(number, one.get("version", 1), one["name"], one["plan"])


def book_of_document(document: Document, kinds: Iterable[Sort]) -> WrittenBook:
    """The book that a file describes, by itself. Raises `Mistakes` with all of them.

    Things without an id in the file count as made in the order they stand there.
    """
    if document.mistakes:
        raise Mistakes(document.mistakes)
    bundle, mistakes = check_bundle(document, tuple(kinds))
    if mistakes:
        found = document.with_lines(mistakes)
        raise Mistakes(sorted(found, key=lambda mistake: mistake.line or 0))
    things = {
        (entry.what, entry.id or number): entry.written
        for number, entry in enumerate(bundle.entries, 1)
    }
    return WrittenBook(0, bundle.settings or {}, things)
