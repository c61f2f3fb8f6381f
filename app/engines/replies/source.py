"""Where routing finds an account's rules: the book that processes follow, or one that stands still."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from app.core.actions import Action, ActionRegistry
from app.core.ids import AccountId
from app.engines.replies.actions import register
from app.engines.replies.book_plan import WrittenBook
from app.engines.replies.bundle import Sort, check_bundle
from app.engines.replies.compiled import (
    EMPTY,
    Compiled,
    Stored,
    StoredBinding,
    StoredFlow,
    StoredRule,
    compile_book,
)
from app.engines.replies.documents import Document, read_document
from app.engines.replies.flows import Flow
from app.engines.replies.mistakes import Mistakes


class Source(Protocol):
    """What handlers ask; answered from memory. `Book` is one."""

    def current(self, account_id: AccountId) -> Compiled:
        """The account's rules as they are now."""
        ...

    def find_flow(self, account_id: AccountId, name: str) -> Flow | None:
        """The flow of that name, or None."""
        ...


class FixedBook:
    """The same rules for whoever asks: for tests of conversations, and for what might become of them.

    `others` are actions beside those of this engine. What cannot be used is named in
    `compiled.broken`.
    """

    def __init__(self, stored: Stored, others: Iterable[type[Action]] = ()) -> None:
        registry = ActionRegistry(others)
        self.compiled = EMPTY
        register(registry, self)
        self.compiled = compile_book(stored, registry)

    def current(self, account_id: AccountId) -> Compiled:
        return self.compiled

    def find_flow(self, account_id: AccountId, name: str) -> Flow | None:
        return self.compiled.flows.get(name)


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


def book_of_file(raw: bytes, kinds: Iterable[Sort]) -> WrittenBook:
    """The book that a file describes, by itself. Raises `Mistakes` with all of them.

    Things without an id in the file count as made in the order they stand there.
    """
    document = read_document(raw)
    if document.mistakes:
        raise Mistakes(document.mistakes)
    return book_of_document(document, kinds)


def book_of_document(document: Document, kinds: Iterable[Sort]) -> WrittenBook:
    """As above, of a document that was read."""
    bundle, mistakes = check_bundle(document, tuple(kinds))
    if mistakes:
        found = document.with_lines(mistakes)
        raise Mistakes(sorted(found, key=lambda mistake: mistake.line or 0))
    things = {
        (entry.what, entry.id or number): entry.written
        for number, entry in enumerate(bundle.entries, 1)
    }
    return WrittenBook(0, bundle.settings or {}, things)
