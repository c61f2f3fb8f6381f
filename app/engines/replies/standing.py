"""A written book, of a version or out of a file, as what answers. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

from app.engines.replies.book_plan import Entry, WrittenBook
from app.engines.replies.bundle import Sort, check_bundle
from app.engines.replies.changes import Key, Written
from app.engines.replies.compiled import Stored, StoredBinding, StoredFlow, StoredRule
from app.engines.replies.documents import read_document
from app.engines.replies.mistakes import Found, Mistake, Mistakes


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


def book_of_file(raw: bytes, kinds: Sequence[Sort]) -> WrittenBook:
    """The book that a file describes, by itself. Raises `Mistakes` with all of them."""
    document = read_document(raw)
    found = document.mistakes
    if not document.whole:
        raise Mistakes(found)
    book = book_of(document.value, kinds, found)
    if found:
        document.with_lines(found)
        raise Mistakes(found)
    return book


def book_of(whole: object, kinds: Sequence[Sort], found: Found) -> WrittenBook:
    """As above, of plain data; what is wrong with it is added to `found`.

    Things without an id count as made after the others, in the order they stand there, as an import
    makes them.
    """
    bundle = check_bundle(whole, kinds, found)
    newest = max((entry.id or 0 for entry in bundle.entries), default=0)
    things: dict[Key, Written] = {}
    meant: dict[tuple[str, object], Entry] = {}
    for number, entry in enumerate(bundle.entries, 1):
        things[entry.what, entry.id or newest + number] = entry.written
        one = entry.id or number if entry.what == "rule" else entry.name
        first = meant.setdefault((entry.what, one), entry)
        if first is not entry:
            found.add(_alike(entry, first))
    return WrittenBook(0, bundle.settings or {}, things)


def _alike(entry: Entry, first: Entry) -> Mistake:
    return Mistake(entry.place, f"the same as {first.place}", f"与 {first.place} 重复")
