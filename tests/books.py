"""Whole books out of what staff write, for what needs no database."""

from collections.abc import Sequence
from typing import Any

from app.engines.replies.book_plan import WrittenBook
from app.engines.replies.compiled import Stored
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.replies.standing import stored_of


def book_of(
    rules: Sequence[RuleInput] = (),
    bindings: Sequence[BindingInput] = (),
    flows: Sequence[FlowInput] = (),
    settings: dict[str, Any] | None = None,
) -> WrittenBook:
    """The ids are in the order given, rules first."""
    listed = [
        *(("rule", one) for one in rules),
        *(("binding", one) for one in bindings),
        *(("flow", one) for one in flows),
    ]
    things = {
        (what, number): {**one.model_dump(mode="json"), "version": 1}
        for number, (what, one) in enumerate(listed, 1)
    }
    return WrittenBook(1, settings or {}, things)


def stored(**parts: Any) -> Stored:
    return stored_of(book_of(**parts))
