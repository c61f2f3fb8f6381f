"""A whole book as one file, and a file checked whole. Pure.

guanxi: 1
settings: {…}
rules: [{id?, name, kind, words, …}]
bindings: [{"on", key, …}]
flows: [{name, plan, …}]
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from app.core.errors import Invalid
from app.core.problems import invalid
from app.engines.replies.book_plan import Bundle, Entry, Mode, Plan, WrittenBook, plan_import
from app.engines.replies.book_settings import BookSettings
from app.engines.replies.changes import Written, content
from app.engines.replies.document_places import Format
from app.engines.replies.document_writing import write_document
from app.engines.replies.documents import read_document
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.replies.mistakes import Found, Mistake, Mistakes, of_invalid

FORMAT_VERSION = 1
_MOST_ID = 2**63 - 1
_SECTIONS = ("settings", "rules", "bindings", "flows")
_LEFT_OUT: Mapping[str, Any] = {"priority": 0, "enabled": True, "hours": None, "audience": None}
"""What goes without saying in a file."""


@dataclass(frozen=True, slots=True)
class Sort:
    """How one sort of thing is checked, whole: a pydantic model, then what the shelf finds."""

    what: str
    section: str
    model: type[BaseModel]
    check: Callable[[Any], Written]
    """What is written, in its stored form. Raises `Invalid`."""
    name_of: Callable[[Written], str]


def sorts(
    check: Mapping[str, Callable[[Any], Written]], name_of: Mapping[str, Callable[[Written], str]]
) -> tuple[Sort, ...]:
    """The three sorts over these checks, by `rule`, `binding`, `flow`."""
    models: Mapping[str, tuple[str, type[BaseModel]]] = {
        "flow": ("flows", FlowInput),
        "rule": ("rules", RuleInput),
        "binding": ("bindings", BindingInput),
    }
    return tuple(
        Sort(what, section, model, check[what], name_of[what])
        for what, (section, model) in models.items()
    )


def write_bundle(book: WrittenBook, form: Format) -> str:
    """The book as a file that `read_bundle` takes; imported again it changes nothing."""
    return write_document(exported(book), form)


def exported(book: WrittenBook) -> dict[str, Any]:
    """The book as plain data. Rules bring their ids, since their names may be alike."""
    return {
        "guanxi": FORMAT_VERSION,
        "settings": dict(book.settings),
        "rules": [{"id": str(number), **_brief(one)} for number, one in book.of("rule")],
        "bindings": [_brief(one) for _, one in book.of("binding")],
        "flows": [_brief(one) for _, one in book.of("flow")],
    }


def _brief(written: Written) -> dict[str, Any]:
    found = content(written)
    return {k: v for k, v in found.items() if k not in _LEFT_OUT or v != _LEFT_OUT[k]}


def plan_file(raw: bytes, kinds: Sequence[Sort], book: WrittenBook, mode: Mode) -> Plan:
    """What this file would do to this book. Raises `Mistakes` with every one there is.

    Takes seconds for a big file: run it in a thread.
    """
    document = read_document(raw)
    found = document.mistakes
    if not document.whole:
        raise Mistakes(found)
    bundle = check_bundle(document.value, kinds, found)
    plan = plan_import(book, bundle, mode, found)
    if found:
        document.with_lines(found)
        raise Mistakes(found)
    return plan


def check_bundle(whole: object, kinds: Sequence[Sort], found: Found) -> Bundle:
    """What of the file is right; all that is wrong with the rest is added to `found`."""
    if not isinstance(whole, dict):
        found.add(_NO_BUNDLE)
        return Bundle(None, (), frozenset())
    found.add(*_head(whole))
    settings = _settings(whole.get("settings"), found)
    entries: list[Entry] = []
    for kind in kinds:
        for place, written in _section(whole, kind.section, found):
            entry = _entry(kind, place, written, found)
            if entry is not None:
                entries.append(entry)
    return Bundle(settings, tuple(entries), _flow_names(whole))


_NO_BUNDLE = Mistake(
    "", "a file begins with guanxi: 1, rules: …", "文件应以 guanxi: 1、rules: 等开头"
)


def _head(whole: Mapping[str, Any]) -> Iterator[Mistake]:
    if whole.get("guanxi") != FORMAT_VERSION or isinstance(whole.get("guanxi"), bool):
        yield Mistake("guanxi", f"must be {FORMAT_VERSION}", f"须为 {FORMAT_VERSION}")
    for name in whole:
        if name != "guanxi" and name not in _SECTIONS:
            known = ", ".join(_SECTIONS)
            yield Mistake(name, f"unknown; there are {known}", f"没有这一项；可用：{known}")


def _settings(given: object, found: Found) -> Written | None:
    """Those that are given, also where they say what goes without saying; None where the file has
    none, or wrong ones."""
    if given is None:
        return None
    try:
        return BookSettings.model_validate(given).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        found.add(*of_invalid(invalid(error), "settings"))
        return None


def _section(
    whole: Mapping[str, Any], name: str, found: Found
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The written entries with their places."""
    given = whole.get(name)
    if given is None:
        return
    if not isinstance(given, list):
        found.add(Mistake(name, "must be a list", "须为列表"))
        return
    for number, one in enumerate(given):
        place = f"{name}[{number}]"
        if isinstance(one, dict):
            yield place, one
        else:
            found.add(Mistake(place, "must be a mapping", "须为键值对"))


def _entry(kind: Sort, place: str, written: Mapping[str, Any], found: Found) -> Entry | None:
    number: int | None = None
    if kind.what == "rule" and "id" in written:
        written = {**written}
        number = _id(written.pop("id"))
        if number is None:
            found.add(Mistake(f"{place}.id", "must be a rule's id", "须为规则的 id"))
    try:
        checked = kind.check(kind.model.model_validate(written))
    except ValidationError as error:
        found.add(*of_invalid(_every(kind, written, error), place))
        return None
    except Invalid as error:
        found.add(*of_invalid(error, place))
        return None
    return Entry(kind.what, place, number, kind.name_of(checked), checked)


def _every(kind: Sort, written: Mapping[str, Any], error: ValidationError) -> Invalid:
    """Also what the shelf would find, had the model found nothing: wrong answers beside a wrong
    name are told at once."""
    found = invalid(error)
    wrong = {str(one["loc"][0]) for one in error.errors(include_url=False) if one["loc"]}
    stand_in = _STAND_IN[kind.what]
    patched = {k: v for k, v in written.items() if k not in wrong and k in kind.model.model_fields}
    try:
        kind.check(kind.model.model_validate({**stand_in, **patched}))
    except ValidationError:
        return found
    except Invalid as more:
        return Invalid(found.chinese, [*found.every[1:], more], **found.details)
    return found


_ANSWERS = [[{"do": "reply", "with": {"kind": "text", "text": "…"}}]]
_STAND_IN: Mapping[str, Mapping[str, Any]] = {
    "rule": {"name": "…x", "kind": "exact", "words": ["x"], "answers": _ANSWERS},
    "binding": {"on": "menu", "answers": _ANSWERS},
    "flow": {"name": "x", "plan": {"steps": [{"ask": "…", "save_as": "x"}]}},
}
"""In the place of what is wrong, so that the rest can be looked at."""


def _id(given: object) -> int | None:
    if isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) < 20:
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < given <= _MOST_ID:
        return None
    return given


def _flow_names(whole: Mapping[str, Any]) -> frozenset[str]:
    flows = whole.get("flows")
    if not isinstance(flows, list):
        return frozenset()
    return frozenset(
        str(flow["name"]).strip() for flow in flows if isinstance(flow, dict) and "name" in flow
    )
