"""What happened, as engines announce it. `app.db.events.emit` stores and spreads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Written in the transaction of the change it tells of.

    `kind` is in the past tense and names the topic first: `message.created`, `rule.changed`.
    """

    account_id: int
    kind: str
    aggregate_type: str
    aggregate_id: int
    payload: Mapping[str, Any] = field(default_factory=dict)
    aggregate_seq: int = 0
    """The aggregate's own version, so that a reader can order within it."""
