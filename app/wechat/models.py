"""The access token, one row per account, shared by all processes."""

from sqlalchemy import BigInteger, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class WechatToken(Base):
    __tablename__ = "wechat_token"

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    ciphertext: Mapped[bytes | None] = mapped_column(LargeBinary)
    expires_at: Mapped[int] = mapped_column(BigInteger)
    """Milliseconds."""
    version: Mapped[int] = mapped_column(Integer)
    lease_until: Mapped[int] = mapped_column(BigInteger)
    """Milliseconds; who holds the lease refreshes, everybody else reads."""
    lease_holder: Mapped[str | None] = mapped_column(String(64))
    forced_on: Mapped[str | None] = mapped_column(String(10))
    """The day (Beijing) that `forced_count` counts."""
    forced_count: Mapped[int] = mapped_column(Integer)
