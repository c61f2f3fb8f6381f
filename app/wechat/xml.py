"""XML bodies as plain mappings, read with expat.

A leaf is its text exactly as it stands, outer blanks included. An element with children is a mapping;
one that is repeated is a list. Attributes, which the platform never sends, become `@name` and the
text beside them `#text`, so that such an element can never pass for a text.
"""

from typing import Any
from xml.etree.ElementTree import XML, Element, ParseError

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

    Raises `NotUnderstood`: `empty`, `nul`, `doctype`, `not-xml`, `other-root`, `no-fields`,
    `too-deep`.
    """
    if not body.strip():
        raise NotUnderstood("empty")
    if "\0" in body:
        raise NotUnderstood("nul")
    if _may_hold_doctype(body):
        raise NotUnderstood("doctype")
    try:
        root = XML(body)  # no DOCTYPE can be in it, so no entity can be declared
    except (ParseError, ValueError) as error:  # ValueError: a lone surrogate
        raise NotUnderstood("not-xml", str(error)) from error
    if root.tag != "xml":
        raise NotUnderstood("other-root", root.tag)
    if not len(root):
        raise NotUnderstood("no-fields")
    return _children(root, 1)


def _may_hold_doctype(body: str) -> bool:
    """Whether a DOCTYPE could stand in this body.

    It can only come before the first start tag, so a body that begins with one may hold the word
    as text: people do paste HTML into a chat.
    """
    if "<!DOCTYPE" not in body and "<!ENTITY" not in body:
        return False
    start = body.lstrip()[:2]
    return not (start[0] == "<" and start[1:].isalpha())


def _children(element: Element, depth: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for child in element:
        tag = child.tag
        value = child.text or "" if not len(child) and not child.attrib else _nested(child, depth)
        if tag not in fields:
            fields[tag] = value
        elif isinstance(fields[tag], list):
            fields[tag].append(value)
        else:
            fields[tag] = [fields[tag], value]
    return fields


def _nested(element: Element, depth: int) -> dict[str, Any]:
    if depth >= _MAX_DEPTH:
        raise NotUnderstood("too-deep", element.tag)
    value = _children(element, depth + 1)
    if element.attrib:
        value.update({f"@{name}": text for name, text in element.attrib.items()})
        value["#text"] = element.text or ""
    return value
