"""Switching plugins on and off by hand, for all processes."""

from collections.abc import Collection

from app.core.clock import Clock
from app.core.events import Event
from app.db.audit import Actor, Audit
from app.db.events import Events
from app.db.tx import Tx
from app.plugins.errors import NoSuchPlugin
from app.plugins.records import Record, lock_record, read_records, switch_record

INSTALLATION = 0
"""Stands for the account in events of what belongs to no account."""


def plugin_event(kind: str, plugin: str, **told: object) -> Event:
    return Event(INSTALLATION, kind, "plugin", 0, {"plugin": plugin, **told})


class Switchboard:
    def __init__(self, clock: Clock, audit: Audit, events: Events) -> None:
        self._clock = clock
        self._audit = audit
        self._events = events

    async def switch(
        self, tx: Tx, name: str, *, on: bool, actor: Actor, loaded: Collection[str]
    ) -> Record:
        """The plugin's record afterwards. Nothing happens where it is so already.

        Every process follows within two seconds. Switched on, its failures are counted anew. Raises
        `NoSuchPlugin` for one that is neither `loaded` nor has ever failed or been switched.
        """
        if name not in loaded:
            known = {*loaded, *await read_records(tx)}
            if name not in known:
                raise NoSuchPlugin(plugin=name[:40], known=", ".join(sorted(known)) or "-")
        before = await lock_record(tx, name, self._clock.now())
        if before.off is not on:
            return before
        after = await switch_record(
            tx, before, on=on, reason=f"switched off by {actor.name}", now=self._clock.now()
        )
        action = "plugin.enabled" if on else "plugin.disabled"
        await self._audit.record(
            tx,
            actor,
            action,
            f"plugin:{name}",
            before={"off": before.off, "reason": before.reason, "failures": before.failures},
            after={"off": after.off},
        )
        told = {} if on else {"reason": after.reason}
        await self._events.emit(tx, [plugin_event(action, name, **told)])
        return after
