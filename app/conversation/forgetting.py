"""Dialogues that nobody came back to, and flows that nobody is in any more."""

from datetime import timedelta

from sqlalchemy import bindparam

from app.conversation.models import FlowStateRow
from app.db.base import Utc
from app.db.purge import Walk
from app.engines.replies.models import FlowVersion

_MOMENT = bindparam("moment", type_=Utc())
DIALOGUES_KEPT = timedelta(days=7)
"""After their end: who comes back within the hour is told that the dialogue is over, and staff see
for some days where followers gave up."""
DIALOGUES = Walk(FlowStateRow, (FlowStateRow.follower_id,), FlowStateRow.expires_at <= _MOMENT)
SUPERSEDED = Walk(
    FlowVersion, (FlowVersion.flow_id, FlowVersion.version), FlowVersion.superseded_at <= _MOMENT
)
"""Kept for `FLOWS_KEPT` of `engines.replies.queries`."""
