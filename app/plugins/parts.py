"""Checks what a plugin brings along, once, when it is loaded."""

import inspect
from collections.abc import Iterator
from datetime import time
from zoneinfo import ZoneInfo

from app.conversation.router import Router
from app.core.actions import Action
from app.delivery.tasks import QUEUES
from app.plugins.plugin import API, Job, Plugin, is_name
from app.plugins.settings import PluginSettings

RESERVED = frozenset(
    {
        *("held", "flows", "queued", "silence", "options", "keywords", "bindings", "fallback"),
        *("consent", "human", "guanxi"),
    }
)
"""Routers of our own, present and to come: traces name handlers by them."""
_HALF = ("apply", "render")
MOST_MINUTES = 366 * 24 * 60


class Unusable(Exception):
    """The plugin is left out; the message is for its operator."""


def check_plugin(found: object) -> Plugin:
    """The plugin itself. Raises `Unusable` with the first thing that is wrong."""
    if not isinstance(found, Plugin):
        raise Unusable(f"a Plugin is expected, not {type(found).__name__}")
    if not is_name(found.name):
        raise Unusable(f"its name {found.name!r} must be 2 to 32 of a-z, 0-9 and _, a letter first")
    if found.api != API:
        raise Unusable(f"it is written for interface {found.api!r}; this server has {API}")
    if found.name in RESERVED:
        raise Unusable(f"the name {found.name!r} is the server's own")
    problem = next(_problems(found), None)
    if problem is not None:
        raise Unusable(problem)
    return found


def _problems(plugin: Plugin) -> Iterator[str]:
    if not isinstance(plugin.version, str) or len(plugin.version) > 40:
        yield "its version must be a text of at most 40 characters"
    for list_name in ("routers", "actions", "kinds", "jobs"):
        if not isinstance(getattr(plugin, list_name), list | tuple):
            yield f"{list_name} must be a list"
    yield from _router_problems(plugin)
    yield from _action_problems(plugin)
    yield from _kind_problems(plugin)
    yield from _job_problems(plugin)
    settings = plugin.settings
    if settings is not None and not (
        inspect.isclass(settings) and issubclass(settings, PluginSettings)
    ):
        yield "settings must be a subclass of PluginSettings"


def _router_problems(plugin: Plugin) -> Iterator[str]:
    names: set[str] = set()
    for router in plugin.routers:
        if not isinstance(router, Router):
            yield f"routers: {type(router).__name__} is no Router"
            continue
        if router.name != plugin.name and not _is_own(router.name, plugin):
            yield f"router {router.name!r} must be named {plugin.name} or {plugin.name}.<something>"
        if router.name in names:
            yield f"two routers are named {router.name}"
        names.add(router.name)
        for route in router.routes:
            if route.name not in router.aparts and inspect.iscoroutinefunction(route.decide):
                yield f"handler {route.name} is async; a decide handler is a plain function"
        for name, handler in router.aparts.items():
            if not inspect.iscoroutinefunction(handler):
                yield f"handler {name} is not async; an apart handler is an async function"


def _action_problems(plugin: Plugin) -> Iterator[str]:
    names: set[str] = set()
    for action in plugin.actions:
        if not (inspect.isclass(action) and issubclass(action, Action)):
            yield f"actions: {action!r} is no subclass of Action"
            continue
        name = getattr(action, "name", None)
        if not _is_own(name, plugin):
            yield f"action {name!r} must be named {plugin.name}.<something>"
        if inspect.isabstract(action):
            yield f"action {name} lacks {', '.join(sorted(action.__abstractmethods__))}"
        if inspect.iscoroutinefunction(action.decide):
            yield f"decide of action {name} is async; it must be a plain function"
        if name in names:
            yield f"two actions are named {name}"
        names.add(str(name))


def _kind_problems(plugin: Plugin) -> Iterator[str]:
    names: set[str] = set()
    for kind in plugin.kinds:
        name = getattr(kind, "kind", None)
        if inspect.isclass(kind):
            yield f"kinds: {kind.__name__} is a class; an object of it is expected"
        if not _is_own(name, plugin):
            yield f"effect kind {name!r} must be named {plugin.name}.<something>"
        missing = [half for half in _HALF if not callable(getattr(kind, half, None))]
        if missing:
            yield f"effect kind {name} lacks {', '.join(missing)}"
        elif not inspect.iscoroutinefunction(kind.apply):
            yield f"apply of effect kind {name} must be async"
        if name in names:
            yield f"two effect kinds are named {name}"
        names.add(str(name))


def _job_problems(plugin: Plugin) -> Iterator[str]:
    names: set[str] = set()
    for job in plugin.jobs:
        if not isinstance(job, Job):
            yield f"jobs: {type(job).__name__} is no Job"
            continue
        if not is_name(job.name):
            yield f"job {job.name!r}: a name is 2 to 32 of a-z, 0-9 and _, a letter first"
        if not inspect.iscoroutinefunction(job.run):
            yield f"job {job.name} is not an async function"
        if job.name in names:
            yield f"two jobs are named {job.name}"
        names.add(job.name)
        yield from _schedule_problems(job)


def _schedule_problems(job: Job) -> Iterator[str]:
    if job.queue not in QUEUES:
        yield f"job {job.name}: queue must be one of {', '.join(QUEUES)}"
    if job.attempts < 1 or not 0 < job.timeout_seconds <= 600:
        yield f"job {job.name}: at least 1 attempt, of at most 600 seconds"
    if job.every_minutes is not None and job.daily_at is not None:
        yield f"job {job.name}: either every_minutes or daily_at"
    if job.every_minutes is not None and not 1 <= job.every_minutes <= MOST_MINUTES:
        yield f"job {job.name}: every_minutes is 1 to {MOST_MINUTES}, a year"
    try:
        ZoneInfo(job.time_zone)
        time.fromisoformat("00:00" if job.daily_at is None else job.daily_at)
    except (ValueError, OSError, LookupError):
        yield f"job {job.name}: daily_at is HH:MM, time_zone a name such as Asia/Shanghai"


def _is_own(name: object, plugin: Plugin) -> bool:
    return isinstance(name, str) and name.startswith(f"{plugin.name}.") and len(name) <= 60
