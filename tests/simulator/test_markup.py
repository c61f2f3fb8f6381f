"""XML written and read: nothing a person types breaks out of it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simulator.markup import BadMarkup, read, write

ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_but_for_what_xml_forbids(text: str) -> None:
    xml = write([("Content", text), ("MsgId", 7), ("Info", [("Key", text)])])
    root = read(xml.encode())
    wanted = ILLEGAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    assert root.get("Content") == wanted
    assert [child.name for child in root.children] == ["Content", "MsgId", "Info"]
    info = root.find("Info")
    assert info is not None
    assert info.get("Key") == wanted


def test_numbers_are_bare() -> None:
    assert write([("A", 1), ("B", 2.5), ("C", "x")]) == (
        "<xml><A>1</A><B>2.5</B><C><![CDATA[x]]></C></xml>"
    )


def test_missing_fields_are_named() -> None:
    root = read(b"<xml><A>1</A></xml>")
    assert root.get("B", "") == ""
    with pytest.raises(BadMarkup, match="<B> is missing"):
        root.get("B")
