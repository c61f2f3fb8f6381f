"""What the platform reports: jobs done, privacy, verification, audits (protocol reference 2.3)."""

from dataclasses import dataclass
from typing import ClassVar

from app.wechat.messages.base import PrivacyEvent, Report


@dataclass(frozen=True, slots=True)
class TemplateSent(Report):
    """A template message arrived or not; FromUserName is its receiver, not somebody who acted."""

    type_name: ClassVar[str] = "template_send_job_finish"
    identity: ClassVar[tuple[str, ...]] = ("Event", "MsgID")

    job_id: int | None
    """The msgid that the send call returned."""
    status: str
    """`success`, `failed:user block` or `failed: system failed`, blanks as they come."""

    @property
    def ok(self) -> bool:
        return self.status == "success"

    @property
    def blocked_by_user(self) -> bool:
        return self.status.replace(" ", "") == "failed:userblock"


@dataclass(frozen=True, slots=True)
class CopyrightResult:
    """The platform's judgement of one article of a mass message."""

    index: int | None
    declared: int | None
    audit: int | None
    original_url: str
    original_type: int | None
    may_reprint: int | None
    must_replace: int | None
    must_show_source: int | None


@dataclass(frozen=True, slots=True)
class ArticleLink:
    index: int | None
    url: str


@dataclass(frozen=True, slots=True)
class MassSent(Report):
    """A mass message is nearly done: the numbers are approximate, the sender is an administrator."""

    type_name: ClassVar[str] = "mass_send_job_finish"
    identity: ClassVar[tuple[str, ...]] = ("Event", "MsgID")

    job_id: int | None
    """The msg_id that the send call returned."""
    status: str
    """`send success`, `send fail` or `err(N)`."""
    total: int | None
    filtered: int | None
    """Receivers left after the platform's filter: sent and errors together."""
    sent: int | None
    errors: int | None
    copyright_state: int | None
    copyright: tuple[CopyrightResult, ...]
    articles: tuple[ArticleLink, ...]

    @property
    def ok(self) -> bool:
        return self.status.replace(" ", "") == "sendsuccess"


@dataclass(frozen=True, slots=True)
class PublishDone(Report):
    """Articles were published, or not."""

    type_name: ClassVar[str] = "publish_job_finish"
    identity: ClassVar[tuple[str, ...]] = ("Event", "PublishEventInfo.publish_id")

    publish_id: str
    status: int | None
    """0 is success."""
    article_id: str
    articles: tuple[ArticleLink, ...]
    failed: tuple[str, ...]
    """Numbers of the articles that were refused, from 1."""

    @property
    def ok(self) -> bool:
        return self.status == 0


@dataclass(frozen=True, slots=True)
class NoticeResult:
    """What became of one subscription notice."""

    template_id: str
    message_id: int | None
    error_code: int | None
    """0 is success."""
    error_status: str


@dataclass(frozen=True, slots=True)
class NoticesSent(Report):
    type_name: ClassVar[str] = "subscribe_msg_sent"
    identity: ClassVar[tuple[str, ...]] = ("Event", "SubscribeMsgSentEvent.List.MsgID")

    results: tuple[NoticeResult, ...]


@dataclass(frozen=True, slots=True)
class UserInfoModified(PrivacyEvent):
    """The platform cleaned a risky profile: name and avatar must be read again or deleted."""

    type_name: ClassVar[str] = "user_info_modified"


@dataclass(frozen=True, slots=True)
class AuthorizationRevoked(PrivacyEvent):
    """The person withdrew what they allowed a page; what came from it must be deleted."""

    type_name: ClassVar[str] = "user_authorization_revoke"


@dataclass(frozen=True, slots=True)
class AuthorizationCancelled(PrivacyEvent):
    """The person closed their WeChat account; everything about them must be deleted."""

    type_name: ClassVar[str] = "user_authorization_cancellation"


@dataclass(frozen=True, slots=True)
class VerificationPassed(Report):
    expires_at: int | None
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class VerificationFailed(Report):
    failed_at: int | None
    """Unix seconds."""
    reason: str


@dataclass(frozen=True, slots=True)
class QualificationPassed(VerificationPassed):
    type_name: ClassVar[str] = "qualification_verify_success"


@dataclass(frozen=True, slots=True)
class QualificationFailed(VerificationFailed):
    type_name: ClassVar[str] = "qualification_verify_fail"


@dataclass(frozen=True, slots=True)
class NamingPassed(VerificationPassed):
    type_name: ClassVar[str] = "naming_verify_success"


@dataclass(frozen=True, slots=True)
class NamingFailed(VerificationFailed):
    """The name was refused; the account keeps its permissions."""

    type_name: ClassVar[str] = "naming_verify_fail"


@dataclass(frozen=True, slots=True)
class AnnualRenewal(VerificationPassed):
    """The verification runs out soon, and the permissions with it."""

    type_name: ClassVar[str] = "annual_renew"


@dataclass(frozen=True, slots=True)
class VerificationExpired(VerificationPassed):
    """The verification has run out: expect calls to fail with 48001."""

    type_name: ClassVar[str] = "verify_expired"


@dataclass(frozen=True, slots=True)
class DebugDemo(Report):
    """From the push test tool of the console, whose operator types any sender."""

    type_name: ClassVar[str] = "debug_demo"

    debug_text: str


@dataclass(frozen=True, slots=True)
class WeappAuditPassed(Report):
    type_name: ClassVar[str] = "weapp_audit_success"

    passed_at: int | None


@dataclass(frozen=True, slots=True)
class WeappAuditFailed(Report):
    type_name: ClassVar[str] = "weapp_audit_fail"

    failed_at: int | None
    reason: str
    screenshots: str
    """Media ids, joined by `|`."""


@dataclass(frozen=True, slots=True)
class WeappAuditDelayed(Report):
    type_name: ClassVar[str] = "weapp_audit_delay"

    delayed_at: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class MediaChecked(Report):
    """A mini program's picture or sound was judged."""

    type_name: ClassVar[str] = "wxa_media_check"
    identity: ClassVar[tuple[str, ...]] = ("Event", "trace_id")

    trace_id: str
    appid: str
    risky: int | None
    status_code: int | None
    extra: str
    """JSON, as it came."""
