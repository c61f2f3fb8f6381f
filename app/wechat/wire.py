"""How the fields of each kind of delivery are read off the wire.

wechatpy's message and event classes say what most fields are called there; what they lack or get
wrong (protocol reference 7.3) is stated in `app.wechat.kinds`. Values are read strictly and at
once: wechatpy's own attributes convert lazily and raise when they are looked at.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import fields as fields_of
from types import NoneType
from typing import Any, get_args, get_type_hints

from app.wechat.messages.base import FollowerMessage, Message, as_list, values_at
from app.wechat.xml import NotUnderstood

_MAX_DIGITS = 20
"""A 64-bit number has at most 20 digits; beyond 4,300 `int` itself raises."""
_ENVELOPE = frozenset(field.name for field in fields_of(Message))

Take = Callable[[Mapping[str, Any]], Any]


class Verbatim(str):
    """The wire name of a text whose outer blanks are kept, because a person typed them."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Many:
    """A repeated element and how each of them becomes a `cls`."""

    cls: type
    paths: tuple[str, ...]
    names: Mapping[str, str]


def many(cls: type, *paths: str, **names: str) -> Many:
    """Each element at any of `paths` as a `cls`, whose fields are called `names` on the wire."""
    return Many(cls, paths, names)


def reader(
    cls: type[Message], library: Any = None, **names: str | Many
) -> Callable[[str, str, int, dict[str, Any]], Message]:
    """A function that makes `cls` of envelope and fields.

    `names` gives the wire name (or dotted path) of a field; the others are called as wechatpy's
    class `library` calls them. Raises `TypeError` for a field that neither knows.
    """
    numbered = issubclass(cls, FollowerMessage)
    own = {field.name for field in fields_of(cls)} - _ENVELOPE
    if numbered:
        own.remove("message_id")
    if surplus := names.keys() - own:
        raise TypeError(f"{cls.__name__} has no {sorted(surplus)}")
    takes = tuple(
        (name, _take(cls, name, hint, _wire_name(cls, name, library, names)))
        for name, hint in get_type_hints(cls).items()
        if name in own
    )

    def read(account: str, sender: str, created_at: int, fields: dict[str, Any]) -> Message:
        values = {name: take(fields) for name, take in takes}
        if numbered:
            values["message_id"] = message_id(fields)
        return cls(account, sender, created_at, fields, **values)

    return read


def message_id(fields: Mapping[str, Any]) -> int:
    """MsgId, 0 when it was left out. Raises `NotUnderstood` when it is no number."""
    text = text_of(fields, "MsgId").strip()
    if not text:
        return 0
    return whole_number(text, _MAX_DIGITS, "msgid-not-number")


def whole_number(text: str, digits: int, reason: str) -> int:
    """Decimal digits as a number; `NotUnderstood(reason)` for anything else or more of them."""
    if not (text.isascii() and text.isdecimal() and len(text) <= digits):
        raise NotUnderstood(reason, text[:40])
    return int(text)


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """A plain text field, `""` when it is absent.

    Raises `NotUnderstood`: `repeated-field`, `nested-field`.
    """
    value = fields.get(name, "")
    if isinstance(value, str):
        return value
    raise NotUnderstood("repeated-field" if isinstance(value, list) else "nested-field", name)


def _wire_name(cls: type, name: str, library: Any, names: Mapping[str, str | Many]) -> str | Many:
    if name in names:
        return names[name]
    known = getattr(library, "_fields", {}).get(name)
    if known is None:
        raise TypeError(f"{cls.__name__}.{name}: what is it called on the wire?")
    wire_name: str = known.name
    return wire_name


def _take(cls: type, name: str, hint: Any, wire: str | Many) -> Take:
    if isinstance(wire, Many):
        return _take_many(wire)
    kinds = set(get_args(hint)) - {NoneType} or {hint}
    if Ellipsis in kinds:
        return lambda fields: tuple(
            _plain(value, wire).strip() for value in values_at(fields, wire)
        )
    text = _take_text(wire)
    if kinds == {str}:
        return text
    if kinds == {int}:
        return lambda fields: _whole(text(fields))
    if kinds == {float}:
        return lambda fields: _decimal(text(fields))
    raise TypeError(f"{cls.__name__}.{name}: no way to read {hint}")


def _take_text(path: str) -> Take:
    if isinstance(path, Verbatim):
        return lambda fields: _unless_blank(text_of(fields, path))
    if "." not in path:
        return lambda fields: text_of(fields, path).strip()

    def take(fields: Mapping[str, Any]) -> str:
        found = values_at(fields, path)
        if len(found) > 1:
            raise NotUnderstood("repeated-field", path)
        return _plain(found[0], path).strip() if found else ""

    return take


def _unless_blank(text: str) -> str:
    return "" if text.isspace() else text


def _plain(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise NotUnderstood("nested-field", path)
    return value


def _take_many(wire: Many) -> Take:
    hints = get_type_hints(wire.cls)
    takes = {name: _take(wire.cls, name, hints[name], path) for name, path in wire.names.items()}

    def take(fields: Mapping[str, Any]) -> tuple[Any, ...]:
        elements = [
            element
            for path in wire.paths
            for found in values_at(fields, path)
            for element in as_list(found)
        ]
        return tuple(
            wire.cls(**{name: take(element) for name, take in takes.items()})
            for element in elements
            if isinstance(element, Mapping)
        )

    return take


def _whole(text: str) -> int | None:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS):
        return None
    return int(text)


def _decimal(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if -1e9 < number < 1e9 else None  # neither nan nor infinity is JSON
