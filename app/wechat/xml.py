"""XML bodies as plain mappings, read with expat.

A leaf is its text exactly as it stands, outer blanks included. An element with children is a mapping;
one that is repeated is a list; text between children is left out. Attributes, which the platform
never sends, become `@name` and the text beside them `#text`, so that such an element can never pass
for a text.
"""

from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

_MAX_DEPTH = 12
"""The deepest documented delivery has five levels."""


class NotUnderstood(Exception):
    """An authenticated body that cannot be read. `reason` is a stable slug, `detail` is for logs."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def read_xml(body: str) -> dict[str, Any]:
    """The fields of an `<xml>` body.

    A document type ends the reading before anything it declares is looked at; inside CDATA the same
    words are text: people do paste HTML into a chat. Raises `NotUnderstood`: `empty`, `nul`,
    `doctype`, `not-xml`, `other-root`, `no-fields`, `too-deep`.
    """
    if not body or body.isspace():
        raise NotUnderstood("empty")
    if "\0" in body:
        raise NotUnderstood("nul")
    document = _document(body)
    fields = document.get("xml")
    if fields is None:
        raise NotUnderstood("other-root", next(iter(document)))
    if not isinstance(fields, dict):
        raise NotUnderstood("no-fields")
    return fields


def _document(body: str) -> dict[str, Any]:
    levels: list[dict[str, Any]] = [{}]
    text: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(levels) > _MAX_DEPTH:
            raise NotUnderstood("too-deep", name)
        text.clear()
        levels.append({f"@{key}": value for key, value in attributes.items()} if attributes else {})

    def end(name: str) -> None:
        value: Any = levels.pop()
        if not value:
            value = "".join(text)
        elif next(iter(value))[0] == "@":
            value["#text"] = "".join(text)
        text.clear()
        _put(levels[-1], name, value)

    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except (ExpatError, ValueError) as error:  # ValueError: a lone surrogate
        raise NotUnderstood("not-xml", str(error)) from error
    return levels[0]


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    if name not in fields:
        fields[name] = value
    elif isinstance(fields[name], list):
        fields[name].append(value)
    else:
        fields[name] = [fields[name], value]


def _refuse_doctype(*_: object) -> None:
    raise NotUnderstood("doctype")
