"""`Chat`: followers talk to an installation, and the test sees what they see."""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import func, select

from app.accounts.service import AccountSettings
from app.conversation.apart import HANDLER_SECONDS
from app.db.audit import CLI
from app.db.tx import Tx
from app.delivery.models import Job
from app.engines.followers.models import Follower as FollowerRow
from app.engines.followers.tags import tags_of
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.support.queries import find_trace
from app.plugins.plugin import Plugin
from app.plugins.settings import PluginSettings
from app.runtime import Extensions
from app.testing.answers import Answers, read_items
from app.testing.installation import APPID, ORIGINAL_ID, Installation, open_installation

NOON = datetime(2026, 1, 1, 4, 0, tzinfo=UTC)
"""When a chat begins, if nothing else is said: noon in Beijing, a Thursday."""
FIRST = "小林"
"""The follower that `Chat` itself speaks as."""
_PAUSE_SECONDS = 0.005


class NotAnswered(AssertionError):
    """The follower saw the platform's fault line instead of an answer; says why."""


class PluginFailed(AssertionError):
    """A plugin failed on the way; its own error is the cause of this one."""


class PluginLeftOut(AssertionError):
    """A plugin cannot be loaded; says why."""


class Follower:
    """One follower's phone. Each call returns what came of it, once nothing more is due."""

    def __init__(self, chat: "Chat", name: str) -> None:
        self.name = name
        digest = hashlib.sha256(name.encode()).hexdigest()
        self.openid = f"oSIM{digest[:24]}"
        self._chat = chat
        self._known = False
        self._seen = 0
        self._delivery: str | None = None

    async def say(self, text: str) -> Answers:
        """Types a text."""
        return await self._act(do="text", text=text)

    async def tap(self, key: str) -> Answers:
        """Taps the menu button with this key."""
        return await self._act(do="menu", type="click", key=key)

    async def choose(self, words: str) -> Answers:
        """Takes an option of the last menu by its words: taps it, or types its number where the menu
        came as text."""
        for item in reversed(await self._screen()):
            for option in item.get("options", ()):
                if words in (option["id"], option["text"]):
                    return await self._act(do="option", id=option["id"], text=option["text"])
            numbered = re.search(
                rf"^(\d+)\. {re.escape(words)}$", item.get("text", ""), re.MULTILINE
            )
            if item["from"] == "account" and numbered:
                return await self.say(numbered[1])
        raise AssertionError(f"no option {words!r} on the screen of {self.name}")

    async def scan(self, scene: str) -> Answers:
        """Scans the code with this scene; somebody who does not follow yet follows by it."""
        return await self._act(do="scan", scene=scene)

    async def follow(self, scene: str = "") -> Answers:
        """Follows the account, for the first time or again, perhaps through a code."""
        return await self._act(do="follow", scene=scene)

    async def unfollow(self) -> Answers:
        return await self._act(do="unfollow")

    async def send_picture(self) -> Answers:
        return await self._act(do="picture")

    async def send_voice(self) -> Answers:
        return await self._act(do="voice")

    async def send_position(
        self, latitude: float = 31.230416, longitude: float = 121.473701, label: str = "人民广场"
    ) -> Answers:
        place = {"latitude": latitude, "longitude": longitude, "label": label}
        return await self._act(do="position", place=place)

    async def answers(self) -> Answers:
        """What came since the last look, such as after time was moved."""
        return await self._look()

    async def tags(self) -> frozenset[str]:
        """The tags the server keeps for this follower."""

        async def read(tx: Tx) -> frozenset[str]:
            statement = select(FollowerRow.id).where(FollowerRow.openid == self.openid)
            number = await tx.value(statement)
            return (await tx.ask(tags_of([number]))).get(number, frozenset())

        return await self._chat.installation.runtime.database.read(read)

    async def trace(self) -> Mapping[str, Any]:
        """Why the last contact was answered as it was: `handler`, `rule`, `word`, `failed`, …"""
        if self._delivery is None:
            raise AssertionError(f"{self.name} has not done anything yet")
        delivery = await self._get(f"http://wechat/api/deliveries/{self._delivery}")
        installation = self._chat.installation
        found = await installation.runtime.database.read(
            lambda tx: find_trace(tx, installation.account_id, delivery["key"])
        )
        return {} if found is None else found.why

    # --- the phone --------------------------------------------------------------------------------

    async def _act(self, **action: Any) -> Answers:
        await self._appear(following=action["do"] not in ("follow", "scan"))
        answer = await self._chat.installation.phone.post(
            f"followers/{self.openid}/actions", params={"wait": "true"}, json=action
        )
        if answer.status_code != 200:
            raise AssertionError(f"{self.name} cannot do that: {answer.text}")
        for number in answer.json()["deliveries"]:
            self._delivery = number
            await self._check(number)
        await self._chat.settle()
        return await self._look()

    async def _appear(self, *, following: bool) -> None:
        """Made on first use; whoever writes or taps has followed long ago."""
        if self._known:
            return
        given = {"openid": self.openid, "name": self.name, "following": following}
        answer = await self._chat.installation.phone.post("followers", json=given)
        answer.raise_for_status()
        self._known = True

    async def _check(self, delivery: str) -> None:
        found = await self._get(f"http://wechat/api/deliveries/{delivery}")
        if found["state"] in ("failed", "interrupted"):
            self._chat.raise_failures()
            raise NotAnswered(f"{self.name} saw a fault: {found['reason']}")

    async def _look(self) -> Answers:
        """What is on the screen and has not been returned yet."""
        if not self._known:
            return Answers()
        new = [item for item in await self._screen() if item["id"] > self._seen]
        self._seen = max((item["id"] for item in new), default=self._seen)
        return read_items(new)

    async def _screen(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self._get(f"followers/{self.openid}/screen"))["items"]
        return items

    async def _get(self, url: str) -> Any:
        answer = await self._chat.installation.phone.get(url)
        answer.raise_for_status()
        return answer.json()


class Chat(Follower):
    """An installation with these plugins, and a first follower, whom the chat itself speaks as.

        async with Chat(plugins=[plugin]) as chat:
            assert (await chat.say("天气")).text == "今天晴"

    Real server, real SQLite, the platform's side by the simulator; no network, and no environment:
    plugins have the defaults of their settings, or `settings`. A plugin that fails raises
    `PluginFailed` in the test, unless `failing` says that it may; then `failures` lists them.

    Time runs from `starts_at` on, and is moved by `move_time`.
    """

    def __init__(
        self,
        plugins: Sequence[Plugin] = (),
        *,
        settings: Sequence[PluginSettings] = (),
        rules: Sequence[Mapping[str, Any]] = (),
        bindings: Sequence[Mapping[str, Any]] = (),
        flows: Sequence[Mapping[str, Any]] = (),
        kind: str = "service",
        verified: bool = True,
        contact: str = "",
        starts_at: datetime = NOON,
        failing: bool = False,
        handler_seconds: float = HANDLER_SECONDS,
    ) -> None:
        """`rules`, `bindings` and `flows` as the API takes them; a rule's name and kind may be left
        out. An account that is not a verified service account cannot send customer messages."""
        super().__init__(self, FIRST)
        self.failures: list[tuple[str, str, BaseException]] = []
        """Plugin, part and error of each failure."""
        self._rules = [_rule(one) for one in rules]
        self._bindings = [BindingInput.model_validate(one) for one in bindings]
        self._flows = [FlowInput.model_validate(one) for one in flows]
        self._account = AccountSettings(
            name="测试公众号",
            kind=kind,
            verified=verified,
            original_id=ORIGINAL_ID,
            appid=APPID,
            contact=contact,
        )
        self._extensions = Extensions(
            plugins=plugins,
            find_plugins=False,
            plugin_settings=settings,
            handler_seconds=handler_seconds,
        )
        self._starts_at = starts_at
        self._failing = failing
        self._followers: dict[str, Follower] = {FIRST: self}
        self._open: AbstractAsyncContextManager[Installation] | None = None
        self._installation: Installation | None = None

    @property
    def installation(self) -> Installation:
        """What runs behind the chat."""
        if self._installation is None:
            raise RuntimeError("use it as `async with Chat(…) as chat`")
        return self._installation

    def follower(self, name: str) -> Follower:
        """Another follower; the same one for the same name."""
        if name not in self._followers:
            self._followers[name] = Follower(self, name)
        return self._followers[name]

    @property
    def now(self) -> datetime:
        return self.installation.clock.now()

    async def move_time(self, **parts: float) -> Answers:
        """Moves time on by `timedelta(**parts)`, runs what has become due, and returns what this
        follower got by it."""
        self.installation.move_time(timedelta(**parts).total_seconds())
        await self.installation.runtime.timetable.tick()
        await self.settle()
        return await self.answers()

    async def run_job(self, job: str, **args: Any) -> Answers:
        """Runs a plugin's job, `<plugin>.<job>`, and returns what this follower got by it."""
        runtime = self.installation.runtime

        async def enqueue(tx: Tx) -> None:
            await runtime.jobs.enqueue(tx, f"plugin.{job}", args)

        await runtime.database.transaction(enqueue)
        await self.settle()
        return await self.answers()

    async def settle(self) -> None:
        """Returns when nothing is under way or due any more. Raises `PluginFailed`."""
        runtime = self.installation.runtime
        running = select(func.count()).select_from(Job).where(Job.state == "running")
        while True:
            ran = await runtime.runner.drain()
            if await runtime.database.read(lambda tx: tx.value(running)):
                await asyncio.sleep(_PAUSE_SECONDS)
            elif not ran:
                break
        self.raise_failures()

    def raise_failures(self) -> None:
        if self.failures and not self._failing:
            plugin, part, error = self.failures[0]
            self.failures.clear()  # told once: what is done next is not to blame
            raise PluginFailed(f"{part} of plugin {plugin}: {error!r}") from error

    async def __aenter__(self) -> Self:
        opening = open_installation(self._extensions, self._starts_at, self._account)
        self._installation = await opening.__aenter__()
        self._open = opening
        try:
            await self._prepare(self._installation)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """What the test raised stays as it is: the task groups inside would wrap it up."""
        await self._close()

    async def _close(self) -> None:
        if self._open is not None:
            await self._open.__aexit__(None, None, None)
            self._open = self._installation = None

    async def _prepare(self, installation: Installation) -> None:
        plugins = installation.runtime.plugins
        for left_out in plugins.left_out:
            raise PluginLeftOut(f"{left_out.name}: {left_out.problem}")
        plugins.on_failure(lambda *failure: self.failures.append(failure))
        await self._write_replies(installation)

    async def _write_replies(self, installation: Installation) -> None:
        runtime = installation.runtime
        await runtime.database.transaction(
            lambda tx: runtime.replies.import_many(
                tx,
                CLI,
                installation.account_id,
                rules=self._rules,
                bindings=self._bindings,
                flows=self._flows,
            )
        )
        await runtime.book.refresh()


def _rule(written: Mapping[str, Any]) -> RuleInput:
    words = written.get("words") or [""]
    return RuleInput.model_validate({"name": words[0], "kind": "exact", **written})
