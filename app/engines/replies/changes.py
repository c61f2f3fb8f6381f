"""What a change of the book is: each thing it touched, before and after. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

Written: TypeAlias = Mapping[str, Any]
"""Everything that staff wrote of a thing, as JSON, and its `version`."""
Key: TypeAlias = tuple[str, int]
"""What it is, and its id."""
Kind: TypeAlias = Literal["added", "changed", "removed"]

SETTINGS: Key = ("settings", 0)
"""The settings of the book, which are one thing and have no version of their own."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of a thing, such as `answers[0][1].with.text`; None for not there."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One thing before and after; one of the two may be None."""

    what: str
    """`rule`, `binding`, `flow` or `settings`."""
    id: int
    """0 for what is to be added and has no id yet, and for settings."""
    name: str
    before: Written | None
    after: Written | None

    @property
    def key(self) -> Key:
        return self.what, self.id

    @property
    def kind(self) -> Kind:
        if (self.before is None) == (self.after is None):
            return "changed"
        return "added" if self.before is None else "removed"

    @property
    def fields(self) -> tuple[Difference, ...]:
        """Field by field; of what is added or removed, every field."""
        return tuple(differences(content(self.before), content(self.after)))

    def turned(self) -> "Change":
        """The way back."""
        return replace(self, before=self.after, after=self.before)

    def as_json(self) -> dict[str, Any]:
        """The form it is kept in."""
        return {
            "what": self.what,
            "id": str(self.id),
            "name": self.name,
            "before": self.before,
            "after": self.after,
        }


def from_json(kept: Mapping[str, Any]) -> Change:
    return Change(kept["what"], int(kept["id"]), kept["name"], kept["before"], kept["after"])


def content(written: Written | None) -> dict[str, Any]:
    """What staff wrote, without the version."""
    return {} if written is None else {k: v for k, v in written.items() if k != "version"}


def same(one: Written | None, other: Written | None) -> bool:
    """Whether both say the same, whatever their versions."""
    return (one is None) == (other is None) and content(one) == content(other)


def counts(changes: Iterable[Change]) -> dict[str, int]:
    """How many were added, changed, removed."""
    found = {"added": 0, "changed": 0, "removed": 0}
    for change in changes:
        found[change.kind] += 1
    return found


def net(changes: Iterable[Change]) -> list[Change]:
    """Several changes, oldest first, as one: each thing once, as it was first and is last.

    What is again as it was before, is left out.
    """
    found: dict[Key, Change] = {}
    for change in changes:
        first = found.get(change.key, change)
        found[change.key] = Change(change.what, change.id, change.name, first.before, change.after)
    return [change for change in found.values() if not same(change.before, change.after)]


def differences(before: Any, after: Any, field: str = "") -> list[Difference]:
    """Where two JSON values differ. Lists of different lengths are shown whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = [*before, *(name for name in after if name not in before)]
        return [
            one
            for name in names
            for one in differences(
                before.get(name), after.get(name), f"{field}.{name}" if field else name
            )
        ]
    if _is_list(before) and _is_list(after) and len(before) == len(after):
        return [
            one
            for place, (left, right) in enumerate(zip(before, after, strict=True))
            for one in differences(left, right, f"{field}[{place}]")
        ]
    return [] if before == after else [Difference(field, before, after)]


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def plain(value: Any) -> Any:
    """A value as JSON gives it back: tuples are lists."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value
