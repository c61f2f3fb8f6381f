"""A book as it was, ready to answer from memory."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, TypeVar

from app.engines.replies.book_plan import WrittenBook
from app.engines.replies.compiled import Stored, StoredBinding, StoredFlow, StoredRule

T = TypeVar("T", StoredRule, StoredBinding, StoredFlow)


def stored_of(book: WrittenBook) -> Stored:
    """What `compile_book` takes: what was enabled, oldest first."""
    return Stored(
        version=book.version,
        rules=list(_enabled(StoredRule, book, "rule")),
        bindings=list(_enabled(StoredBinding, book, "binding")),
        flows=list(_enabled(StoredFlow, book, "flow")),
        settings=book.settings or None,
    )


def _enabled(kind: type[T], book: WrittenBook, what: str) -> Iterator[T]:
    names = [field.name for field in fields(kind) if field.name != "id"]
    for number, written in book.of(what):
        if written["enabled"]:
            given: dict[str, Any] = {name: written.get(name) for name in names}
            yield kind(id=number, **given)
