"""Where plugins come from: the setting GUANXI_PLUGINS, and what is installed beside the server.

Whatever goes wrong with one, it is named and left out; nothing here raises for a plugin's fault.
"""

import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from app.core.log import mask_text
from app.plugins.guard import Guard, guarded_action, guarded_router
from app.plugins.parts import Unusable, check_plugin
from app.plugins.plugin import Plugin, env_prefix
from app.plugins.settings import PluginSettings

GROUP = "guanxi.plugins"
ATTRIBUTE = "plugin"
"""What is looked for in a module that is named without an attribute."""
LOAD_SECONDS = 10.0
"""A plugin whose import takes longer is left out."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A plugin that does not take part."""

    name: str
    """Its own, or where it was to come from when that is not known."""
    source: str
    problem: str


@dataclass(frozen=True, slots=True)
class Loaded:
    plugin: Plugin
    source: str
    """The entry point or setting it came from."""
    settings: PluginSettings | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    loaded: tuple[Loaded, ...] = ()
    """In the order they are asked: those of the setting first, then the installed ones by name."""
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    source: str
    load: Callable[[], object]
    quick: bool = False
    """It is a value already; nothing is imported."""


def find_plugins(
    named: Sequence[str],
    given: Sequence[Plugin] = (),
    *,
    installed: bool = True,
    settings: Sequence[PluginSettings] | None = None,
    load_seconds: float = LOAD_SECONDS,
) -> Found:
    """Loads `given` plugins, those the setting names, and with `installed` those of entry points.

    With `settings` the environment is not asked: plugins get these, and their defaults.
    """
    loaded: dict[str, Loaded] = {}
    left_out: list[LeftOut] = []
    for candidate in _candidates(named, given, installed=installed):
        try:
            found = _load(candidate, loaded, settings, load_seconds)
        except Unusable as error:
            left_out.append(LeftOut(candidate.name, candidate.source, str(error)))
        except Exception as error:  # noqa: BLE001  # such as a property of its value that raises
            problem = mask_text(f"{type(error).__name__}: {error}")[:300]
            left_out.append(LeftOut(candidate.name, candidate.source, problem))
        else:
            loaded.setdefault(found.plugin.name, found)
    return Found(tuple(loaded.values()), tuple(left_out))


def _load(
    candidate: _Candidate,
    known: Mapping[str, Loaded],
    settings: Sequence[PluginSettings] | None,
    load_seconds: float,
) -> Loaded:
    """Raises `Unusable`. The same plugin found twice is loaded once."""
    plugin = check_plugin(_value(candidate, load_seconds))
    first = known.get(plugin.name)
    if first is not None and first.plugin is not plugin:
        raise Unusable(f"another plugin has the name {plugin.name!r}: {first.source}")
    _try_out(plugin)
    return first or Loaded(plugin, candidate.source, _settings(plugin, settings))


def _try_out(plugin: Plugin) -> None:
    """Puts guards before its parts once, so that nothing is left to fail when the server is built."""
    guard = Guard(plugin.name, _nobody)
    for router in plugin.routers:
        guarded_router(guard, router, ())
    for action in plugin.actions:
        guarded_action(guard, action, (), ())


def _nobody(*_: object) -> None:
    """Nobody wants to know."""


def _candidates(
    named: Sequence[str], given: Sequence[Plugin], *, installed: bool
) -> Iterator[_Candidate]:
    for plugin in given:
        name = str(getattr(plugin, "name", type(plugin).__name__))
        yield _Candidate(name, "given by the program", partial(_itself, plugin), quick=True)
    for path in dict.fromkeys(named):
        yield _Candidate(path, f"GUANXI_PLUGINS {path}", partial(_import, path))
    for point in _installed() if installed else ():
        source = f"entry point {point.name} = {point.value}"
        yield _Candidate(point.name, source, partial(_import, point.value))


def _itself(plugin: object) -> object:
    return plugin


@cache
def _installed() -> tuple[EntryPoint, ...]:
    """Read once: going through every installed package takes tens of milliseconds."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)))


def _import(path: str) -> object:
    """`package.module:attribute`, or `package.module` for its `plugin`."""
    module_name, _, attribute = path.partition(":")
    found: Any = importlib.import_module(module_name.strip())
    for name in (attribute.strip() or ATTRIBUTE).split("."):
        found = getattr(found, name)
    return found


def _value(candidate: _Candidate, load_seconds: float) -> object:
    """What the candidate stands for. Raises `Unusable`, also when its import does not come to an end.

    The import runs in a thread of its own, since nothing else could be turned away from it; one that
    hangs stays behind there.
    """
    if candidate.quick:
        return candidate.load()
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(candidate.load())
        except BaseException as error:  # noqa: BLE001  # even SystemExit of a plugin is its own affair
            outcome.append(_Raised(error))

    thread = threading.Thread(target=run, name=f"load {candidate.name}"[:60], daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(load_seconds)
    if not outcome:
        raise Unusable(f"its import did not end within {load_seconds:g} s{_standing(thread)}")
    if isinstance(outcome[0], _Raised):
        raise Unusable(_import_problem(outcome[0].error, time.monotonic() - began))
    return outcome[0]


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


def _standing(thread: threading.Thread) -> str:
    """Where the import hangs: `, at weather.py:12`."""
    frame = sys._current_frames().get(thread.ident or 0)  # the only way to see it
    return "" if frame is None else f", at {frame.f_code.co_filename}:{frame.f_lineno}"


def _import_problem(error: BaseException, seconds: float) -> str:
    words = mask_text(f"{type(error).__name__}: {error}")[:300]
    return f"its import failed after {seconds:.1f} s: {words}{_place(error)}"


def _place(error: BaseException) -> str:
    """The line of the plugin that raised, if it was one."""
    trace = error.__traceback__
    last = None
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not name.startswith("<frozen") and "importlib" not in name and name != __file__:
            last = f" ({name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return last or ""


def _settings(plugin: Plugin, given: Sequence[PluginSettings] | None) -> PluginSettings | None:
    """The plugin's settings from the environment, or out of `given`. Raises `Unusable` naming each
    variable that is wrong."""
    wanted = plugin.settings
    if wanted is None:
        return None
    prefix = env_prefix(plugin.name)
    try:
        if given is not None:
            found = (one for one in given if type(one) is wanted)
            return next(found, None) or wanted.model_validate({})
        return wanted(_env_prefix=prefix)
    except ValidationError as error:
        wrong = (
            f"{prefix}{'_'.join(str(part) for part in found['loc']).upper()}: {found['msg']}"
            for found in error.errors(include_input=False, include_url=False, include_context=False)
        )
        raise Unusable("; ".join(wrong)) from error
    except Exception as error:
        problem = mask_text(f"{type(error).__name__}: {error}")[:300]
        raise Unusable(f"its settings cannot be read: {problem}") from error
