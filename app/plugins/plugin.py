"""What a plugin is: one typed value that names all it brings along."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from app.conversation.router import Router
from app.core.actions import Action
from app.db.effects import EffectKind
from app.delivery.tasks import Queue
from app.plugins.settings import PluginSettings

API: Final = 1
"""The number of this interface. It rises when a plugin written for the one before would break."""
TASKS: Final = "plugin."
"""What the names of all plugins' tasks begin with."""
_NAME = re.compile(r"[a-z][a-z0-9_]{1,31}")

Run: TypeAlias = Callable[..., Awaitable[Any]]
"""`async def run(ctx: JobContext, **args)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that runs later, on its own, under the name `plugin.<plugin>.<name>`.

    With `every_minutes`, or `daily_at` ("03:30", in `time_zone`), it comes back by itself, once for
    all processes; slots missed meanwhile are made up for by one run. Otherwise `enqueue` asks for it.
    It may run again after a crash.
    """

    name: str
    run: Run
    every_minutes: float | None = None
    daily_at: str | None = None
    time_zone: str = "Asia/Shanghai"
    queue: Queue = "bulk"
    attempts: int = 5
    """Tries in all, the first included."""
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin. Its actions and effect kinds are named `<plugin>.<something>`, its routers
    `<plugin>` or `<plugin>.<something>`."""

    name: str
    """2 to 32 of a-z, 0-9 and _, a letter first."""
    api: int
    """The interface it is written for: `app.plugins.API` at that time."""
    version: str = "0"
    routers: Sequence[Router] = ()
    actions: Sequence[type[Action]] = ()
    kinds: Sequence[EffectKind[Any, Any]] = ()
    jobs: Sequence[Job] = ()
    settings: type[PluginSettings] | None = None
    """Read from `GUANXI_PLUGIN_<NAME>_<FIELD>`."""


def is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def task_name(plugin: str, job: str) -> str:
    return f"{TASKS}{plugin}.{job}"


def env_prefix(plugin: str) -> str:
    """What the plugin's variables begin with."""
    return f"GUANXI_PLUGIN_{plugin.upper()}_"
