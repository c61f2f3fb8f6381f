"""Where in a file something stands: its place, and its line. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import yaml

Format: TypeAlias = Literal["yaml", "json"]
Place: TypeAlias = tuple[str | int, ...]

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is there: a dozen times as fast."""


def place_of(parts: Sequence[str | int]) -> str:
    """`rules[17].words[2]`."""
    found = ""
    for part in parts:
        if isinstance(part, int):
            found += f"[{part}]"
        else:
            found += f".{part}" if found else part
    return found


@dataclass
class Frame:
    """A mapping or list that is being read."""

    made: dict[str, Any] | list[Any]
    key: str | None = None


def line_of(event: Any) -> int:
    return int(event.start_mark.line) + 1


def path_of(stack: Sequence[Frame]) -> Place:
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


def lines_of(text: str, wanted: Collection[str]) -> dict[str, int]:
    """The line of each place, or of the nearest one around it; a second reading, only after
    mistakes."""
    near = {around for place in wanted for around in _around(place)}
    lines: dict[str, int] = {}
    stack: list[Frame] = []
    try:
        for event in yaml.parse(text, Loader=LOADER):
            place = _follow(event, stack)
            if place in near:
                lines.setdefault(place, line_of(event))
    except yaml.YAMLError:
        pass  # told already; what stood before it has its lines
    return {place: found for place in wanted if (found := _nearest(lines, place))}


def _follow(event: Any, stack: list[Frame]) -> str:
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
        place = place_of(path_of(stack))
        if opens:
            stack.append(Frame([] if kind is yaml.SequenceStartEvent else {}))
        return place
    place = place_of(path_of(stack))
    if frame is not None:
        if isinstance(frame.made, list):
            frame.made.append(None)
        elif not opens:
            frame.key = None
    if opens:
        stack.append(Frame([] if kind is yaml.SequenceStartEvent else {}))
    return place


def _nearest(lines: Mapping[str, int], place: str) -> int | None:
    return next((lines[around] for around in _around(place) if around in lines), None)


def _around(place: str) -> Iterator[str]:
    """The place, and those that it stands in, from the inside out."""
    while place:
        yield place
        place = place[: max(place.rfind("."), place.rfind("["), 0)]
