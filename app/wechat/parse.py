"""From the body of a delivery to one of the message classes.

Two outcomes: a message (`Unknown` for a type this version does not know) or `NotUnderstood`. A
sender cannot name our internal kinds, and no field that is used is anything but a plain text.
"""

from typing import Any

from app.wechat.kinds import DEVICE_TEXT, EVENTS, MESSAGES, SUBSCRIBE_SCAN_PRODUCT, Reader
from app.wechat.messages import Message, Unknown
from app.wechat.wire import text_of, whole_number
from app.wechat.xml import NotUnderstood, read_xml

__all__ = ["NotUnderstood", "parse", "parse_fields"]

_CREATE_TIME_DIGITS = 11


def parse(body: str) -> Message:
    """The message in a decrypted body.

    Raises `NotUnderstood` with the reason `empty`, `nul`, `doctype`, `not-xml`, `other-root`,
    `no-fields`, `too-deep`, `no-account`, `no-sender`, `no-msgtype`, `no-event`, `repeated-field`,
    `nested-field`, `createtime-not-number` or `msgid-not-number`.
    """
    return parse_fields(read_xml(body))


def parse_fields(fields: dict[str, Any]) -> Message:
    """The same for a body that is a mapping already, such as a JSON push (reference 2.5)."""
    kind = _required(fields, "MsgType", "no-msgtype").lower()
    account = _required(fields, "ToUserName", "no-account")
    sender = _required(fields, "FromUserName", "no-sender")
    created_at = whole_number(
        text_of(fields, "CreateTime").strip(), _CREATE_TIME_DIGITS, "createtime-not-number"
    )
    read = _event_reader(fields) if kind == "event" else _message_reader(kind)
    if read is not None:
        return read(account, sender, created_at, fields)
    return Unknown(account, sender, created_at, fields, _unknown_type(kind, fields))


def _required(fields: dict[str, Any], name: str, missing: str) -> str:
    text = text_of(fields, name).strip()
    if not text:
        raise NotUnderstood(missing)
    return text


def _message_reader(kind: str) -> Reader | None:
    return DEVICE_TEXT if kind == "device_text" else MESSAGES.get(kind)


def _event_reader(fields: dict[str, Any]) -> Reader | None:
    event = _required(fields, "Event", "no-event").lower()
    event_key = text_of(fields, "EventKey")
    if event == "subscribe" and event_key.startswith(("scanbarcode|", "scanimage|")):
        return SUBSCRIBE_SCAN_PRODUCT
    return EVENTS.get(event)


def _unknown_type(kind: str, fields: dict[str, Any]) -> str:
    return f"event:{text_of(fields, 'Event').strip().lower()}" if kind == "event" else kind
