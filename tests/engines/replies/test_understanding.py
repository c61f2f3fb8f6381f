from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.incoming import Incoming, Kind
from app.engines.replies import understanding
from app.engines.replies.understanding import UNSUPPORTED

TODAY = date(2026, 2, 10)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("３", 3),
        (" 3 杯 ", 3),
        ("2位吧", 2),
        ("两杯。", 2),
        ("三个人", 3),
        ("十", 10),
        ("十二个", 12),
        ("二十", 20),
        ("九十九", 99),
        ("五", 5),
        ("3.5", 3.5),
        ("4.0", 4),
        ("-1", -1),
        ("+7", 7),
        ("", None),
        ("几杯", None),
        ("3-4", None),
        ("二三", None),
        ("1e5", None),
        ("1" * 13, None),
    ],
)
def test_numbers(text: str, value: float | None) -> None:
    found = understanding.number(text)
    assert found == value
    assert isinstance(found, int) == isinstance(value, int)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("13800138000", "13800138000"),
        ("138 0013-8000", "13800138000"),
        ("+86 13800138000", "13800138000"),
        ("８６１３８００１３８０００", "13800138000"),
        ("1380013800", None),
        ("23800138000", None),
        ("我的电话", None),
    ],
)
def test_phones(text: str, value: str | None) -> None:
    assert understanding.phone(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("今天", "2026-02-10"),
        ("明天吧", "2026-02-11"),
        ("大后天", "2026-02-13"),
        ("2026-05-01", "2026-05-01"),
        ("2026年5月1日", "2026-05-01"),
        ("2026/5/1", "2026-05-01"),
        ("5月1号", "2026-05-01"),
        ("5.1", "2026-05-01"),
        ("2月10日", "2026-02-10"),
        ("2月9日", "2027-02-09"),
        ("2 月 29 日", "2028-02-29"),
        ("2026-02-30", None),
        ("13月1日", None),
        ("随便", None),
    ],
)
def test_days(text: str, value: str | None) -> None:
    assert understanding.day(text, TODAY) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("大杯", "大杯"),
        ("2", "大杯"),
        ("第三", "超大杯"),
        ("选1", "中杯"),
        ("不要大杯", None),
        ("特大杯", None),
        ("三", "超大杯"),
        ("要大杯，谢谢", "大杯"),
        ("来个超大杯", "超大杯"),
        ("大杯还是中杯好", None),
        ("4", None),
        ("0", None),
        ("", None),
    ],
)
def test_choices(text: str, value: str | None) -> None:
    assert understanding.choice(text, ["中杯", "大杯", "超大杯"]) == value


def test_pictures_and_positions() -> None:
    assert understanding.picture(Incoming(Kind.IMAGE, media_id="m1")) == "m1"
    assert understanding.picture(Incoming(Kind.IMAGE)) is None
    assert understanding.picture(Incoming(Kind.TEXT, text="图")) is None
    place = Incoming(Kind.POSITION, text="人民广场", data={"latitude": 31.2, "longitude": 121.5})
    value = understanding.position(place)
    assert value == {"label": "人民广场", "latitude": 31.2, "longitude": 121.5}
    assert understanding.position(Incoming(Kind.TEXT, text="人民广场")) is None
    assert understanding.shown(value) == "人民广场"
    assert understanding.shown(3) == "3"


def test_what_counts_as_typed() -> None:
    assert understanding.typed(Incoming(Kind.TEXT, text=" 你好 ")) == "你好"
    assert understanding.typed(Incoming(Kind.VOICE, text="你好")) == "你好"
    assert understanding.typed(Incoming(Kind.LINK, text="标题")) == ""
    assert understanding.typed(Incoming(Kind.TEXT, text=UNSUPPORTED)) == ""
    assert understanding.free_text("x" * 500) == "x" * 500
    assert understanding.free_text("x" * 501) is None
    assert understanding.free_text("") is None


@given(st.text(max_size=30))
def test_nothing_a_follower_types_is_an_error(text: str) -> None:
    understanding.number(text)
    understanding.phone(text)
    understanding.day(text, TODAY)
    understanding.choice(text, ["甲", "乙"])
