"""A file as plain data and back: JSON, or the part of YAML that has no surprises. Pure.

What is taken of YAML is what JSON can say, in YAML's clothes: mappings, lists, and scalars of which
only `null`, `true`, `false`, whole numbers and decimals are no text. So `no`, `on`, `09:00`,
`2026-10-01` and `007` stay what was typed. Anchors, aliases, tags, a key given twice and a second
document are mistakes, with which a file is refused; so neither its size nor its depth can grow by
reading.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Literal, TypeAlias

import orjson
import yaml

from app.engines.replies.mistakes import Found, Mistake

Format: TypeAlias = Literal["yaml", "json"]
Place: TypeAlias = tuple[str | int, ...]
MOST_BYTES = 8 * 1024 * 1024
MOST_DEPTH = 40
MOST_KEYS = 1000
"""Of one mapping. None of ours has more than a few dozen, and each unknown one is a mistake."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is there: a dozen times as fast."""
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
        lines = _lines_of(self.text, {one.place for one in found.kept if one.line is None})
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


def place_of(parts: Sequence[str | int]) -> str:
    """`rules[17].words[2]`."""
    found = ""
    for part in parts:
        if isinstance(part, int):
            found += f"[{part}]"
        else:
            found += f".{part}" if found else part
    return found


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


@dataclass
class _Frame:
    """A mapping or list that is being read."""

    made: dict[str, Any] | list[Any]
    key: str | None = None


class _Yaml:
    """Builds plain data from the parser's events."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._stack: list[_Frame] = []
        self._found = Document("yaml", text=text)
        self._documents = 0
        self._line = 1

    def read(self) -> Document:
        try:
            for event in yaml.parse(self._text, Loader=_LOADER):
                self._line = _line(event)
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

    def _take_key(self, frame: _Frame, key: str) -> None:
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
        self._stack.append(_Frame(made))

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
        return place_of(_path(self._stack))

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


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _path(stack: Sequence[_Frame]) -> Place:
    """Where the reader is: what is read next, or was read last."""
    place: list[str | int] = []
    for depth, frame in enumerate(stack):
        if isinstance(frame.made, dict):
            if frame.key is not None:
                place.append(frame.key)
        else:
            inside = depth < len(stack) - 1
            place.append(len(frame.made) - 1 if inside else len(frame.made))
    return tuple(place)


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


def _lines_of(text: str, wanted: Collection[str]) -> dict[str, int]:
    """The line of each place, or of the nearest one around it; a second reading, only after
    mistakes."""
    near = {around for place in wanted for around in _around(place)}
    lines: dict[str, int] = {}
    stack: list[_Frame] = []
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            place = _follow(event, stack)
            if place in near:
                lines.setdefault(place, _line(event))
    except yaml.YAMLError:
        pass  # told already; what stood before it has its lines
    return {place: found for place in wanted if (found := _nearest(lines, place))}


def _follow(event: Any, stack: list[_Frame]) -> str:
    """The place that this event begins; none, the empty one, for others."""
    kind = type(event)
    if kind in (yaml.SequenceEndEvent, yaml.MappingEndEvent):
        stack.pop()
        if stack and isinstance(stack[-1].made, dict):
            stack[-1].key = None
        return ""
    if kind not in (
        yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent, yaml.AliasEvent
    ):  # fmt: skip
        return ""
    frame = stack[-1] if stack else None
    opens = kind in (yaml.SequenceStartEvent, yaml.MappingStartEvent)
    if frame is not None and isinstance(frame.made, dict) and frame.key is None:
        frame.key = getattr(event, "value", "")
        place = place_of(_path(stack))
        if opens:
            stack.append(_Frame([] if kind is yaml.SequenceStartEvent else {}))
        return place
    place = place_of(_path(stack))
    if frame is not None:
        if isinstance(frame.made, list):
            frame.made.append(None)
        elif not opens:
            frame.key = None
    if opens:
        stack.append(_Frame([] if kind is yaml.SequenceStartEvent else {}))
    return place


def _nearest(lines: Mapping[str, int], place: str) -> int | None:
    return next((lines[around] for around in _around(place) if around in lines), None)


def _around(place: str) -> Iterator[str]:
    """The place, and those that it stands in, from the inside out."""
    while place:
        yield place
        place = place[: max(place.rfind("."), place.rfind("["), 0)]


# --- writing --------------------------------------------------------------------------------------

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
