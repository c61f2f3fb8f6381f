from hypothesis import given
from hypothesis import strategies as st

from app.conversation.compose import join_held, merge, split
from app.core.replies import ImageReply, TextReply
from app.wechat.limits import TEXT_BYTES

T = TextReply
PICTURE = ImageReply("m")


def test_texts_next_to_each_other_become_one() -> None:
    assert merge([T("a"), T("b"), PICTURE, T("c"), T("d")]) == [T("a\n\nb"), PICTURE, T("c\n\nd")]


def test_empty_texts_are_nothing() -> None:
    assert merge([T(""), T(" \n")]) == []


def test_texts_that_do_not_fit_together_stay_apart() -> None:
    long = "长" * 600
    assert merge([T(long), T("b"), T(long)]) == [T(f"{long}\n\nb"), T(long)]


def test_a_long_text_is_cut_at_a_border() -> None:
    text = "a" * 1500 + "\n" + "b" * 1500
    assert split(text) == ["a" * 1500, "b" * 1500]


@given(st.text(min_size=0, max_size=4000, alphabet=st.characters(exclude_categories=["Cs"])))
def test_parts_fit_and_lose_nothing_but_blanks(text: str) -> None:
    parts = split(text)
    assert all(0 < len(part.encode()) <= TEXT_BYTES for part in parts)
    assert [c for c in "".join(parts) if c not in "\n "] == [c for c in text if c not in "\n "]


def test_what_waited_longest_goes_first() -> None:
    assert join_held([T("old"), T("older")], T("new")) == (T("old\n\nolder\n\nnew"), 2, True)


def test_nothing_held_is_just_the_new_answer() -> None:
    assert join_held([], T("new")) == (T("new"), 0, True)
    assert join_held([], None) == (None, 0, False)


def test_a_held_picture_takes_the_place_and_the_rest_waits_on() -> None:
    assert join_held([PICTURE, T("b")], T("new")) == (PICTURE, 1, False)
    assert join_held([T("a"), PICTURE], T("new")) == (T("a"), 1, False)


def test_what_is_too_long_waits_on() -> None:
    long = "长" * 600
    assert join_held([T(long), T(long)], T("new")) == (T(long), 1, False)
    assert join_held([T(long)], T(long)) == (T(long), 1, False)
