"""What an import would do to a book, before anything is done. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from app.engines.replies.book_settings import DEFAULTS
from app.engines.replies.changes import SETTINGS, Change, Key, Written, content, counts
from app.engines.replies.mistakes import Found, Mistake

Mode: TypeAlias = Literal["merge", "replace"]
"""`merge` adds and changes; with `replace`, what is not in the file goes."""


@dataclass(frozen=True, slots=True)
class WrittenBook:
    """All that is written for an account."""

    version: int
    settings: Written
    things: Mapping[Key, Written]
    """Rules, bindings and flows by what they are and their ids; each sort oldest first."""

    def of(self, what: str) -> Iterator[tuple[int, Written]]:
        """Those of one sort, with their ids."""
        return ((key[1], written) for key, written in self.things.items() if key[0] == what)


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes to be made to the book in version `base`, and to no other."""

    base: int
    changes: tuple[Change, ...]
    unchanged: int

    @property
    def counts(self) -> dict[str, int]:
        return {**counts(self.changes), "unchanged": self.unchanged}


@dataclass(frozen=True, slots=True)
class Entry:
    """One checked rule, binding or flow of a file."""

    what: str
    place: str
    """`rules[17]`."""
    id: int | None
    name: str
    written: Written


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked file."""

    settings: Written | None
    """None when the file says nothing of them."""
    entries: tuple[Entry, ...]
    flow_names: frozenset[str]
    """Also of flows that have mistakes: what starts them is not wrong for that."""


def plan_import(book: WrittenBook, bundle: Bundle, mode: Mode, found: Found) -> Plan:
    """The plan. What of the file does not fit this book is added to `found`; then the plan is worth
    nothing."""
    matching = _Matching(book, found)
    for entry in bundle.entries:
        matching.take(entry)
    found.add(*_unknown_flows(book, bundle, mode))
    changes = [*_settings(book, bundle, mode), *matching.changes]
    if mode == "replace":
        changes += matching.rest()
    touched = sum(1 for change in changes if change.kind != "added" and change.key != SETTINGS)
    return Plan(book.version, tuple(changes), len(book.things) - touched)


class _Matching:
    """Finds for each entry of a file the thing it means: a rule by id, else by name; a binding by
    place and key; a flow by name."""

    def __init__(self, book: WrittenBook, found: Found) -> None:
        self._book = book
        self._found = found
        self._by_name: dict[tuple[str, str], list[int]] = {}
        for (what, number), written in book.things.items():
            self._by_name.setdefault((what, _identity(what, written)), []).append(number)
        self._meant: dict[Key, Entry] = {}
        self._named: dict[tuple[str, str], Entry] = {}
        self.changes: list[Change] = []

    def take(self, entry: Entry) -> None:
        number = self._find(entry)
        if number is None:
            return
        if not number:
            after = {**entry.written, "version": 1}
            self.changes.append(Change(entry.what, 0, entry.name, None, after))
            return
        key = (entry.what, number)
        before = self._book.things[key]
        if content(before) != entry.written:
            after = {**entry.written, "version": before["version"] + 1}
            self.changes.append(Change(entry.what, number, entry.name, before, after))

    def rest(self) -> list[Change]:
        """The removal of everything that the file did not mean."""
        return [
            Change(what, number, _identity(what, written), written, None)
            for (what, number), written in self._book.things.items()
            if (what, number) not in self._meant
        ]

    def _find(self, entry: Entry) -> int | None:
        """The id, 0 for a new thing, None for a mistake."""
        name = (entry.what, _identity(entry.what, entry.written))
        by_id = entry.id if (entry.what, entry.id or 0) in self._book.things else None
        other = self._named.setdefault(name, entry)
        if other is not entry and (by_id is None or not self._known(other)):
            self._wrong(
                entry,
                f"the same name or key as {other.place}",
                f"与 {other.place} 重名或重复",
            )
            return None
        found = [by_id] if by_id else self._by_name.get(name, [])
        if len(found) > 1:
            self._wrong(
                entry,
                f"{len(found)} rules have this name; give the id of the one that is meant",
                f"有 {len(found)} 条同名规则，请写明 id",
            )
            return None
        if not found:
            return 0
        meant = self._meant.setdefault((entry.what, found[0]), entry)
        if meant is not entry:
            self._wrong(
                entry, f"means the same rule as {meant.place}", f"与 {meant.place} 指的是同一条规则"
            )
            return None
        return found[0]

    def _known(self, entry: Entry) -> bool:
        return (entry.what, entry.id or 0) in self._book.things

    def _wrong(self, entry: Entry, problem: str, chinese: str) -> None:
        self._found.add(Mistake(entry.place, problem, chinese))


def _identity(what: str, written: Written) -> str:
    if what == "binding":
        return f"{written['on']} {written['key']}".rstrip()
    return str(written["name"])


_DEFAULTS = DEFAULTS.model_dump(mode="json")
"""What is not stored of settings."""


def _settings(book: WrittenBook, bundle: Bundle, mode: Mode) -> Iterable[Change]:
    given = bundle.settings
    if given is None and mode == "merge":
        return
    merged = {**(book.settings if mode == "merge" else {}), **(given or {})}
    wanted = {name: value for name, value in merged.items() if value != _DEFAULTS.get(name)}
    if wanted != book.settings:
        yield Change(*SETTINGS, "settings", book.settings or None, wanted or None)


def _unknown_flows(book: WrittenBook, bundle: Bundle, mode: Mode) -> Iterable[Mistake]:
    known = set(bundle.flow_names)
    if mode == "merge":
        known |= {str(written["name"]) for _, written in book.of("flow")}
    for entry in bundle.entries:
        for place, name in started(entry.written, entry.place):
            if name not in known:
                yield Mistake(
                    place,
                    f"after this import there is no flow named {name}",
                    f"导入后没有名为「{name}」的流程",
                )


def started(written: Any, place: str) -> Iterator[tuple[str, str]]:
    """Each flow that a written thing starts, at whatever depth, with the place of its name."""
    if isinstance(written, Mapping):
        given = written.get("with")
        if written.get("do") == "start_flow" and isinstance(given, Mapping) and "flow" in given:
            yield f"{place}.with.flow", str(given["flow"])
        for name, inner in written.items():
            yield from started(inner, f"{place}.{name}")
    elif isinstance(written, list | tuple):
        for number, inner in enumerate(written):
            yield from started(inner, f"{place}[{number}]")
