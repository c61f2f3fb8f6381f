"""The tables of design section 10: what is measured for each row, and what it should reach.

A row is worked out for each round by itself, from figures of that round alone; printed is the median.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean

from tests.bench import shop
from tests.bench.databases import POSTGRES, SQLITE
from tests.bench.subjects import BASE, DEMO, ECHO, ON_BOTH, ONE_SESSION, OURS, Measured, Setup

FEW, MANY = 64, 256
_PLACES = ("before", "after")


@dataclass(slots=True)
class Round:
    """Everything measured once; the baselines twice, before and after."""

    measured: dict[tuple[Setup, int], list[Measured]] = field(default_factory=dict)

    def add(self, setup: Setup, results: Mapping[int, Measured]) -> None:
        for connections, one in results.items():
            self.measured.setdefault((setup, connections), []).append(one)

    def rate(self, setup: Setup, connections: int = FEW) -> float:
        return mean(one.run.rate for one in self._of(setup, connections))

    def p99_ms(self, setup: Setup, connections: int = FEW) -> float:
        return mean(one.run.p99_ms for one in self._of(setup, connections))

    def memory_mb(self, setup: Setup, connections: int = FEW) -> float:
        return mean(one.memory_mb for one in self._of(setup, connections))

    def server_us(self, setup: Setup, connections: int = FEW) -> float:
        return mean(one.server_us for one in self._of(setup, connections))

    def database_us(self, setup: Setup, connections: int = FEW) -> float:
        return mean(one.database_us for one in self._of(setup, connections))

    def base(self, connections: int = FEW) -> float:
        return self.rate(Setup(BASE), connections)

    def faults(self, uses: Sequence[tuple[Setup, int]]) -> str:
        found = [f"{setup} @{n}: {one.faults}" for setup, n in uses for one in self._of(setup, n)]
        return "; ".join(text for text in found if not text.endswith(": "))

    def _of(self, setup: Setup, connections: int) -> list[Measured]:
        return self.measured[setup, connections]


@dataclass(frozen=True, slots=True)
class Row:
    """One measured thing. `must` and `aim` are None where the design asks for nothing."""

    label: str
    value: Callable[[Round], float]
    uses: tuple[tuple[Setup, int], ...]
    must: float | None = None
    aim: float | None = None
    at_most: bool = False
    """The figure is to be small, not great."""
    unit: str = "×"
    behind: tuple[Setup, int] | None = None
    """Whose rate, p99 and CPU stand beside a ratio."""

    def reaches(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    """For `--only`."""
    title: str
    rows: tuple[Row, ...]
    columns: str = "ratio"

    @property
    def uses(self) -> list[tuple[Setup, int]]:
        return list(dict.fromkeys(use for row in self.rows for use in row.uses))


def _against_base(
    label: str, setup: Setup, connections: int, must: float | None, aim: float | None
) -> Row:
    return Row(
        f"{label} @{connections}",
        lambda r: r.rate(setup, connections) / r.base(connections),
        ((setup, connections), (Setup(BASE), connections)),
        must,
        aim,
        behind=(setup, connections),
    )


def _between(label: str, setup: Setup, other: Setup, must: float | None, aim: float | None) -> Row:
    return Row(
        label,
        lambda r: r.rate(setup) / r.rate(other),
        ((setup, FEW), (other, FEW)),
        must,
        aim,
        behind=(setup, FEW),
    )


def _p99(setup: Setup) -> Row:
    label = f"{setup} @{FEW}"
    return Row(label, lambda r: r.p99_ms(setup), ((setup, FEW),), 80, 50, at_most=True, unit=" ms")


def _base_row(connections: int) -> Row:
    echo, base = Setup(ECHO), Setup(BASE)
    return Row(
        f"BASE / ECHO @{connections}",
        lambda r: r.base(connections) / r.rate(echo, connections),
        ((echo, connections), (base, connections)),
        0.11,
        behind=(base, connections),
    )


def _baselines() -> Table:
    title = "The baselines: FastAPI + wechatpy, storing nothing / bare uvicorn"
    return Table("base", title, tuple(_base_row(n) for n in (FEW, MANY)))


def _webhook() -> Table:
    targets = {
        SQLITE: {FEW: (0.55, 0.85), MANY: (0.75, 1.1)},
        POSTGRES: {FEW: (0.55, 0.85), MANY: (0.7, 1.1)},
    }
    rows = [
        _against_base(database, Setup(OURS, database), n, *targets[database][n])
        for database in ON_BOTH
        for n in (FEW, MANY)
    ]
    two = Setup(OURS, POSTGRES, processes=2)
    rows += [
        _against_base("PostgreSQL, 2 processes", two, n, *targets[POSTGRES][n]) for n in (FEW, MANY)
    ]
    return Table("webhook", "Deliveries, everything stored / BASE", tuple(rows))


def _p99s() -> Table:
    rows = (_p99(Setup(OURS, database)) for database in ON_BOTH)
    return Table("p99", "The slowest of a hundred answers", tuple(rows), "figure")


def _one_session() -> Table:
    targets = {SQLITE: (12.0, 20.0), POSTGRES: (8.0, 13.0)}
    rows = (
        _between(database, Setup(OURS, database), Setup(ONE_SESSION, database), *targets[database])
        for database in ON_BOTH
    )
    return Table("one-session", "Ours / one ORM session and commit per message", tuple(rows))


def _safe() -> Table:
    rows = [
        _between(str(setup.database), Setup(OURS, setup.database, mode="safe"), setup, 0.65, 0.75)
        for setup in (Setup(OURS, database) for database in ON_BOTH)
    ]
    two = Setup(OURS, POSTGRES, processes=2)
    two_safe = Setup(OURS, POSTGRES, processes=2, mode="safe")
    rows.append(_between("PostgreSQL, 2 processes", two_safe, two, 0.65, 0.75))
    return Table("safe", "Safe mode / plain mode, same server", tuple(rows))


def _rules() -> Table:
    rows = (_between_two(database, Setup(OURS, database, rules=10_000)) for database in ON_BOTH)
    return Table("rules", "10,000 keyword rules / 10, before and after", tuple(rows))


def _between_two(label: str, many: Setup) -> Row:
    """Few rules are measured before and after many: the first of a pair is the slower on some days."""
    before, after = (replace(many, rules=10, beside=f"{place} 10,000 rules") for place in _PLACES)
    return Row(
        label,
        lambda r: r.rate(many) / mean((r.rate(before), r.rate(after))),
        ((before, FEW), (many, FEW), (after, FEW)),
        0.95,
        1.0,
        behind=(many, FEW),
    )


def _followers() -> Table:
    rows = (
        _between(
            database,
            Setup(OURS, database, followers=shop.MANY_FOLLOWERS),
            Setup(OURS, database),
            None,
            None,
        )
        for database in ON_BOTH
    )
    title = "Senders drawn from 1,000,000 (nearly all new) / from 5,000, empty database"
    return Table("followers", title, tuple(rows))


GROWN = "grown"


def grown(databases: Sequence[str]) -> Table:
    """For the databases that `tests.bench.grown` has made."""
    rows = []
    for database in databases:
        active = Setup(OURS, database, grown=True)
        everyone = replace(active, followers=shop.MANY_FOLLOWERS)
        empty = Setup(OURS, database, beside="grown")
        rows += [
            _between(f"{database}, 5,000 active", active, empty, 0.9, 0.98),
            _between(f"{database}, of 1,000,000", everyone, empty, 0.7, 0.8),
        ]
    title = "10 million messages and 1 million followers stored / an empty database"
    return Table(GROWN, title, tuple(rows))


def _memory_row(
    label: str,
    setup: Setup,
    connections: int,
    must: float | None = None,
    aim: float | None = None,
) -> Row:
    return Row(
        label,
        lambda r: r.memory_mb(setup, connections),
        ((setup, connections),),
        must,
        aim,
        at_most=True,
        unit=" MB",
    )


def _memory() -> Table:
    rows = [_memory_row(DEMO, Setup(DEMO), 0, 150, 110)]
    rows += [
        _memory_row(f"{setup}, after the load", setup, FEW)
        for setup in (Setup(OURS, database) for database in ON_BOTH)
    ]
    return Table("memory", "Resident memory of the largest process", tuple(rows), "figure")


TABLES = (
    _baselines(),
    _webhook(),
    _p99s(),
    _one_session(),
    _safe(),
    _rules(),
    _followers(),
    _memory(),
)
