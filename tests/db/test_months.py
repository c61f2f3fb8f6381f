from datetime import UTC, datetime, timedelta, timezone

from app.core.ids import first_id, moment_of
from app.db.months import Month, month_of


def test_a_month_is_one_of_utc() -> None:
    in_china = datetime(2026, 12, 1, 7, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=8)))
    assert month_of(in_china) == Month(2026, 11)
    assert month_of(in_china + timedelta(microseconds=1)) == Month(2026, 12)


def test_its_ids_begin_and_end_with_it() -> None:
    november = Month(2026, 11)
    assert november.high == Month(2026, 12).low
    assert moment_of(november.low) == datetime(2026, 11, 1, tzinfo=UTC)
    assert moment_of(november.low - 1) == datetime(2026, 10, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    assert november.low == first_id(november.start)


def test_counting_goes_over_the_year() -> None:
    assert Month(2026, 12).after() == Month(2027, 1)
    assert Month(2026, 1).after(-1) == Month(2025, 12)
    assert Month(2026, 11).after(14) == Month(2028, 1)
    assert str(Month(2027, 1)) == "2027-01"


def test_nothing_is_older_than_the_first_id() -> None:
    assert first_id(datetime(2020, 1, 1, tzinfo=UTC)) == 0
