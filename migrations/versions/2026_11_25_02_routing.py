"""Routing: when and for whom rules hold, their history, what they did, flows by version, plugins."""

import sqlalchemy as sa
from alembic import op

from app.db.base import Json, Utc

revision = "02"
down_revision = "01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("rp_rule", "rp_binding"):
        op.add_column(table, sa.Column("hours", Json(), nullable=True))
        op.add_column(table, sa.Column("audience", Json(), nullable=True))
    op.add_column("rp_book", sa.Column("settings", Json(), nullable=True))
    op.add_column(
        "flow_state", sa.Column("version", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("flow_state", sa.Column("path", Json(), nullable=True))
    op.add_column(
        "flow_state",
        sa.Column("paused", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column(
        "flow_state", sa.Column("misses", sa.SmallInteger(), nullable=False, server_default="0")
    )
    # Answers have no key: half of the index was nothing.
    op.drop_index("ix_cs_message_receipt_key", "cs_message")
    op.create_index(
        "ix_cs_message_receipt_key",
        "cs_message",
        ["receipt_key"],
        unique=False,
        sqlite_where=sa.text("receipt_key IS NOT NULL"),
        postgresql_where=sa.text("receipt_key IS NOT NULL"),
    )
    op.create_table(
        "rp_revision",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(length=12), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("counts", Json(), nullable=False),
        sa.Column("changes", Json(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "version", name="pk_rp_revision"),
    )
    op.create_table(
        "rp_flow_version",
        sa.Column("flow_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("steps", Json(), nullable=False),
        sa.Column("superseded_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("flow_id", "version", name="pk_rp_flow_version"),
    )
    op.create_index(
        "ix_rp_flow_version_account_id_superseded_at",
        "rp_flow_version",
        ["account_id", "superseded_at"],
        unique=False,
    )
    op.create_table(
        "rp_tally",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("what", sa.String(length=8), nullable=False),
        sa.Column("target_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("last_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "what", "target_id", "day", name="pk_rp_tally"),
    )
    op.create_index("ix_rp_tally_day", "rp_tally", ["day"], unique=False)
    op.add_column("event_cursor", sa.Column("at", Utc(), nullable=True))
    op.create_table(
        "rp_miss",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("text", sa.String(length=200), nullable=False),
        sa.Column("example", sa.String(length=200), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("first_at", Utc(), nullable=False),
        sa.Column("last_at", Utc(), nullable=False),
        sa.Column("dismissed_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "digest", name="pk_rp_miss"),
    )
    op.create_index("ix_rp_miss_account_id_times", "rp_miss", ["account_id", "times"], unique=False)
    op.create_table(
        "plugin",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("blocks", sa.Integer(), nullable=False),
        sa.Column("recent", Json(), nullable=False),
        sa.Column("last_failure", sa.String(length=500), nullable=True),
        sa.Column("last_failure_at", Utc(), nullable=True),
        sa.Column("disabled_at", Utc(), nullable=True),
        sa.Column("reason", sa.String(length=300), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_plugin"),
    )
