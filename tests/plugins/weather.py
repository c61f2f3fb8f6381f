"""A plugin that answers well, or fails in the way that it is told."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from app.db import receipts
from app.db.effects import EffectKind
from app.plugins import (
    Action,
    Context,
    Decision,
    Effect,
    Job,
    JobContext,
    Keyword,
    Pattern,
    Plugin,
    PluginSettings,
    Reply,
    Router,
    Snapshot,
    TextReply,
    Tx,
)


class WeatherSettings(PluginSettings):
    city: str = "上海"


class Tell(Action):
    """`weather.tell`: says how the weather is."""

    name: ClassVar[str] = "weather.tell"
    how: str = "晴"

    def decide(self, snap: Snapshot) -> Decision:
        if self.how == "raise":
            raise LookupError("no weather")
        if self.how == "text":
            return "晴"  # type: ignore[return-value]  # what is to be found out
        return Decision.say(TextReply(f"{WeatherSettings.current().city} {self.how}"))

    def preview(self) -> str:
        if self.how == "raise":
            raise LookupError("no preview")
        return f"天气：{self.how}"


@dataclass(frozen=True, slots=True)
class Note(Effect):
    kind: ClassVar[str] = "weather.note"
    how: str


class Notes:
    kind: ClassVar[str] = "weather.note"

    async def apply(self, tx: Tx, requests: Sequence[Note]) -> list[str]:
        hows = [request.how for request in requests]
        if "raise" in hows:
            raise LookupError("no notebook")
        if "await" in hows:
            await asyncio.sleep(0)
        if "put" in hows:
            await tx.put(receipts.INSERT, [_ANY_RECEIPT, _ANY_RECEIPT])
        if "short" in hows:
            return []
        return hows

    def render(self, outcome: str) -> Reply | None:
        if outcome == "words":
            return "记下了"  # type: ignore[return-value]  # what is to be found out
        return TextReply(f"记下：{outcome}")


_ANY_RECEIPT: dict[str, Any] = {
    "key": "weather",
    "account_id": 1,
    "request_hash": None,
    "status": 200,
    "answer": None,
    "tries": 1,
    "expires_at": datetime(2026, 1, 1, tzinfo=UTC),
}


@dataclass
class Made:
    """The plugin, and what its job was given."""

    ran: list[dict[str, Any]] = field(default_factory=list)
    trouble: Exception | None = None

    async def run(self, ctx: JobContext, **args: Any) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.ran.append(args)

    def plugin(self) -> Plugin:
        router = Router("weather")

        @router.decide(Keyword("天气"))
        def today(snap: Snapshot) -> Decision:
            return Decision.say(TextReply("今天晴"))

        @router.decide(Pattern("^fail"))
        def fail(snap: Snapshot) -> Decision | None:
            raise LookupError("no forecast")

        @router.decide(Keyword("text"))
        def text(snap: Snapshot) -> Decision:
            return "今天晴"  # type: ignore[return-value]  # what is to be found out

        @router.decide(Keyword("surrogate"))
        def surrogate(snap: Snapshot) -> Decision:
            return Decision.say(TextReply("\ud83d"))

        @router.decide(Pattern("^note "))
        def note(snap: Snapshot) -> Decision:
            return Decision(steps=(Note(snap.follower.id, snap.incoming.text[5:]),))

        @router.apart(Pattern("^later"))
        async def later(ctx: Context) -> Any:
            match ctx.incoming.text:
                case "later raise":
                    raise LookupError("no satellite")
                case "later text":
                    return "晴"
                case "later sleep":
                    await asyncio.sleep(30)
                case _:
                    pass
            return TextReply("明天晴")

        kinds: list[EffectKind[Any, Any]] = [Notes()]
        return Plugin(
            name="weather",
            api=1,
            version="1.2.3",
            routers=[router],
            actions=[Tell],
            kinds=kinds,
            jobs=[Job(name="refresh", run=self.run, every_minutes=10, timeout_seconds=0.2)],
            settings=WeatherSettings,
        )
