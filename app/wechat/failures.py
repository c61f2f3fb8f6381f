"""How a call to the platform fails without an answer of its own."""

from app.core.errors import Unavailable


class NotReached(Unavailable):
    """The request certainly did not arrive: it may be made again."""

    code = "WECHAT_NOT_REACHED"
    zh = "连不上微信服务器：{reason}"
    en = "WeChat's server cannot be reached: {reason}"


class OutcomeUnknown(Unavailable):
    """The request was sent, and no usable answer came: it may have had its effect."""

    code = "WECHAT_OUTCOME_UNKNOWN"
    retryable = False
    zh = "请求已发出但没有收到微信的答复：{reason}"
    en = "The request was sent but WeChat's answer did not come: {reason}"


class TokenUnavailable(Unavailable):
    """There is no valid access token now, and another process is asking or has just failed."""

    code = "WECHAT_TOKEN_UNAVAILABLE"
    zh = "暂时取不到微信 access_token：{reason}"
    en = "No WeChat access_token at the moment: {reason}"
