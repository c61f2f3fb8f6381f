"""Files as plain data: what is written is read again, and YAML has no surprises."""

from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engines.replies.document_writing import write_document
from app.engines.replies.documents import (
    MOST_BYTES,
    MOST_DEPTH,
    MOST_KEYS,
    Document,
    read_document,
)
from app.engines.replies.mistakes import Found, Mistake

_TEXT = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        st.sampled_from("\n \t:#-'\"[]{}|>&*!%@`~,营业no😀e+.0123456789"),
    ),
    max_size=12,
)
_LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
)
_VALUE = st.recursive(
    _LEAF, lambda inner: st.one_of(st.lists(inner), st.dictionaries(_TEXT, inner)), max_leaves=15
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_TEXT, _VALUE, min_size=1, max_size=4))
def test_what_is_written_is_read_again_by_us_and_by_others(value: dict[str, Any]) -> None:
    written = write_document(value, "yaml")
    found = read_document(written.encode())
    assert (found.format, found.mistakes.kept, found.value) == ("yaml", [], value)
    assert yaml.safe_load(written) == value
    as_json = write_document(value, "json")
    assert (read_document(as_json.encode()).value, orjson.loads(as_json)) == (value, value)


def test_yaml_reads_like_something_people_write() -> None:
    book = {
        "rules": [
            {"name": "营业时间", "words": ["几点开门", "no", "010"], "text": "一\n二 😀"},
            {"hours": {"daily": [["09:00", "18:00"]]}, "empty": [], "none": {}},
        ],
    }
    assert write_document(book, "yaml") == (
        "rules:\n"
        "  - name: 营业时间\n"
        '    words: [几点开门, "no", "010"]\n'
        "    text: |-\n"
        "      一\n"
        "      二 😀\n"
        "  - hours:\n"
        "      daily:\n"
        '        - ["09:00", "18:00"]\n'
        "    empty: []\n"
        "    none: {}\n"
    )


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on: menu", {"on": "menu"}),
        ("no: yes", {"no": "yes"}),
        ("a: off", {"a": "off"}),
        ("a: y", {"a": "y"}),
        ("a: 2026-10-01", {"a": "2026-10-01"}),
        ("a: 2026-10-01 08:00:00", {"a": "2026-10-01 08:00:00"}),
        ("a: 09:30", {"a": "09:30"}),
        ("a: 007", {"a": "007"}),
        ("a: 0x1F", {"a": "0x1F"}),
        ("a: 0o17", {"a": "0o17"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: .inf", {"a": ".inf"}),
        ("a: 1e5", {"a": "1e5"}),
        ("a: =", {"a": "="}),
        ("a: 99999999999999999999", {"a": "99999999999999999999"}),
        ("a: -12", {"a": -12}),
        ("a: 1.5", {"a": 1.5}),
        ("a: true", {"a": True}),
        ("a: 'true'", {"a": "true"}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("12: a", {"12": "a"}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("- a\n- b", ["a", "b"]),
        ("", None),
    ],
)
def test_only_what_json_knows_is_no_text(written: str, value: object) -> None:
    found = read_document(written.encode())
    assert (found.value, found.mistakes.kept) == (value, [])


def _mistakes(written: str | bytes) -> list[tuple[str, int | None, str]]:
    raw = written if isinstance(written, bytes) else written.encode()
    return [(one.place, one.line, one.problem) for one in read_document(raw).mistakes.kept]


BOMB = "a: &a [x,x]\n" + "".join(f"b{n}: &b{n} [*a,*a,*a,*a,*a,*a,*a,*a]\n" for n in range(9))


@pytest.mark.parametrize(
    ("written", "mistakes"),
    [
        ("a: 1\nb:\n  - c: 1\n    c: 2\n", [("b[0].c", 4, "the key stands here twice")]),
        ('{"a": {"b": 1, "b": 2}}', [("a.b", None, "the key stands here twice")]),
        ("a: &x 1\nb: *x", [("a", 1, "anchors are not taken"), ("b", 2, "aliases are not taken")]),
        ("a: !!python/object/apply:os.system [ls]", [("a", 1, "tags are not taken")]),
        ("a: !!str 1\nb: ! x", [("a", 1, "tags are not taken"), ("b", 2, "tags are not taken")]),
        ("a: !!binary eA==", [("a", 1, "tags are not taken")]),
        ("? [a, b]\n: c", [("", 1, "a key must be text")]),
        ("a: 1\n---\nb: 2", [("", 2, "a second document")]),
        ("a: [1", [("", 2, "no YAML: did not find expected ',' or ']'")]),
        ("a: b: c", [("", 1, "no YAML: mapping values are not allowed in this context")]),
        ("a:\n\t- b", [("", 2, "no YAML: found character that cannot start any token")]),
        ('{"a": }', [("", 1, "no JSON: Expecting value")]),
        ('{"a": NaN}', [("", None, "NaN is no JSON")]),
        ('{"a": 99999999999999999999}', [("a", None, "too large a number")]),
        ("a: b\x00", [("", 1, "holds U+0000")]),
        ("a: 1\nb: x\x00", [("", 2, "holds U+0000")]),
        ("a: 咖啡".encode("gb18030"), [("", None, "not UTF-8 at byte 3")]),
        ("a: 咖啡".encode("utf-16"), [("", None, "not UTF-8 at byte 0")]),
    ],
)
def test_what_is_refused_is_named(
    written: str | bytes, mistakes: list[tuple[str, int | None, str]]
) -> None:
    assert _mistakes(written) == mistakes


def test_a_bomb_of_aliases_does_not_grow() -> None:
    found = read_document(BOMB.encode())
    assert {one.problem for one in found.mistakes.kept} == {
        "anchors are not taken",
        "aliases are not taken",
    }
    assert found.mistakes.count == 10 + 72
    assert found.value["b8"] == [None] * 8


@pytest.mark.parametrize("depth", [MOST_DEPTH + 1, 100_000])
@pytest.mark.parametrize("form", ["[", '{"a":', "- "])
def test_depth_is_bounded(depth: int, form: str) -> None:
    closing = {"[": "]", '{"a":': "}", "- ": ""}[form]
    written = f'{{"x": {form * depth}1{closing * depth}}}' if form != "- " else form * depth + "1"
    found = read_document(written.encode())
    assert [one.problem for one in found.mistakes.kept] == [f"nested deeper than {MOST_DEPTH}"]
    (mistake,) = found.mistakes.kept
    assert mistake.chinese == f"嵌套超过 {MOST_DEPTH} 层"


def test_allowed_depth_is_read() -> None:
    found = read_document(("[" * MOST_DEPTH + "]" * MOST_DEPTH).encode())
    assert not found.mistakes


def test_size_is_bounded() -> None:
    assert _mistakes(b"#" * (MOST_BYTES + 1)) == [("", None, f"more than {MOST_BYTES} bytes")]
    assert _mistakes(b"#" * MOST_BYTES) == []


def test_a_mark_of_utf8_is_let_through() -> None:
    assert read_document("\ufeffa: 咖啡".encode()).value == {"a": "咖啡"}
    assert read_document('\ufeff{"a": 1}'.encode()).value == {"a": 1}


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=60), st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace"))
    )
)
def test_anything_is_read_or_refused(raw: bytes) -> None:
    found = read_document(raw)
    assert isinstance(found, Document)


def test_lines_are_those_of_the_places_or_around_them() -> None:
    written = "rules:\n  - name: a\n    words:\n      - x\n      - y\n  - name: b\nflows: []\n"
    document = read_document(written.encode())
    places = ["rules[0].words[1]", "rules[1].words[0]", "rules[1]", "flows", "rules", "nothing"]
    found = Found(Mistake(place, "p", "p") for place in places)
    document.with_lines(found)
    assert [(one.place, one.line) for one in found.kept] == [
        ("nothing", None),
        ("rules", 1),
        ("rules[0].words[1]", 5),
        ("rules[1].words[0]", 6),
        ("rules[1]", 6),
        ("flows", 7),
    ]


def test_a_key_twice_among_many_is_found() -> None:
    many = ",".join(f'"k{number}":1' for number in range(MOST_KEYS - 1))
    found = read_document(f'{{"a":{{"k0":1,{many}}}}}'.encode())
    assert found.mistakes.kept == [Mistake("a.k0", "the key stands here twice", "键重复出现")]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_mapping_of_a_million_unknown_keys_is_one_mistake(form: str) -> None:
    keys = [f"k{number}" for number in range(MOST_KEYS + 100)]
    as_json = orjson.dumps({"a": dict.fromkeys(keys, 1)})
    as_yaml = "a:\n" + "".join(f"  {key}: 1\n" for key in keys)
    found = read_document(as_json if form == "json" else as_yaml.encode())
    assert [(one.place, one.problem) for one in found.mistakes.kept] == [
        ("a", f"more than {MOST_KEYS} keys")
    ]
    assert not found.whole


def test_numbers_without_end_are_no_numbers() -> None:
    found = read_document(b'{"a": 1e999, "b": [-1e999], "c": 1e30}')
    assert [one.place for one in found.mistakes.kept] == ["a", "b[0]"]
    assert read_document(b"a: 1.5e+999").value == {"a": "1.5e+999"}
