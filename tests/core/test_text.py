"""Punctuation does not matter where texts are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text import normalise, without_marks
from tests.rules import reference


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("营业时间？", "营业时间"),
        ("“营业时间”是…", "营业时间 是"),
        ("你好,世界!", "你好 世界"),
        ("3.5", "3.5"),
        ("12:30 Wi-Fi a.b.com don't", "12:30 wi-fi a.b.com don't"),
        ("1.", "1"),
        ("a..b", "a b"),
        ("３．５折（周末）", "3.5折 周末"),
        ("。", "。"),
        ("？？", "??"),
        ("?!  ", "?!"),
        ("*", "*"),
        ("100%", "100%"),
        ("", ""),
    ],
)
def test_marks_count_as_blanks(typed: str, left: str) -> None:
    assert without_marks(normalise(typed)) == left


@pytest.mark.parametrize(
    ("word", "left"),
    [
        ("我要*。", "我要*"),
        ("几点?", "几点?"),
        ("几点？！", "几点?"),
        ("*.com", "*.com"),
        ("你好，*", "你好 *"),
        ("!!", "!!"),
    ],
)
def test_wildcards_stay(word: str, left: str) -> None:
    assert without_marks(normalise(word), wild=True) == left


letters = st.text(alphabet="aZ9咖啡 .,，。?？!-“”…*（", max_size=12)


@given(letters)
def test_as_written_plainly(text: str) -> None:
    assert normalise(text) == reference.folded(text)
    for wild in (False, True):
        assert without_marks(normalise(text), wild=wild) == reference.without_marks(
            reference.folded(text), wild=wild
        )


@given(letters)
def test_once_is_enough(text: str) -> None:
    once = without_marks(normalise(text))
    assert without_marks(normalise(once)) == once
