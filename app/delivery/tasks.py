"""The kinds of later work: what runs under a name, and how it is to be treated."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Queue: TypeAlias = Literal["reply", "send", "bulk"]
QUEUES: tuple[Queue, ...] = ("reply", "send", "bulk")
"""In order of urgency. Priority is a queue and not a column: a near-empty claim must not scan timers."""

Handler: TypeAlias = Callable[..., Awaitable[Any]]


class UnknownTask(LookupError):
    """A job names a task that this process does not know: it was written by another version."""


class GiveUp(Exception):
    """Raised by a task whose work can never succeed: the job fails at once, without more tries."""


class Again(Exception):
    """Raised by a task that wants to be run again after `seconds`; counts as a try."""

    def __init__(self, seconds: float, reason: str = "asked to run again") -> None:
        super().__init__(reason)
        self.seconds = seconds


class NotNow(Exception):
    """Raised by a task that cannot be tried at present: run again after `seconds`; counts as no try."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Task:
    """A handler `async run(ctx, **args)` and its rules."""

    name: str
    queue: Queue
    run: Handler
    attempts: int = 5
    """Tries in all, the first included."""
    timeout_seconds: float = 30.0
    """A try that takes longer is cancelled and counts as failed."""
    after_crash: Literal["retry", "ask"] = "retry"
    """What becomes of a job whose process died in the middle: run again, or ask a person."""
    rate: Callable[[Mapping[str, Any]], str | None] | None = None
    """From a job's args to the name of the bucket in `rate` that it takes a token from."""


class Tasks:
    """All tasks of a process, by name. Filled at start, by `runtime` and the engines."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._stand_ins: dict[str, Task] = {}

    def task(
        self,
        name: str,
        *,
        queue: Queue,
        attempts: int = 5,
        timeout_seconds: float = 30.0,
        after_crash: Literal["retry", "ask"] = "retry",
        rate: Callable[[Mapping[str, Any]], str | None] | None = None,
    ) -> Callable[[Handler], Task]:
        """Decorator that registers `async def f(ctx: TaskContext, **args)` under `name`."""

        def register(run: Handler) -> Task:
            return self.add(Task(name, queue, run, attempts, timeout_seconds, after_crash, rate))

        return register

    def add(self, task: Task) -> Task:
        """Registers a task; a name is taken once."""
        if task.name in self._tasks:
            raise ValueError(f"task {task.name} is registered twice")
        self._tasks[task.name] = task
        return task

    def get(self, name: str) -> Task:
        """The task of that name; raises `UnknownTask`."""
        try:
            return self._tasks[name]
        except KeyError:
            raise UnknownTask(name) from None

    def stand_in(self, prefix: str, task: Task) -> None:
        """Jobs of unknown names that begin so are run by `task` instead of failing."""
        self._stand_ins[prefix] = task

    def for_running(self, name: str) -> Task:
        """As `get`, or what stands in for it."""
        if name not in self._tasks:
            for prefix, task in self._stand_ins.items():
                if name.startswith(prefix):
                    return task
        return self.get(name)

    def names(self) -> list[str]:
        return sorted(self._tasks)
