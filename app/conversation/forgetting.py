"""Dialogues that nobody came back to."""

from datetime import timedelta

from sqlalchemy import bindparam

from app.conversation.models import FlowStateRow
from app.db.base import Utc
from app.db.purge import Walk

FLOWS_KEPT = timedelta(days=7)
"""After their end: who comes back sooner is told that the dialogue is over."""
FLOWS = Walk(
    FlowStateRow,
    (FlowStateRow.follower_id,),
    FlowStateRow.expires_at <= bindparam("moment", type_=Utc()),
)
