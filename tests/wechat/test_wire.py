"""The reading of fields: what it refuses to be built from."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from wechatpy.messages import ImageMessage

from app.core.incoming import Grant
from app.wechat import limits
from app.wechat.messages import FollowerEvent, Image
from app.wechat.wire import reader


@dataclass(frozen=True, slots=True)
class Odd(FollowerEvent):
    type_name: ClassVar[str] = "odd"

    flag: bool


def test_a_field_nobody_knows_the_name_of() -> None:
    with pytest.raises(TypeError, match="picture_url"):
        reader(Image, ImageMessage)


def test_a_name_for_no_field() -> None:
    with pytest.raises(TypeError, match="nothing"):
        reader(Image, ImageMessage, picture_url="PicUrl", nothing="X")


def test_a_type_that_cannot_be_read() -> None:
    with pytest.raises(TypeError, match="bool"):
        reader(Odd, None, flag="Flag")


def test_each_grant_has_its_window() -> None:
    assert set(limits.WINDOWS) == set(Grant)
    assert limits.WINDOWS[Grant.MESSAGE] == (5, 172_800)
    assert {limits.WINDOWS[g] for g in set(Grant) - {Grant.MESSAGE}} == {(3, 60)}


def test_our_budgets_leave_room_below_the_platforms() -> None:
    assert limits.REPEAT_WAIT_SECONDS < limits.ANSWER_BUDGET_SECONDS < limits.REPLY_SECONDS
