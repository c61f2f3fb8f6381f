"""Events of features that new accounts cannot enable any more: cards, invoices, stores, devices.

They are understood and kept; no engine acts on them. Protocol reference 2.3, second table.
"""

from dataclasses import dataclass
from typing import ClassVar

from app.wechat.messages.base import FollowerEvent, Report

_CARD = ("FromUserName", "CreateTime", "Event", "CardId", "UserCardCode")
_PRODUCT = ("FromUserName", "CreateTime", "Event", "KeyStr")


# Cards


@dataclass(frozen=True, slots=True)
class CardReport(Report):
    """About a card as such, not about anybody's copy of it."""

    identity: ClassVar[tuple[str, ...]] = _CARD


@dataclass(frozen=True, slots=True)
class CardPassed(CardReport):
    type_name: ClassVar[str] = "card_pass_check"

    card_id: str


@dataclass(frozen=True, slots=True)
class CardRefused(CardReport):
    type_name: ClassVar[str] = "card_not_pass_check"

    card_id: str
    refuse_reason: str


@dataclass(frozen=True, slots=True)
class CardStockLow(CardReport):
    type_name: ClassVar[str] = "card_sku_remind"

    card_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class CardPointsOrder(CardReport):
    """The account's own purchase of card points. Times are unix seconds, 0 for not yet."""

    type_name: ClassVar[str] = "card_pay_order"

    order_id: str
    status: str
    create_order_time: int | None
    pay_finish_time: int | None
    description: str
    free_coin_count: int | None
    pay_coin_count: int | None
    refund_free_coin_count: int | None
    refund_pay_coin_count: int | None
    order_type: str
    memo: str
    receipt_info: str


@dataclass(frozen=True, slots=True)
class CardEvent(FollowerEvent):
    """Something a follower did with their copy of a card."""

    identity: ClassVar[tuple[str, ...]] = _CARD

    card_id: str
    code: str


@dataclass(frozen=True, slots=True)
class CardTaken(CardEvent):
    type_name: ClassVar[str] = "user_get_card"

    is_given_by_friend: int | None
    friend: str
    old_code: str
    outer_id: str
    outer_str: str
    is_restore_member_card: int | None
    is_recommend_by_friend: int | None
    union_id: str


@dataclass(frozen=True, slots=True)
class CardGiven(CardEvent):
    type_name: ClassVar[str] = "user_gifting_card"

    is_return_back: int | None
    friend: str
    is_chat_room: int | None


@dataclass(frozen=True, slots=True)
class CardDeleted(CardEvent):
    type_name: ClassVar[str] = "user_del_card"


@dataclass(frozen=True, slots=True)
class CardConsumed(CardEvent):
    type_name: ClassVar[str] = "user_consume_card"

    consume_source: str
    location_name: str
    staff: str
    """Openid of the person who redeemed it."""
    verify_code: str
    remark_amount: str
    outer_str: str


@dataclass(frozen=True, slots=True)
class CardPaid(CardEvent):
    type_name: ClassVar[str] = "user_pay_from_pay_cell"

    trans_id: str
    location_id: int | None
    fee: int | None
    """Whole fen, as paid."""
    original_fee: int | None
    """Whole fen, before the discount."""


@dataclass(frozen=True, slots=True)
class CardViewed(CardEvent):
    type_name: ClassVar[str] = "user_view_card"

    outer_str: str


@dataclass(frozen=True, slots=True)
class CardChatEntered(CardEvent):
    """Came into the chat from a card."""

    type_name: ClassVar[str] = "user_enter_session_from_card"
    answerable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class MemberCardUpdated(CardEvent):
    type_name: ClassVar[str] = "update_member_card"

    modify_bonus: int | None
    modify_balance: int | None


@dataclass(frozen=True, slots=True)
class MemberCardActivated(CardEvent):
    type_name: ClassVar[str] = "submit_membercard_user_info"


@dataclass(frozen=True, slots=True)
class GiftCardEvent(FollowerEvent):
    identity: ClassVar[tuple[str, ...]] = _CARD

    page_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class GiftCardPaid(GiftCardEvent):
    type_name: ClassVar[str] = "giftcard_pay_done"


@dataclass(frozen=True, slots=True)
class GiftCardSent(GiftCardEvent):
    type_name: ClassVar[str] = "giftcard_send_to_friend"

    is_chat_room: str
    """`true` or `false`, as it came."""
    is_return_back: str


@dataclass(frozen=True, slots=True)
class GiftCardAccepted(GiftCardEvent):
    type_name: ClassVar[str] = "giftcard_user_accept"


# Invoices


@dataclass(frozen=True, slots=True)
class InvoiceAuthorized(FollowerEvent):
    type_name: ClassVar[str] = "user_authorize_invoice"
    identity: ClassVar[tuple[str, ...]] = (
        "FromUserName",
        "CreateTime",
        "Event",
        "SuccOrderId",
        "FailOrderId",
    )

    success_order_id: str
    fail_order_id: str
    app_id: str
    auth_source: str
    """`web` or `app`."""


@dataclass(frozen=True, slots=True)
class InvoiceStatusChanged(FollowerEvent):
    type_name: ClassVar[str] = "update_invoice_status"
    identity: ClassVar[tuple[str, ...]] = ("FromUserName", "CreateTime", "Event", "Code")

    status: str
    card_id: str
    code: str


@dataclass(frozen=True, slots=True)
class InvoiceTitleSubmitted(FollowerEvent):
    type_name: ClassVar[str] = "submit_invoice_title"
    identity: ClassVar[tuple[str, ...]] = ("FromUserName", "CreateTime", "Event", "attach")

    title: str
    phone: str
    tax_no: str
    addr: str
    bank_type: str
    bank_no: str
    attach: str
    title_type: str


@dataclass(frozen=True, slots=True)
class CloudInvoiceResult(Report):
    type_name: ClassVar[str] = "cloud_invoice_result"
    identity: ClassVar[tuple[str, ...]] = ("FromUserName", "CreateTime", "Event", "fpqqlsh")

    request_no: str
    tax_no: str
    status: int | None


# Guides, stores, shops


@dataclass(frozen=True, slots=True)
class GuideInvited(Report):
    """A shopping guide, who is staff, answered the invitation."""

    type_name: ClassVar[str] = "guide_invite_result"

    guide_account: str
    guide_openid: str
    status: int | None


@dataclass(frozen=True, slots=True)
class GuideCodeScanned(FollowerEvent):
    type_name: ClassVar[str] = "guide_qrcode_scan"

    guide_account: str
    guide_openid: str
    openid: str
    action: int | None
    code_info: str


@dataclass(frozen=True, slots=True)
class StoreAudited(Report):
    type_name: ClassVar[str] = "poi_check_notify"
    identity: ClassVar[tuple[str, ...]] = ("FromUserName", "CreateTime", "Event", "UniqId")

    uniq_id: str
    poi_id: str
    result: str
    message: str


@dataclass(frozen=True, slots=True)
class MerchantOrder(FollowerEvent):
    type_name: ClassVar[str] = "merchant_order"
    identity: ClassVar[tuple[str, ...]] = ("FromUserName", "CreateTime", "Event", "OrderId")

    order_id: str
    order_status: int | None
    product_id: str
    sku_info: str


# Wifi, beacons, scanned products


@dataclass(frozen=True, slots=True)
class WifiConnected(FollowerEvent):
    """Times are unix seconds."""

    type_name: ClassVar[str] = "wifi_connected"

    connect_time: int | None
    expire_time: int | None
    vendor_id: str
    shop_id: str
    bssid: str


@dataclass(frozen=True, slots=True)
class Beacon:
    uuid: str
    major: int | None
    minor: int | None
    distance: float | None
    """Metres."""


@dataclass(frozen=True, slots=True)
class BeaconShaken(FollowerEvent):
    type_name: ClassVar[str] = "shakearound_user_shake"

    chosen: tuple[Beacon, ...]
    """One, or none when the platform left it out."""
    around: tuple[Beacon, ...]


@dataclass(frozen=True, slots=True)
class ProductScanned(FollowerEvent):
    type_name: ClassVar[str] = "user_scan_product"
    identity: ClassVar[tuple[str, ...]] = _PRODUCT

    standard: str
    key_text: str
    country: str
    province: str
    city: str
    sex: int | None
    scene: int | None
    extra: str


@dataclass(frozen=True, slots=True)
class ProductChatEntered(FollowerEvent):
    """Came into the chat from a product's page."""

    type_name: ClassVar[str] = "user_scan_product_enter_session"
    answerable: ClassVar[bool] = True
    identity: ClassVar[tuple[str, ...]] = _PRODUCT

    standard: str
    key_text: str
    extra: str


@dataclass(frozen=True, slots=True)
class ProductScanPlace(FollowerEvent):
    """Where a product was scanned, told later."""

    type_name: ClassVar[str] = "user_scan_product_async"
    identity: ClassVar[tuple[str, ...]] = _PRODUCT

    standard: str
    key_text: str
    extra: str
    region_code: str


@dataclass(frozen=True, slots=True)
class ProductAudited(Report):
    type_name: ClassVar[str] = "user_scan_product_verify_action"
    identity: ClassVar[tuple[str, ...]] = _PRODUCT

    standard: str
    key_text: str
    result: str
    reason: str
