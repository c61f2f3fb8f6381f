"""What became of each plugin, shared by all processes."""

from datetime import datetime

from sqlalchemy import Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, Json, Utc


class PluginRow(Base):
    """A plugin that failed at least once or was switched by an operator."""

    __tablename__ = "plugin"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    """Since it was last switched on."""
    blocks: Mapped[int] = mapped_column(Integer)
    """How often it took a process down by blocking it, since it was last switched on."""
    recent: Mapped[object] = mapped_column(Json)
    """Milliseconds of the latest failures, as many as the threshold asks for, the oldest first."""
    last_failure: Mapped[str | None] = mapped_column(String(500))
    last_failure_at: Mapped[datetime | None] = mapped_column(Utc)
    disabled_at: Mapped[datetime | None] = mapped_column(Utc)
    reason: Mapped[str | None] = mapped_column(String(300))
    """Why it is off, in words."""
    version: Mapped[int] = mapped_column(Integer)
    updated_at: Mapped[datetime] = mapped_column(Utc)
