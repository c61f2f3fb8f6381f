"""A file as plain data: JSON, or the part of YAML that has no surprises. Pure.

What is taken of YAML is what JSON can say, in YAML's clothes: mappings, lists, and scalars of which
only `null`, `true`, `false`, whole numbers and decimals are no text. So `no`, `on`, `09:00`,
`2026-10-01` and `007` stay what was typed. Anchors, aliases, tags, a key given twice and a second
document are mistakes, with which a file is refused; so neither its size nor its depth can grow by
reading.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import yaml

from app.engines.replies.document_places import (
    LOADER,
    Format,
    Frame,
    Place,
    line_of,
    lines_of,
    path_of,
    place_of,
)
from app.engines.replies.mistakes import Found, Mistake

MOST_BYTES = 8 * 1024 * 1024
MOST_DEPTH = 40
MOST_KEYS = 1000
"""Of one mapping. None of ours has more than a few dozen, and each unknown one is a mistake."""

_WORDS: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+][0-9]+)?")
_MOST_NUMBER = 2**63 - 1


@dataclass
class Document:
    """What was read. With mistakes the value may lack parts."""

    format: Format
    value: Any = None
    mistakes: Found = field(default_factory=Found)
    text: str = ""
    whole: bool = True
    """Read to its end; else what is missing from the value says nothing."""

    def with_lines(self, found: Found) -> None:
        """Gives the mistakes their lines, where the file is YAML, and their order in it."""
        if self.format != "yaml" or not found:
            return
        lines = lines_of(self.text, {one.place for one in found.kept if one.line is None})
        found.kept = sorted(
            (replace(one, line=one.line or lines.get(one.place)) for one in found.kept),
            key=lambda one: one.line or 0,
        )


def read_document(raw: bytes) -> Document:
    """JSON when the first character is `{`, else YAML; in UTF-8, with or without its mark."""
    if len(raw) > MOST_BYTES:
        return _refused("yaml", f"more than {MOST_BYTES} bytes", f"超过 {MOST_BYTES} 字节")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
        return _refused("yaml", f"not UTF-8 at byte {at}", f"第 {at} 字节处不是 UTF-8")
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        return _refused("yaml", "holds U+0000", "含有字符 U+0000", line)
    return _read_json(text) if text.lstrip()[:1] == "{" else _Yaml(text).read()


def _refused(form: Format, problem: str, chinese: str, line: int | None = None) -> Document:
    return Document(form, mistakes=Found([_of_all(problem, chinese, line)]), whole=False)


def _of_all(problem: str, chinese: str, line: int | None = None) -> Mistake:
    return Mistake("", problem, chinese, line)


# --- JSON -----------------------------------------------------------------------------------------


class _Twice(dict[str, Any]):
    """An object in which keys stood more than once."""

    keys_twice: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    twice = _Twice(made)
    times = Counter(name for name, _ in pairs)
    twice.keys_twice = tuple(name for name in made if times[name] > 1)
    return twice


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _read_json(text: str) -> Document:
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        return _refused("json", f"no JSON: {error.msg}", f"不是 JSON：{error.msg}", error.lineno)
    except RecursionError:
        return Document("json", mistakes=Found([_too_deep("", None)]), whole=False)
    except ValueError as error:
        return _refused("json", str(error), str(error))
    document = Document("json", value)
    for mistake, whole in _examined(value):
        document.mistakes.add(mistake)
        document.whole &= whole
    return document


def _examined(value: Any) -> Iterator[tuple[Mistake, bool]]:
    """What JSON allows and we do not, and whether the rest may be looked at all the same. By a stack
    of its own: depth is among the mistakes."""
    waiting: list[tuple[Any, Place]] = [(value, ())]
    while waiting:
        one, place = waiting.pop()
        if len(place) > MOST_DEPTH:
            yield _too_deep(place_of(place), None), False
        elif isinstance(one, dict) and len(one) > MOST_KEYS:
            yield _crowded(place_of(place), None), False
        elif isinstance(one, dict):
            if isinstance(one, _Twice):
                for name in one.keys_twice:
                    yield _twice(place_of((*place, name)), None), True
            waiting += [(inner, (*place, name)) for name, inner in reversed(one.items())]
        elif isinstance(one, list):
            waiting += [(one[n], (*place, n)) for n in range(len(one) - 1, -1, -1)]
        elif _too_large(one):
            yield Mistake(place_of(place), "too large a number", "数字过大"), True


def _too_large(value: object) -> bool:
    """Larger than a database keeps: a whole number of more than 64 bits, or `1e999`."""
    if isinstance(value, float):
        return not isfinite(value)
    return isinstance(value, int) and abs(value) > _MOST_NUMBER


def _too_deep(place: str, line: int | None) -> Mistake:
    return Mistake(place, f"nested deeper than {MOST_DEPTH}", f"嵌套超过 {MOST_DEPTH} 层", line)


def _crowded(place: str, line: int | None) -> Mistake:
    return Mistake(place, f"more than {MOST_KEYS} keys", f"超过 {MOST_KEYS} 个键", line)


def _twice(place: str, line: int | None) -> Mistake:
    return Mistake(place, "the key stands here twice", "键重复出现", line)


# --- YAML: reading --------------------------------------------------------------------------------


class _Yaml:
    """Builds plain data from the parser's events."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._stack: list[Frame] = []
        self._found = Document("yaml", text=text)
        self._documents = 0
        self._line = 1

    def read(self) -> Document:
        try:
            for event in yaml.parse(self._text, Loader=LOADER):
                self._line = line_of(event)
                take = _TAKE.get(type(event))
                if take is not None:
                    take(self, event)
                if len(self._stack) > MOST_DEPTH:
                    self._wrong(_too_deep(self._place(), self._line))
                    self._found.whole = False
                if not self._found.whole:
                    break
        except yaml.YAMLError as error:
            self._wrong(_no_yaml(error))
            self._found.whole = False
        return self._found

    def _begin_document(self, _: Any) -> None:
        self._documents += 1
        if self._documents == 2:  # once is enough
            self._wrong(_of_all("a second document", "只能有一个文档", self._line))

    def _scalar(self, event: Any) -> None:
        self._plain(event)
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.made, dict) and frame.key is None:
            self._take_key(frame, event.value)
        else:
            self._put(resolved(event.value) if event.implicit[0] else event.value)

    def _take_key(self, frame: Frame, key: str) -> None:
        if len(frame.made) == MOST_KEYS:
            self._wrong(_crowded(self._place(), self._line))
            self._found.whole = False
        frame.key = key
        if key in frame.made:
            self._wrong(_twice(self._place(), self._line))

    def _list(self, event: Any) -> None:
        self._plain(event)
        self._open([])

    def _mapping(self, event: Any) -> None:
        self._plain(event)
        self._open({})

    def _open(self, made: dict[str, Any] | list[Any]) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.made, dict) and frame.key is None:
            self._wrong(Mistake(self._place(), "a key must be text", "键须为文字", self._line))
            frame.key = ""
        self._put(made, keep=True)
        self._stack.append(Frame(made))

    def _close(self, _: Any) -> None:
        self._stack.pop()
        self._done()

    def _alias(self, event: Any) -> None:
        self._wrong(Mistake(self._place(), "aliases are not taken", "不支持别名（*）", self._line))
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.made, dict) and frame.key is None:
            frame.key = ""
        else:
            self._put(None)

    def _plain(self, event: Any) -> None:
        if event.anchor is not None:
            wrong = Mistake(self._place(), "anchors are not taken", "不支持锚点（&）", self._line)
            self._wrong(wrong)
        if event.tag is not None:
            wrong = Mistake(self._place(), "tags are not taken", "不支持标签（!）", self._line)
            self._wrong(wrong)

    def _put(self, value: Any, *, keep: bool = False) -> None:
        """Where it belongs. `keep`: the key is still needed, for the places inside."""
        if not self._stack:
            if self._documents == 1:
                self._found.value = value
            return
        frame = self._stack[-1]
        if isinstance(frame.made, list):
            frame.made.append(value)
            return
        frame.made[frame.key or ""] = value
        if not keep:
            frame.key = None

    def _done(self) -> None:
        """What was inside a key is complete."""
        if self._stack:
            self._stack[-1].key = None

    def _place(self) -> str:
        return place_of(path_of(self._stack))

    def _wrong(self, mistake: Mistake) -> None:
        self._found.mistakes.add(mistake)


_TAKE: Mapping[type, Callable[[_Yaml, Any], None]] = {
    yaml.DocumentStartEvent: _Yaml._begin_document,
    yaml.ScalarEvent: _Yaml._scalar,
    yaml.SequenceStartEvent: _Yaml._list,
    yaml.MappingStartEvent: _Yaml._mapping,
    yaml.SequenceEndEvent: _Yaml._close,
    yaml.MappingEndEvent: _Yaml._close,
    yaml.AliasEvent: _Yaml._alias,
}


def _no_yaml(error: yaml.YAMLError) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    words = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    line = None if mark is None else mark.line + 1
    return _of_all(f"no YAML: {words}", f"不是 YAML：{words}", line)


def resolved(text: str) -> Any:
    """What an unquoted scalar is."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[:1]
    if first == "-" or first.isdigit():
        if _WHOLE.fullmatch(text) and abs(int(text)) <= _MOST_NUMBER:
            return int(text)
        if _DECIMAL.fullmatch(text) and isfinite(float(text)):
            return float(text)
    return text
