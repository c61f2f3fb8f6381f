"""The plugins of a process: loaded, guarded, counted, and switched off where they fail too often."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

from prometheus_client import Counter, Gauge

from app.conversation.router import Router
from app.core.actions import Action
from app.core.blame import in_words
from app.core.clock import Clock, from_millis, to_millis
from app.core.log import get_logger, mask_text
from app.db.database import Database
from app.db.effects import EffectKind
from app.db.events import Events
from app.db.faults import is_database, is_passing
from app.db.tx import Tx
from app.delivery.schedule import Timetable
from app.delivery.tasks import Task, Tasks
from app.plugins import guard
from app.plugins.blocks import Block, BlockFiles, whose
from app.plugins.finding import Found, LeftOut, Loaded
from app.plugins.guard import (
    Guard,
    GuardedKind,
    PluginOff,
    guarded_action,
    guarded_router,
    guarded_task,
    wait_for_plugin,
)
from app.plugins.plugin import TASKS, Job
from app.plugins.records import (
    Failure,
    Record,
    Threshold,
    count_failures,
    lock_record,
    read_records,
)
from app.plugins.settings import put_in_force
from app.plugins.switching import plugin_event

POLL_SECONDS = 1.0
TOLD_EVERY = timedelta(minutes=1)
"""How often `plugin.failed` is emitted for one plugin at most."""
_MOST_PENDING = 1000
_OURS = frozenset({"app", "tests", "__main__"})
"""Top names of modules that are not a plugin's alone."""
_MARKS = frozenset({guard.__file__})
_LOG = get_logger(__name__)
_FAILURES = Counter("guanxi_plugin_failures_total", "Failures of plugins", ["plugin", "part"])
_OFF = Gauge(
    "guanxi_plugin_off", "1 while the plugin is switched off", ["plugin"], multiprocess_mode="max"
)

Listener = Callable[[str, str, BaseException], None]


class Plugins:
    """One per process. Without plugins it does nothing at all.

    `off` of each guard follows the table within a second. Failures are counted in memory and written
    together, also within a second; the transaction that reaches the threshold switches off.
    """

    def __init__(
        self,
        found: Found,
        database: Database,
        clock: Clock,
        events: Events,
        threshold: Threshold,
        data_dir: Path,
    ) -> None:
        self.loaded = {one.plugin.name: one for one in found.loaded}
        self.left_out: tuple[LeftOut, ...] = found.left_out
        self._database = database
        self._clock = clock
        self._events = events
        self._threshold = threshold
        self._files = BlockFiles(data_dir)
        self._guards = {name: Guard(name, self._report) for name in self.loaded}
        self._records: Mapping[str, Record] = {}
        self._pending: deque[tuple[str, Failure]] = deque(maxlen=_MOST_PENDING)
        self._listeners: list[Listener] = []
        self._handlers = dict(_handlers(self.loaded.values(), self._guards))
        self._packages = _packages(found.loaded)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self._in_trouble = False
        for one in found.loaded:
            if one.settings is not None:
                put_in_force(one.settings)
        _tell(found)

    # --- what they bring along --------------------------------------------------------------------

    def kinds(self) -> list[EffectKind[Any, Any]]:
        """In the order of the plugins' names: the lock order must be the same in every process."""
        named = sorted(self.loaded.items())
        guarded: list[Any] = [
            GuardedKind(self._guards[name], kind)
            for name, one in named
            for kind in one.plugin.kinds
        ]
        return guarded

    def routers(self, effect_kinds: Sequence[str]) -> list[Router]:
        """`effect_kinds` are all that decisions may ask for."""
        kinds = frozenset(effect_kinds)
        return [
            guarded_router(self._guards[name], router, kinds)
            for name, one in self.loaded.items()
            for router in one.plugin.routers
        ]

    def actions(self, effect_kinds: Sequence[str]) -> list[type[Action]]:
        kinds = frozenset(effect_kinds)
        return [
            guarded_action(self._guards[name], action, kinds, self._handlers.keys())
            for name, one in self.loaded.items()
            for action in one.plugin.actions
        ]

    def add_jobs(self, tasks: Tasks, timetable: Timetable) -> None:
        absent = Task("plugin", "bulk", wait_for_plugin)
        tasks.stand_in(TASKS, absent)
        for name, one in self.loaded.items():
            for job in one.plugin.jobs:
                self._add_job(self._guards[name], job, tasks, timetable)

    def _add_job(self, owner: Guard, job: Job, tasks: Tasks, timetable: Timetable) -> None:
        task = tasks.add(guarded_task(owner, job))
        if job.every_minutes is not None:
            timetable.every(task.name, task, minutes=job.every_minutes)
        if job.daily_at is not None:
            timetable.daily(task.name, task, at=job.daily_at, tz=job.time_zone)

    # --- failures ---------------------------------------------------------------------------------

    def on_failure(self, listener: Listener) -> None:
        """`listener(plugin, part, error)` is called at each failure, in whatever thread it came up."""
        self._listeners.append(listener)

    def apart_failed(self, handler: str, error: Exception) -> None:
        """An apart handler failed; counted where it is a plugin's and the failure its own."""
        owner = self._handlers.get(handler)
        database = is_database(error) and is_passing(error)
        if owner is not None and not database and not isinstance(error, PluginOff):
            owner.failed(f"handler {handler}", error)

    def _report(self, plugin: str, part: str, error: BaseException) -> None:
        _FAILURES.labels(plugin, part.partition(" ")[0]).inc()
        words = mask_text(f"{part}: {in_words(error)}")
        self._pending.append((plugin, Failure(to_millis(self._clock.now()), words)))
        for listener in self._listeners:
            listener(plugin, part, error)
        self.wake()

    def wake(self) -> None:
        """Something changed: `run` looks without waiting for its next second. From any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._woken.set)

    # --- blocked threads: the watchdog's witness --------------------------------------------------

    def culprit(self, frame: FrameType) -> str | None:
        return whose(frame, self._packages, _MARKS) if self.loaded else None

    def blocked(self, culprit: str) -> None:
        self._report(culprit, "loop", TimeoutError("it blocked the process for over a second"))

    def given_up(self, culprit: str, seconds: float) -> None:
        self._files.write(Block(culprit, to_millis(self._clock.now()), seconds))

    # --- counting and switching -------------------------------------------------------------------

    @property
    def records(self) -> Mapping[str, Record]:
        """What the table said at the last look, by name; also of plugins that are not loaded here."""
        return MappingProxyType(dict(self._records))

    def problem(self) -> str | None:
        """What is wrong with plugins, in words; nothing that would make the server unready."""
        words = [f"{one.name} was left out: {one.problem}" for one in self.left_out]
        for name in self.loaded:
            record = self._records.get(name)
            if record is not None and record.off:
                words.append(f"{name} is switched off: {record.reason}")
        return "; ".join(words) or None

    async def run(self) -> None:
        """Counts and follows the switches until cancelled."""
        if not self.loaded:
            return
        self._loop = asyncio.get_running_loop()
        while True:
            await self._catch_up()
            with suppress(TimeoutError):  # not `wait_for`: see `Book.run`
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()
            self._woken.clear()

    async def _catch_up(self) -> None:
        try:
            await self.refresh()
        except Exception as error:
            if not (is_passing(error) or is_database(error)):
                raise
            if not self._in_trouble:
                _LOG.warning("plugins.not_refreshed", error=str(error))
            self._in_trouble = True
        else:
            self._in_trouble = False

    async def refresh(self) -> None:
        """Writes the failures of this process and reads every switch. Nothing without plugins."""
        if not self.loaded:
            return
        async with self._refreshing:
            await self._count()
            self._follow(await self._database.read(read_records))

    async def _count(self) -> None:
        taken = await asyncio.to_thread(self._taken)
        files = [path for path, _ in taken]
        pending = [self._pending.popleft() for _ in range(len(self._pending))]
        failures: dict[str, list[Failure]] = defaultdict(list)
        for name, failure in pending:
            failures[name].append(failure)
        for _, block in taken:
            words = f"it blocked a process for {block.seconds:g} s, which ended"
            failures[block.plugin[:60]].append(Failure(block.at, words, block=True))
            _FAILURES.labels(block.plugin[:60], "process").inc()
        if not failures:
            return
        try:
            await self._written(failures)
        except BaseException:
            self._pending.extendleft(reversed(pending))
            await asyncio.to_thread(self._files.put_back, files)
            raise
        await asyncio.to_thread(self._files.forget, files)

    def _taken(self) -> list[tuple[Path, Block]]:
        """A folder that cannot be read must not end the process; the next look may find it mended."""
        try:
            return self._files.take()
        except OSError as error:
            if not self._in_trouble:
                _LOG.warning("plugin.blocks_unreadable", error=str(error))
            return []

    async def _written(self, failures: Mapping[str, list[Failure]]) -> None:
        async def work(tx: Tx) -> dict[str, str]:
            switched = {}
            for name in sorted(failures):  # one lock order for all
                reason = await self._add(tx, name, failures[name])
                if reason is not None:
                    switched[name] = reason
            return switched

        for name, reason in (await self._database.transaction(work)).items():
            _LOG.error(
                "plugin.disabled",
                plugin=name,
                reason=reason,
                last_failure=failures[name][-1].words,
                then=f"python -m app plugin enable {name}",
            )

    async def _add(self, tx: Tx, name: str, failures: list[Failure]) -> str | None:
        now = self._clock.now()
        before = await lock_record(tx, name, now)
        after, reason = await count_failures(tx, before, failures, self._threshold, now)
        events = []
        told = before.last_failure_at
        if told is None or from_millis(failures[-1].at) - told >= TOLD_EVERY:
            events.append(
                plugin_event(
                    "plugin.failed", name, failures=after.failures, message=after.last_failure
                )
            )
        if reason is not None:
            events.append(plugin_event("plugin.disabled", name, reason=reason))
        await self._events.emit(tx, events)
        return reason

    def _follow(self, records: Mapping[str, Record]) -> None:
        self._records = records
        for name, owner in self._guards.items():
            record = records.get(name)
            off = record is not None and record.off
            if off is not owner.off:
                reason = record.reason if record is not None else None
                _LOG.warning("plugin.off" if off else "plugin.on", plugin=name, reason=reason)
            owner.off = off
            _OFF.labels(name).set(int(off))


def _handlers(loaded: Iterable[Loaded], guards: Mapping[str, Guard]) -> Iterator[tuple[str, Guard]]:
    """Each apart handler's name, and whose it is."""
    for one in loaded:
        for router in one.plugin.routers:
            for handler in router.aparts:
                yield handler, guards[one.plugin.name]


def _packages(loaded: Sequence[Loaded]) -> dict[str, str]:
    """Top module names that belong to one plugin alone, so that tasks it starts are known as its own."""
    owners: dict[str, set[str]] = defaultdict(set)
    for one in loaded:
        for top in _tops(one):
            owners[top].add(one.plugin.name)
    return {
        top: min(names) for top, names in owners.items() if len(names) == 1 and top not in _OURS
    }


def _tops(one: Loaded) -> set[str]:
    plugin = one.plugin
    parts: list[Any] = [*plugin.actions, *plugin.kinds, *(job.run for job in plugin.jobs)]
    for router in plugin.routers:
        parts += [*(route.decide for route in router.routes), *router.aparts.values()]
    modules = {str(getattr(part, "__module__", "")) for part in parts}
    return {module.partition(".")[0] for module in modules if module} - _OURS


def _tell(found: Found) -> None:
    for one in found.loaded:
        _LOG.info(
            "plugin.loaded", plugin=one.plugin.name, version=one.plugin.version, source=one.source
        )
    for left_out in found.left_out:
        _LOG.error(
            "plugin.left_out",
            plugin=left_out.name,
            source=left_out.source,
            problem=left_out.problem,
        )
