"""XML as the platform writes it, and a reader as strict as the platform's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from xml.parsers import expat

Value: TypeAlias = "str | int | float | Fields"
Fields: TypeAlias = "Sequence[tuple[str, Value]]"

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_MAX_DEPTH = 8


class BadMarkup(Exception):
    """Not the XML that was asked for; the message says why."""


def cdata(text: str) -> str:
    """A CDATA section that its content cannot close; characters XML forbids are left out."""
    clean = _ILLEGAL.sub("", text).replace("]]>", "]]]]><![CDATA[>")
    return f"<![CDATA[{clean}]]>"


def write(fields: Fields, root: str = "xml") -> str:
    """Strings as CDATA, numbers bare, nested fields as nested elements, in the order given."""
    return f"<{root}>{''.join(_element(name, value) for name, value in fields)}</{root}>"


def _element(name: str, value: Value) -> str:
    if isinstance(value, str):
        return f"<{name}>{cdata(value)}</{name}>"
    if isinstance(value, int | float):
        return f"<{name}>{value}</{name}>"
    return write(value, name)


@dataclass(slots=True)
class Element:
    name: str
    text: str = ""
    children: "list[Element]" = field(default_factory=list)

    def find(self, name: str) -> "Element | None":
        """The one child of that name. Raises `BadMarkup` when there are several."""
        found = [child for child in self.children if child.name == name]
        if len(found) > 1:
            raise BadMarkup(f"<{name}> occurs {len(found)} times")
        return found[0] if found else None

    def get(self, name: str, default: str | None = None) -> str:
        """The text of a child. Raises `BadMarkup` when it is missing (without default) or nested."""
        child = self.find(name)
        if child is None:
            if default is None:
                raise BadMarkup(f"<{name}> is missing (names are case-sensitive)")
            return default
        if child.children:
            raise BadMarkup(f"<{name}> holds elements where text is expected")
        return child.text


def read(body: bytes) -> Element:
    """The root element `xml`.

    Raises `BadMarkup` for a byte-order mark or anything else before the first `<`, for bytes that
    are not UTF-8, for another root and for document types and entities.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        raise BadMarkup("a byte-order mark stands before the XML")
    if not body.startswith(b"<"):
        raise BadMarkup("the body does not begin with <")
    reader = _Reader()
    try:
        reader.feed(body.decode())
    except UnicodeDecodeError as error:
        raise BadMarkup("not UTF-8") from error
    except expat.ExpatError as error:
        raise BadMarkup(f"not well-formed: {error}") from error
    if reader.root.name != "xml":
        raise BadMarkup(f"the root element is <{reader.root.name}>, not <xml>")
    return reader.root


class _Reader:
    """Expat events to elements."""

    def __init__(self) -> None:
        self.root = Element("")
        self._open: list[Element] = []
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        self._parser = parser

    def feed(self, text: str) -> None:
        self._parser.Parse(text.encode(), True)

    def _start(self, name: str, _: dict[str, str]) -> None:
        element = Element(name)
        if len(self._open) >= _MAX_DEPTH:
            raise BadMarkup("nested too deeply")
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _characters(self, data: str) -> None:
        self._open[-1].text += data

    def _doctype(self, *_: object) -> None:
        raise BadMarkup("a document type is not allowed")
