"""The ground: accounts, followers, conversations, what is sent, later work, replies."""

import sqlalchemy as sa
from alembic import op

from app.db.base import BigId, Json, Utc

revision = "01"
down_revision = None
branch_labels = None
depends_on = None

POSTGRES = (
    # Until `maintain` cuts ranges by time, everything lives in the default partition.
    "CREATE TABLE cs_message_default PARTITION OF cs_message DEFAULT",
    # Room on the page, so that updates of hot rows stay in place and touch no index.
    "ALTER TABLE follower SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)",
    "ALTER TABLE cs_conversation SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)",
    "ALTER TABLE send_window SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)",
    # A planner that has seen the table empty must not go on believing it.
    "ALTER TABLE receipt SET (autovacuum_analyze_scale_factor = 0.02)",
)


def upgrade() -> None:
    on_postgres = op.get_bind().dialect.name == "postgresql"
    # Readers of events go by the writing transaction; on SQLite writes are serial and it is always 0.
    writing = "(pg_current_xact_id()::text::bigint)" if on_postgres else "0"
    op.create_table(
        "account",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("slug", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("original_id", sa.String(length=40), nullable=True),
        sa.Column("appid", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("timezone", sa.String(length=40), nullable=False),
        sa.Column("contact", sa.String(length=300), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("appid", name="uq_account_appid"),
        sa.UniqueConstraint("slug", name="uq_account_slug"),
    )
    op.create_table(
        "api_token",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("accounts", Json(), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=True),
        sa.Column("revoked_at", Utc(), nullable=True),
        sa.Column("last_used_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_token"),
        sa.UniqueConstraint("digest", name="uq_api_token_digest"),
    )
    op.create_table(
        "audit",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=80), nullable=False),
        sa.Column("before", Json(), nullable=True),
        sa.Column("after", Json(), nullable=True),
        sa.Column("ip", sa.String(length=45), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index(
        "ix_audit_account_id_target_id", "audit", ["account_id", "target", "id"], unique=False
    )

    op.create_table(
        "cs_conversation",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("follower_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("owner_kind", sa.String(length=8), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_message_seq", sa.Integer(), nullable=False),
        sa.Column("last_inbound_at", Utc(), nullable=True),
        sa.Column("last_outbound_at", Utc(), nullable=True),
        sa.Column("first_human_reply_at", Utc(), nullable=True),
        sa.Column("waiting_since", Utc(), nullable=True),
        sa.Column("queued_at", Utc(), nullable=True),
        sa.Column("assigned_at", Utc(), nullable=True),
        sa.Column("snoozed_until", Utc(), nullable=True),
        sa.Column("snooze_until_reply", sa.Boolean(), nullable=False),
        sa.Column("resolved_at", Utc(), nullable=True),
        sa.Column("resolved_by", sa.String(length=80), nullable=True),
        sa.Column("resolution_code", sa.String(length=24), nullable=True),
        sa.Column("closed_at", Utc(), nullable=True),
        sa.Column("reopen_count", sa.SmallInteger(), nullable=False),
        sa.Column("bot_context", Json(), nullable=True),
        sa.Column("bot_epoch", sa.Integer(), nullable=False),
        sa.Column("bot_misses", sa.SmallInteger(), nullable=False),
        sa.Column("preview", sa.String(length=80), nullable=False),
        sa.Column("sla_next_due_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_cs_conversation"),
    )
    op.create_index(
        "ix_cs_conversation_follower_id",
        "cs_conversation",
        ["follower_id"],
        unique=False,
        sqlite_where=sa.text("state <> 'closed'"),
        postgresql_where=sa.text("state <> 'closed'"),
    )
    op.create_index(
        "uq_cs_conversation_live",
        "cs_conversation",
        ["account_id", "follower_id"],
        unique=True,
        sqlite_where=sa.text("state <> 'closed'"),
        postgresql_where=sa.text("state <> 'closed'"),
    )

    op.create_table(
        "cs_message",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("follower_id", sa.BigInteger(), nullable=False),
        sa.Column("direction", sa.String(length=6), nullable=False),
        sa.Column("author_kind", sa.String(length=8), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("reply_to_id", sa.BigInteger(), nullable=True),
        sa.Column("wx_msg_id", sa.BigInteger(), nullable=True),
        sa.Column("receipt_key", sa.String(length=200), nullable=True),
        sa.Column("client_token", sa.String(length=64), nullable=True),
        sa.Column("wx_created_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("outbound_id", sa.BigInteger(), nullable=True),
        sa.Column("recalled_at", Utc(), nullable=True),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.Column("trace", Json(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_cs_message"),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index(
        "ix_cs_message_conversation_id_seq", "cs_message", ["conversation_id", "seq"], unique=False
    )
    op.create_index("ix_cs_message_receipt_key", "cs_message", ["receipt_key"], unique=False)

    op.create_table(
        "event",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("tx", sa.BigInteger(), server_default=sa.text(writing), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("aggregate_type", sa.String(length=32), nullable=False),
        sa.Column("aggregate_id", sa.BigInteger(), nullable=False),
        sa.Column("aggregate_seq", sa.Integer(), nullable=False),
        sa.Column("payload", Json(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_tx_id", "event", ["tx", "id"], unique=False)

    op.create_table(
        "event_cursor",
        sa.Column("consumer", sa.String(length=64), nullable=False),
        sa.Column("tx", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", name="pk_event_cursor"),
    )
    op.create_table(
        "flow_state",
        sa.Column("follower_id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("flow", sa.String(length=40), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("answers", Json(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("follower_id", name="pk_flow_state"),
    )
    op.create_table(
        "follow_history",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("follower_id", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.String(length=8), nullable=False),
        sa.Column("scene", sa.String(length=64), nullable=True),
        sa.Column("code", sa.String(length=128), nullable=True),
        sa.Column("wx_created_at", sa.BigInteger(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_follow_history"),
    )
    op.create_index(
        "ix_follow_history_account_id_code", "follow_history", ["account_id", "code"], unique=False
    )
    op.create_index(
        "ix_follow_history_follower_id_id", "follow_history", ["follower_id", "id"], unique=False
    )

    op.create_table(
        "follower",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("openid", sa.String(length=64), nullable=False),
        sa.Column("subscribed", sa.Boolean(), nullable=True),
        sa.Column("subscribed_on", sa.BigInteger(), nullable=True),
        sa.Column("held", sa.SmallInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_follower"),
        sa.UniqueConstraint("account_id", "openid", name="uq_follower_account_id_openid"),
    )
    op.create_table(
        "follower_profile",
        sa.Column("follower_id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("unionid", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=80), nullable=True),
        sa.Column("remark", sa.String(length=80), nullable=True),
        sa.Column("language", sa.String(length=16), nullable=True),
        sa.Column("first_scene", sa.String(length=64), nullable=True),
        sa.Column("first_code", sa.String(length=128), nullable=True),
        sa.Column("first_followed_at", Utc(), nullable=True),
        sa.Column("data", Json(), nullable=True),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("follower_id", name="pk_follower_profile"),
    )
    op.create_index(
        "ix_follower_profile_account_id_unionid",
        "follower_profile",
        ["account_id", "unionid"],
        unique=False,
    )

    op.create_table(
        "follower_tag",
        sa.Column("follower_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tag_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("source_key", sa.String(length=200), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("follower_id", "tag_id", name="pk_follower_tag"),
    )
    op.create_index(
        "ix_follower_tag_tag_id", "follower_tag", ["tag_id", "follower_id"], unique=False
    )

    op.create_table(
        "job",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("queue", sa.String(length=16), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("args", Json(), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=True),
        sa.Column("dedup", sa.String(length=120), nullable=True),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("max_attempts", sa.SmallInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        postgresql_with={"fillfactor": 70, "autovacuum_vacuum_scale_factor": 0.01},
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_job_lane",
        "job",
        ["lane", "id"],
        unique=False,
        sqlite_where=sa.text("lane IS NOT NULL AND state IN ('ready', 'running')"),
        postgresql_where=sa.text("lane IS NOT NULL AND state IN ('ready', 'running')"),
    )
    op.create_index(
        "ix_job_ready",
        "job",
        ["queue", "run_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_job_running",
        "job",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "uq_job_dedup",
        "job",
        ["dedup"],
        unique=True,
        sqlite_where=sa.text("dedup IS NOT NULL AND state = 'ready'"),
        postgresql_where=sa.text("dedup IS NOT NULL AND state = 'ready'"),
    )

    op.create_table(
        "operation",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("cursor", Json(), nullable=True),
        sa.Column("result", Json(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_operation"),
    )
    op.create_table(
        "outbound",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("follower_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("source_key", sa.String(length=200), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("payload", Json(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("route", sa.String(length=16), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("next_attempt_at", Utc(), nullable=True),
        sa.Column("bucket", sa.String(length=12), nullable=True),
        sa.Column("error_code", sa.String(length=24), nullable=True),
        sa.Column("error_text", sa.String(length=500), nullable=True),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("sent_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbound"),
    )
    op.create_index(
        "ix_outbound_held",
        "outbound",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'held'"),
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(
        "ix_outbound_open",
        "outbound",
        ["follower_id", "conversation_id", "seq"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'sending', 'held')"),
        postgresql_where=sa.text("state IN ('queued', 'sending', 'held')"),
    )

    op.create_table(
        "person",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("unionid", sa.String(length=64), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_person"),
        sa.UniqueConstraint("unionid", name="uq_person_unionid"),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("detail", sa.String(length=300), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
    )
    op.create_index("ix_quarantine_account_id_id", "quarantine", ["account_id", "id"], unique=False)

    op.create_table(
        "rate",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("per_s", sa.Float(), nullable=False),
        sa.Column("burst", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_rate"),
    )
    op.create_table(
        "receipt",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("key", "account_id", name="pk_receipt"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_receipt_expires_at", "receipt", ["expires_at"], unique=False)

    op.create_table(
        "rp_binding",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("on", sa.String(length=8), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("answers", Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rp_binding"),
        sa.UniqueConstraint("account_id", "on", "key", name="uq_rp_binding_account_id_on_key"),
    )
    op.create_table(
        "rp_book",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_rp_book"),
    )
    op.create_table(
        "rp_flow",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("steps", Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rp_flow"),
        sa.UniqueConstraint("account_id", "name", name="uq_rp_flow_account_id_name"),
    )
    op.create_table(
        "rp_rule",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("words", Json(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("answers", Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rp_rule"),
    )
    op.create_index("ix_rp_rule_account_id_id", "rp_rule", ["account_id", "id"], unique=False)

    op.create_table(
        "schedule",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_schedule"),
    )
    op.create_table(
        "send_window",
        sa.Column("follower_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bucket", sa.String(length=12), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source_key", sa.String(length=200), nullable=False),
        sa.Column("granted_at", Utc(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.Column("quota", sa.SmallInteger(), nullable=False),
        sa.Column("used", sa.SmallInteger(), nullable=False),
        sa.Column("used_by_bot", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("used <= quota", name="ck_send_window_quota"),
        sa.PrimaryKeyConstraint("follower_id", "bucket", "account_id", name="pk_send_window"),
    )
    op.create_table(
        "slot",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_slot"),
    )
    op.create_table(
        "tag",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=30), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tag"),
        sa.UniqueConstraint("account_id", "name", name="uq_tag_account_id_name"),
    )
    op.create_table(
        "wechat_token",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("lease_holder", sa.String(length=64), nullable=True),
        sa.Column("forced_on", sa.String(length=10), nullable=True),
        sa.Column("forced_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_wechat_token"),
    )
    op.create_table(
        "account_secret",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=24), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_account_secret_account_id"
        ),
        sa.PrimaryKeyConstraint("account_id", "name", name="pk_account_secret"),
    )

    if on_postgres:
        for statement in POSTGRES:
            op.execute(statement)
