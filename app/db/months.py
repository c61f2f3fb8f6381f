"""Months of UTC, by which the large tables are cut: a range of ids each, since ids carry time."""

from dataclasses import dataclass
from datetime import UTC, datetime

from app.core.ids import first_id


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month of UTC. Every account's days lie in it, whatever its time zone."""

    year: int
    number: int

    @property
    def start(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def low(self) -> int:
        """The least id that can be made in it."""
        return first_id(self.start)

    @property
    def high(self) -> int:
        """The least id of the month after."""
        return self.after().low

    def after(self, months: int = 1) -> "Month":
        """So many months later, or earlier where negative."""
        count = self.year * 12 + self.number - 1 + months
        return Month(count // 12, count % 12 + 1)

    def __str__(self) -> str:
        return f"{self.year}-{self.number:02}"


def month_of(moment: datetime) -> Month:
    """The month in which an aware moment lies."""
    moment = moment.astimezone(UTC)
    return Month(moment.year, moment.month)
