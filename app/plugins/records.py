"""The table `plugin`: failures counted over all processes, and the switch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from app.core.clock import from_millis, to_millis
from app.db.hot import upsert
from app.db.tx import Tx
from app.plugins.models import PluginRow

MOST_BLOCKS = 3
"""So often may a plugin block a process for good; then it is switched off."""
_FAILURE = 500
_REASON = 300


@dataclass(frozen=True, slots=True)
class Threshold:
    """So many failures within so long switch a plugin off."""

    failures: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class Record:
    """What the table says of one plugin."""

    name: str
    failures: int = 0
    blocks: int = 0
    recent: tuple[int, ...] = ()
    last_failure: str | None = None
    last_failure_at: datetime | None = None
    disabled_at: datetime | None = None
    reason: str | None = None
    version: int = 0

    @property
    def off(self) -> bool:
        return self.disabled_at is not None


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure, not yet counted."""

    at: int
    """Milliseconds."""
    words: str
    block: bool = False
    """It took its process down."""


_COLUMNS = (
    PluginRow.name,
    PluginRow.failures,
    PluginRow.blocks,
    PluginRow.recent,
    PluginRow.last_failure,
    PluginRow.last_failure_at,
    PluginRow.disabled_at,
    PluginRow.reason,
    PluginRow.version,
)


async def read_records(tx: Tx) -> dict[str, Record]:
    return {row.name: _record(row) for row in await tx.all(select(*_COLUMNS))}


async def lock_record(tx: Tx, name: str, now: datetime) -> Record:
    """The plugin's row, made if there is none, and held until the commit."""
    first = {
        "name": name,
        "failures": 0,
        "blocks": 0,
        "recent": [],
        "version": 1,
        "updated_at": now,
    }
    await tx.run(upsert(tx.dialect, PluginRow).values(first).on_conflict_do_nothing())
    statement = select(*_COLUMNS).where(PluginRow.name == name)
    if tx.dialect == "postgresql":
        statement = statement.with_for_update()
    return _record(await tx.first(statement))


async def count_failures(
    tx: Tx, before: Record, failures: Sequence[Failure], threshold: Threshold, now: datetime
) -> tuple[Record, str | None]:
    """Adds to a locked record; the new one, and why the plugin is switched off now, if it is."""
    since = to_millis(now - threshold.within)
    recent = [at for at in (*before.recent, *(f.at for f in failures)) if at >= since]
    recent = sorted(recent)[-threshold.failures :]
    blocks = before.blocks + sum(failure.block for failure in failures)
    reason = None if before.off else _reason(len(recent), blocks, threshold)
    values: dict[str, Any] = {
        "failures": before.failures + len(failures),
        "blocks": blocks,
        "recent": recent,
        "last_failure": failures[-1].words[:_FAILURE],
        "last_failure_at": from_millis(failures[-1].at),
    }
    if reason is not None:
        values |= {"disabled_at": now, "reason": reason}
    return await _write(tx, before, values, now), reason


def _reason(recent: int, blocks: int, threshold: Threshold) -> str | None:
    if blocks >= MOST_BLOCKS:
        return f"it blocked a process for good {blocks} times"
    if recent >= threshold.failures:
        minutes = threshold.within.total_seconds() / 60
        return f"{recent} failures within {minutes:g} minutes"
    return None


async def switch_record(tx: Tx, before: Record, *, on: bool, reason: str, now: datetime) -> Record:
    """Switches a locked record; on again, it begins with a clean slate."""
    values: dict[str, Any] = {"disabled_at": now, "reason": reason[:_REASON]}
    if on:
        values = {"disabled_at": None, "reason": None, "failures": 0, "blocks": 0, "recent": []}
    return await _write(tx, before, values, now)


async def _write(tx: Tx, before: Record, values: Mapping[str, Any], now: datetime) -> Record:
    version = before.version + 1
    written = await tx.run(
        update(PluginRow)
        .where(PluginRow.name == before.name, PluginRow.version == before.version)
        .values({**values, "version": version, "updated_at": now})
    )
    if written != 1:
        raise RuntimeError(f"the row of plugin {before.name} was not held")
    row = await tx.first(select(*_COLUMNS).where(PluginRow.name == before.name))
    return _record(row)


def _record(row: Any) -> Record:
    return Record(
        name=row.name,
        failures=row.failures,
        blocks=row.blocks,
        recent=tuple(row.recent),
        last_failure=row.last_failure,
        last_failure_at=row.last_failure_at,
        disabled_at=row.disabled_at,
        reason=row.reason,
        version=row.version,
    )
