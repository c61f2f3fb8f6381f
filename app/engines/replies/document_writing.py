"""Plain data as a file that `read_document` reads to the same value: JSON, or YAML as people write it.
Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from app.engines.replies.document_places import Format

_BARE = re.compile(
    r"[A-Za-z_\u4e00-\u9fff\u3400-\u4dbf]"
    r"(?:[A-Za-z0-9_\u4e00-\u9fff\u3400-\u4dbf（）。，！？、：；“”《》·…/+-]"
    r"|\ (?=[A-Za-z0-9_\u4e00-\u9fff]))*",
    re.VERBOSE,
)
"""Text that no reader of YAML takes for anything else, unless it is among `_TAKEN`."""
_TAKEN = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")
_INLINE = 90


def write_document(value: Mapping[str, Any], form: Format) -> str:
    """The value as a file that `read_document` reads to the same value."""
    if form == "json":
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n"
    return "".join(_block(value, ""))


def _block(value: Any, indent: str) -> Iterator[str]:
    """The lines of a mapping or list that is not empty."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _member(f"{indent}{_text(name)}:", inner, indent)
    else:
        for inner in value:
            yield from _item(inner, indent)


def _member(head: str, value: Any, indent: str) -> Iterator[str]:
    inline = _inline(value)
    if inline is not None:
        yield f"{head} {inline}\n"
    elif isinstance(value, str):
        yield f"{head} |-\n"
        yield from _lines(value, indent + "  ")
    else:
        yield f"{head}\n"
        yield from _block(value, indent + "  ")


def _item(value: Any, indent: str) -> Iterator[str]:
    inline = _inline(value)
    if inline is not None:
        yield f"{indent}- {inline}\n"
    elif isinstance(value, str):
        yield f"{indent}- |-\n"
        yield from _lines(value, indent + "  ")
    else:
        lines = _block(value, indent + "  ")
        yield f"{indent}- {next(lines).removeprefix(indent + '  ')}"
        yield from lines


def _inline(value: Any) -> str | None:
    """On one line, if it fits there."""
    if isinstance(value, str):
        return None if _is_block(value) else _text(value)
    if isinstance(value, Mapping):
        return None if value else "{}"
    if isinstance(value, list | tuple):
        if any(isinstance(inner, Mapping | list | tuple) for inner in value):
            return None
        line = "[" + ", ".join(map(_scalar, value)) + "]"
        return line if len(line) <= _INLINE or not value else None
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _number(value)


def _number(value: float) -> str:
    """Decimals with a point and a signed power, which every reader knows for a number."""
    if isinstance(value, int):
        return str(value)
    text = repr(value)
    if "e" in text:
        digits, _, power = text.partition("e")
        sign = "" if power[0] in "+-" else "+"
        return f"{digits if '.' in digits else digits + '.0'}e{sign}{power}"
    return text


def _text(value: str) -> str:
    if _BARE.fullmatch(value) and value.casefold() not in _TAKEN:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _is_block(value: str) -> bool:
    """Whether it reads best, and safely, as lines of their own."""
    if "\n" not in value or _ESCAPED.search(value) or _CONTROL.search(value):
        return False
    lines = value.split("\n")
    return bool(lines[0] and lines[-1]) and all(line == line.strip() for line in lines)


def _lines(value: str, indent: str) -> Iterator[str]:
    for line in value.split("\n"):
        yield f"{indent}{line}\n" if line else "\n"
