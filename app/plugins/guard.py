"""Stands between the server and a plugin's code: contains its failures and says whose they are.

A guard costs one call and a try. Whose code blocks a thread needs no mark while it runs: the guards
are on the stack, and the watchdog reads the stack of a thread that stands still.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NoReturn, TypeAlias, cast

from pydantic import ModelWrapValidatorHandler, create_model, model_validator

from app.conversation.apart import Context
from app.conversation.router import Apart, Decide, Route, Router
from app.core.actions import Action
from app.core.blame import PartFailed, PassedOver, in_words
from app.core.decisions import Decision, Effect, Snapshot
from app.core.replies import Reply, TextReply
from app.db.effects import EffectKind
from app.db.faults import is_database, is_passing
from app.db.tx import AwaitedOutside, Tx
from app.delivery.tasks import Again, GiveUp, NotNow, Task
from app.delivery.work import LeaseLost, TaskContext
from app.plugins.answers import BadAnswer, check_decision, check_reply, check_said
from app.plugins.plugin import Job, task_name

NOT_OPEN = "抱歉，这项服务暂时没有开放。"
WAIT_SECONDS = 60.0
"""How often a waiting job of a plugin that is off asks whether it is on again."""
ABSENT_SECONDS = 600.0
"""How often a job whose plugin is not there looks for it."""
_LATE_SECONDS = 5.0
_NO_FAILURES = (Again, GiveUp, NotNow, LeaseLost)

Report: TypeAlias = Callable[[str, str, BaseException], None]
"""`(plugin, part, error)`: counts one failure. Callable from any thread."""


class Escaped(Exception):
    """A plugin raised what would have ended the process, such as `SystemExit`, or a cancellation that
    nobody had asked for."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(in_words(error))


class PluginOff(Exception):
    """The plugin is switched off; what asked for it is told so."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"plugin {owner} is switched off")


def is_ours(error: BaseException) -> bool:
    """Whether the program itself ends the work by it. A plugin that waits for a task of its own which
    was cancelled meets a cancellation, too."""
    if not isinstance(error, asyncio.CancelledError):
        return isinstance(error, KeyboardInterrupt | GeneratorExit)
    try:
        task = asyncio.current_task()
    except RuntimeError:  # the database's own thread, which nobody cancels
        return False
    return task is None or task.cancelling() > 0


class Guard:
    """One plugin's switch, and the way its failures go. `off` is read at every call."""

    def __init__(self, owner: str, report: Report) -> None:
        self.owner = owner
        self.off = False
        self._report = report

    def failed(self, part: str, error: BaseException) -> None:
        """Counts a failure now."""
        self._report(self.owner, part, error)

    def failure(self, part: str, error: BaseException) -> PartFailed:
        """A failure that is counted when what becomes of it is stored."""
        return PartFailed(self.owner, part, error, lambda: self.failed(part, error))

    def passed_over(self, part: str, error: BaseException) -> PassedOver:
        return PassedOver(self.owner, part, error, lambda: self.failed(part, error))


class _GuardedDecide:
    """A handler that decides in the batch. One that fails is passed over."""

    __slots__ = ("_aparts", "_guard", "_kinds", "_route", "owner")

    def __init__(
        self, guard: Guard, route: Route, kinds: Collection[str], aparts: Collection[str]
    ) -> None:
        self.owner = guard.owner
        self._guard = guard
        self._route = route
        self._kinds = kinds
        self._aparts = aparts

    def __call__(self, snap: Snapshot) -> Decision | None:
        if self._guard.off:
            return None
        route = self._route
        try:
            if route.filters and not any(matches(snap) for matches in route.filters):
                return None
            decision = route.decide(snap)
            if decision is None:
                return None
            return check_decision(decision, self._kinds, self._aparts)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._guard.passed_over(f"handler {route.name}", error) from error


class _GuardedApart:
    """Checks what an apart handler says. Its failures are told by who runs it, time-outs included."""

    def __init__(self, guard: Guard, handler: Apart) -> None:
        self.owner = guard.owner
        self._guard = guard
        self._handler = handler

    async def __call__(self, context: Context) -> Any:
        if self._guard.off:
            raise PluginOff(self.owner)
        try:
            return check_said(await self._handler(context))
        except Exception:
            raise
        except BaseException as error:
            if is_ours(error):
                raise
            raise Escaped(error) from error


def guarded_router(guard: Guard, router: Router, kinds: Collection[str]) -> Router:
    """The router with a guard before each of its handlers."""
    made = Router(router.name)
    for route in router.routes:
        decide: Decide = _GuardedDecide(guard, route, kinds, router.aparts)
        made.routes.append(Route((), decide, route.name))
    made.aparts = {name: _GuardedApart(guard, run) for name, run in router.aparts.items()}
    return made


# --- actions --------------------------------------------------------------------------------------


class _GuardedAction:
    """What a plugin's action does, contained. The rule that holds it belongs to the shop: where the
    action fails the follower hears an apology, where the plugin is off that it is not open."""

    def __init__(
        self, guard: Guard, action: type[Action], kinds: Collection[str], aparts: Collection[str]
    ) -> None:
        self.owner = guard.owner
        self._guard = guard
        self._action = action
        self._part = f"action {action.name}"
        self._kinds = kinds
        self._aparts = aparts

    def decide(self, settings: Action, snap: Snapshot) -> Decision:
        if self._guard.off:
            return Decision.say(TextReply(NOT_OPEN), plugin_off=self.owner)
        try:
            return check_decision(self._action.decide(settings, snap), self._kinds, self._aparts)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._guard.failure(self._part, error) from error

    def preview(self, settings: Action) -> str:
        try:
            line = self._action.preview(settings)
            check_reply(TextReply(line))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # a list of rules must not break over one line
            self._guard.failed(self._part, error)
            return f"{self._action.name}（无法预览）"
        return line

    def read(self, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Whatever a validator of the plugin raises is a mistake in what was written: neither saving
        a rule nor loading a shop's rules may break over it."""
        try:
            return handler(data)
        except (ValueError, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._guard.failed(self._part, error)
            raise ValueError(in_words(error)) from error


def guarded_action(
    guard: Guard, action: type[Action], kinds: Collection[str], aparts: Collection[str]
) -> type[Action]:
    """A subclass of the action that contains its failures."""
    inside = _GuardedAction(guard, action, kinds, aparts)

    class Contained:
        __doc__ = action.__doc__

        def decide(self, snap: Snapshot) -> Decision:
            return inside.decide(cast(Action, self), snap)

        def preview(self) -> str:
            return inside.preview(cast(Action, self))

    def read(_: Any, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        return inside.read(data, handler)

    validator: Any = model_validator(mode="wrap")(cast(Any, classmethod(read)))
    bases: Any = (Contained, action)
    made: Any = create_model(
        action.__name__, __base__=bases, __validators__={"_contained": validator}
    )
    return cast(type[Action], made)


# --- effects --------------------------------------------------------------------------------------


_NOTHING: Final = object()
"""The outcome of what was not applied."""


class GuardedKind:
    """An effect kind of a plugin. Trouble of the database is not its failure; the rest is."""

    def __init__(self, guard: Guard, kind: EffectKind[Any, Any]) -> None:
        self.owner = guard.owner
        self.kind = kind.kind
        self._guard = guard
        self._kind = kind
        self._part = f"effect kind {kind.kind}"

    async def apply(self, tx: Tx, requests: Sequence[Effect]) -> list[Any]:
        """Nothing is written while the plugin is off: another plugin may ask for its effects."""
        if self._guard.off:
            return [_NOTHING] * len(requests)
        await tx.settle()  # what others put, and what goes wrong with it, is theirs
        try:
            outcomes = _outcomes(await self._kind.apply(tx, requests), len(requests))
            await tx.settle()
        except GeneratorExit:  # the transaction stops what waits for anything but itself
            self._blame(AwaitedOutside("it waited for something other than the transaction"))
        except Exception as error:
            if is_database(error) and is_passing(error):
                raise
            self._blame(error)
        except BaseException as error:
            if is_ours(error):
                raise
            self._blame(Escaped(error))
        return outcomes

    def render(self, outcome: Any) -> Reply | None:
        if outcome is _NOTHING:
            return None
        try:
            said = self._kind.render(outcome)
            if said is not None:
                check_reply(said)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._guard.failure(self._part, error) from error
        return said

    def _blame(self, error: Exception) -> NoReturn:
        raise self._guard.failure(self._part, error) from error


def _outcomes(given: object, wanted: int) -> list[Any]:
    if not isinstance(given, list | tuple) or len(given) != wanted:
        raise BadAnswer("apply must return a list with one outcome for each request")
    return list(given)


# --- jobs -----------------------------------------------------------------------------------------


class _GuardedJob:
    """Runs a job within its time. While the plugin is off jobs wait, but for those of a timetable,
    which come again anyway."""

    def __init__(self, guard: Guard, job: Job) -> None:
        self.owner = guard.owner
        self._guard = guard
        self._job = job
        self._task = task_name(guard.owner, job.name)

    async def __call__(self, ctx: TaskContext, **args: Any) -> Any:
        if self._guard.off:
            if (ctx.job.dedup or "").startswith(f"{self._task}@"):
                return None
            raise NotNow(WAIT_SECONDS, f"plugin {self.owner} is switched off")
        try:
            async with asyncio.timeout(self._job.timeout_seconds):
                return await self._job.run(ctx, **args)
        except _NO_FAILURES:
            raise
        except Exception as error:
            if not (is_database(error) and is_passing(error)):
                self._guard.failed(f"job {self._job.name}", error)
            raise
        except BaseException as error:
            if is_ours(error):
                raise
            self._guard.failed(f"job {self._job.name}", error)
            raise Escaped(error) from error


async def wait_for_plugin(ctx: TaskContext, **_: Any) -> None:
    """Stands in for jobs of plugins that this process does not have: one that could not be loaded is
    mended and comes back, and then they are not to be lost."""
    raise NotNow(ABSENT_SECONDS, f"no plugin here has the job {ctx.job.task}")


def guarded_task(guard: Guard, job: Job) -> Task:
    """The job as a task; its own time ends before the runner's, so that being late is its failure."""
    return Task(
        task_name(guard.owner, job.name),
        job.queue,
        _GuardedJob(guard, job),
        attempts=job.attempts,
        timeout_seconds=job.timeout_seconds + _LATE_SECONDS,
    )
