"""Every kind of delivery we know: its name on the wire, its class here, its class in wechatpy.

Field names are wechatpy's unless given. A third of the kinds it does not know at all, and some of
its names are wrong (protocol reference 2.3).
"""

from collections.abc import Callable
from typing import Any

from wechatpy import events as library_events
from wechatpy import messages as library_messages

from app.wechat import messages as m
from app.wechat.wire import Many, Verbatim, many, reader

Reader = Callable[[str, str, int, dict[str, Any]], m.Message]


def _message(wire: str, cls: type[m.Message], **names: str | Many) -> tuple[str, Reader]:
    return wire, reader(cls, library_messages.MESSAGE_TYPES.get(wire), **names)


def _event(wire: str, cls: type[m.Message], **names: str | Many) -> tuple[str, Reader]:
    return wire, reader(cls, library_events.EVENT_TYPES.get(wire), **names)


MESSAGES: dict[str, Reader] = dict(
    (
        _message(
            "text",
            m.Text,
            content=Verbatim("Content"),
            menu_id="bizmsgmenuid",
            article_id="MsgDataId",
            article_index="Idx",
        ),
        _message("image", m.Image, picture_url="PicUrl"),
        _message("voice", m.Voice, media_id_16k="MediaId16K"),
        _message("video", m.Video),
        _message("shortvideo", m.ShortVideo),
        _message("location", m.Position, latitude="Location_X", longitude="Location_Y"),
        _message("link", m.Link),
        _message(
            "file",
            m.File,
            title="Title",
            description="Description",
            file_key="FileKey",
            md5="FileMd5",
            size="FileTotalLen",
        ),
        _message("miniprogrampage", m.MiniProgramPage),
    )
)
"""By MsgType, lower case."""

_PRIVACY = {
    "openid": "OpenID",
    "appid": "AppID",
    "revoked": "RevokeInfo",
    "unionid": "UnionID",
}
_CONSENT = {
    "template_id": "TemplateId",
    "status": "SubscribeStatusString",
    "scene": "PopupScene",
}
_GIFT_CARD = {"page_id": "PageId", "order_id": "OrderId"}
_PICTURES = {
    "menu_key": "EventKey",
    "count": "SendPicsInfo.Count",
    "md5": "SendPicsInfo.PicList.item.PicMd5Sum",
}
_SCAN_CODE = {
    "menu_key": "EventKey",
    "scan_type": "ScanCodeInfo.ScanType",
    "scan_result": "ScanCodeInfo.ScanResult",
}
_BEACON = {"uuid": "Uuid", "major": "Major", "minor": "Minor", "distance": "Distance"}
_PUBLISH: dict[str, str | Many] = {
    "publish_id": "PublishEventInfo.publish_id",
    "status": "PublishEventInfo.publish_status",
    "article_id": "PublishEventInfo.article_id",
    "articles": many(
        m.ArticleLink,
        "PublishEventInfo.article_detail.item",
        index="idx",
        url="article_url",
    ),
    "failed": "PublishEventInfo.fail_idx",
}

EVENTS: dict[str, Reader] = dict(
    (
        # What followers do
        _event("subscribe", m.Subscribe, event_key="EventKey", ticket="Ticket"),
        _event("unsubscribe", m.Unsubscribe, event_key="EventKey"),
        _event("scan", m.Scan, scene="EventKey"),
        _event("location", m.Location),
        _event("click", m.Click, menu_key="EventKey"),
        _event("view", m.View, menu_id="MenuId"),
        _event("view_miniprogram", m.ViewMiniProgram),
        _event("scancode_push", m.ScanCodePush, **_SCAN_CODE),
        _event("scancode_waitmsg", m.ScanCodeWait, **_SCAN_CODE),
        _event("pic_sysphoto", m.PhotoMenu, **_PICTURES),
        _event("pic_photo_or_album", m.PhotoOrAlbumMenu, **_PICTURES),
        _event("pic_weixin", m.AlbumMenu, **_PICTURES),
        _event(
            "location_select",
            m.LocationSelect,
            menu_key="EventKey",
            latitude="SendLocationInfo.Location_X",
            longitude="SendLocationInfo.Location_Y",
            scale="SendLocationInfo.Scale",
            label="SendLocationInfo.Label",
            place="SendLocationInfo.Poiname",
        ),
        _event("kf_create_session", m.DeskSessionOpened, agent="KfAccount"),
        _event("kf_close_session", m.DeskSessionClosed, agent="KfAccount"),
        _event(
            "kf_switch_session",
            m.DeskSessionMoved,
            from_agent="FromKfAccount",
            to_agent="ToKfAccount",
        ),
        _event(
            "subscribe_msg_popup_event",
            m.NoticeConsentGiven,
            consents=many(m.NoticeConsent, "SubscribeMsgPopupEvent.List", **_CONSENT),
        ),
        _event(
            "subscribe_msg_change_event",
            m.NoticeConsentChanged,
            # The platform's pages have shown it in either wrapper.
            consents=many(
                m.NoticeConsent,
                "SubscribeMsgChangeEvent.List",
                "SubscribeMsgPopupEvent.List",
                **_CONSENT,
            ),
        ),
        _event("user_enter_tempsession", m.EnterTempSession),
        # What the platform reports
        _event("templatesendjobfinish", m.TemplateSent, job_id="MsgID"),
        _event(
            "masssendjobfinish",
            m.MassSent,
            job_id="MsgID",
            total="TotalCount",
            filtered="FilterCount",
            sent="SentCount",
            errors="ErrorCount",
            copyright_state="CopyrightCheckResult.CheckState",
            copyright=many(
                m.CopyrightResult,
                "CopyrightCheckResult.ResultList.item",
                index="ArticleIdx",
                declared="UserDeclareState",
                audit="AuditState",
                original_url="OriginalArticleUrl",
                original_type="OriginalArticleType",
                may_reprint="CanReprint",
                must_replace="NeedReplaceContent",
                must_show_source="NeedShowReprintSource",
            ),
            articles=many(
                m.ArticleLink,
                "ArticleUrlResult.ResultList.item",
                index="ArticleIdx",
                url="ArticleUrl",
            ),
        ),
        _event("publishjobfinish", m.PublishDone, **_PUBLISH),
        _event("freepublishjobfinish", m.PublishDone, **_PUBLISH),  # its name on old pages
        _event(
            "subscribe_msg_sent_event",
            m.NoticesSent,
            results=many(
                m.NoticeResult,
                "SubscribeMsgSentEvent.List",
                template_id="TemplateId",
                message_id="MsgID",
                error_code="ErrorCode",
                error_status="ErrorStatus",
            ),
        ),
        _event("user_info_modified", m.UserInfoModified, **_PRIVACY),
        _event("user_authorization_revoke", m.AuthorizationRevoked, **_PRIVACY),
        _event("user_authorization_cancellation", m.AuthorizationCancelled, **_PRIVACY),
        _event("qualification_verify_success", m.QualificationPassed, expires_at="ExpiredTime"),
        _event(
            "qualification_verify_fail",
            m.QualificationFailed,
            failed_at="FailTime",
            reason="FailReason",
        ),
        _event("naming_verify_success", m.NamingPassed, expires_at="ExpiredTime"),
        _event("naming_verify_fail", m.NamingFailed, failed_at="FailTime", reason="FailReason"),
        _event("annual_renew", m.AnnualRenewal, expires_at="ExpiredTime"),
        _event("verify_expired", m.VerificationExpired, expires_at="ExpiredTime"),
        _event("debug_demo", m.DebugDemo, debug_text="debug_str"),
        _event("weapp_audit_success", m.WeappAuditPassed, passed_at="SuccTime"),
        _event(
            "weapp_audit_fail",
            m.WeappAuditFailed,
            failed_at="FailTime",
            reason="Reason",
            screenshots="ScreenShot",
        ),
        _event("weapp_audit_delay", m.WeappAuditDelayed, delayed_at="DelayTime", reason="Reason"),
        _event(
            "wxa_media_check",
            m.MediaChecked,
            appid="appid",
            risky="isrisky",
            extra="extra_info_json",
        ),
        # Withdrawn features
        _event("card_pass_check", m.CardPassed),
        _event("card_not_pass_check", m.CardRefused),
        _event("card_sku_remind", m.CardStockLow),
        _event("card_pay_order", m.CardPointsOrder),
        _event("user_get_card", m.CardTaken),
        _event("user_gifting_card", m.CardGiven),
        _event("user_del_card", m.CardDeleted),
        _event("user_consume_card", m.CardConsumed),
        _event("user_pay_from_pay_cell", m.CardPaid),
        _event("user_view_card", m.CardViewed),
        _event("user_enter_session_from_card", m.CardChatEntered),
        _event("update_member_card", m.MemberCardUpdated),
        _event("submit_membercard_user_info", m.MemberCardActivated, code="UserCardCode"),
        _event("giftcard_pay_done", m.GiftCardPaid, **_GIFT_CARD),
        _event(
            "giftcard_send_to_friend",
            m.GiftCardSent,
            **_GIFT_CARD,
            is_chat_room="IsChatRoom",
            is_return_back="IsReturnBack",
        ),
        _event("giftcard_user_accept", m.GiftCardAccepted, **_GIFT_CARD),
        # wechatpy looks for AppId, the wire says AuthorizeAppId.
        _event("user_authorize_invoice", m.InvoiceAuthorized, app_id="AuthorizeAppId"),
        _event("update_invoice_status", m.InvoiceStatusChanged),
        _event("submit_invoice_title", m.InvoiceTitleSubmitted),
        _event(
            "cloud_invoice_invoiceresult_event",
            m.CloudInvoiceResult,
            request_no="fpqqlsh",
            tax_no="nsrsbh",
            status="status",
        ),
        _event(
            "guide_invite_result_event",
            m.GuideInvited,
            guide_account="GuideInviteResultEvent.account",
            guide_openid="GuideInviteResultEvent.openid",
            status="GuideInviteResultEvent.status",
        ),
        _event(
            "guide_qrcode_scan_event",
            m.GuideCodeScanned,
            guide_account="GuideScanEvent.qrcode_guide_account",
            guide_openid="GuideScanEvent.qrcode_guide_openid",
            openid="GuideScanEvent.openid",
            action="GuideScanEvent.action",
            code_info="GuideScanEvent.qrcode_info",
        ),
        # wechatpy looks for Msg, the wire says msg.
        _event("poi_check_notify", m.StoreAudited, message="msg"),
        _event("merchant_order", m.MerchantOrder),
        _event("wificonnected", m.WifiConnected),
        _event(
            "shakearoundusershake",
            m.BeaconShaken,
            chosen=many(m.Beacon, "ChosenBeacon", **_BEACON),
            around=many(m.Beacon, "AroundBeacons.AroundBeacon", **_BEACON),
        ),
        _event("user_scan_product", m.ProductScanned, key_text="KeyStr", extra="ExtInfo"),
        _event(
            "user_scan_product_enter_session",
            m.ProductChatEntered,
            key_text="KeyStr",
            extra="ExtInfo",
        ),
        _event("user_scan_product_async", m.ProductScanPlace, key_text="KeyStr", extra="ExtInfo"),
        _event("user_scan_product_verify_action", m.ProductAudited, key_text="KeyStr"),
    )
)
"""By Event, lower case. Kinds that only wechatpy's parser makes up are not among them."""

SUBSCRIBE_SCAN_PRODUCT: Reader = _event(
    "subscribe_scan_product", m.SubscribeScanProduct, event_key="EventKey"
)[1]
DEVICE_TEXT: Reader = _event(
    "device_text",
    m.DeviceText,
    content="Content",  # wechatpy decodes it, and fails on what is no text
    device_message_id="MsgID",
    openid="OpenID",
)[1]
