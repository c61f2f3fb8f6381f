"""What may be wrong with an account, each with the words that tell how to put it right."""

from app.core.errors import AppError, Invalid, NotFound, Refusal


class BadSlug(Invalid):
    code = "BAD_SLUG"
    zh = "代号须为 2 到 40 个小写字母、数字或连字符（收到：{slug}）"
    en = "The slug must have 2 to 40 of a-z, 0-9 and - (got: {slug})"


class BadName(Invalid):
    code = "BAD_NAME"
    zh = "名称须为 1 到 {limit} 个字符"
    en = "The name must have 1 to {limit} characters"


class BadContact(Invalid):
    code = "BAD_CONTACT"
    zh = "联系方式最多 {limit} 个字符"
    en = "The contact text may have at most {limit} characters"


class BadKind(Invalid):
    code = "BAD_KIND"
    zh = "账号类型只能是 subscription（订阅号）或 service（服务号），收到：{kind}"
    en = "The kind must be subscription or service (got: {kind})"


class BadMode(Invalid):
    code = "BAD_MODE"
    zh = "消息加解密方式只能是 plain（明文）、compat（兼容）或 safe（安全），收到：{mode}"
    en = "The mode must be plain, compat or safe (got: {mode})"


class BadOriginalId(Invalid):
    code = "BAD_ORIGINAL_ID"
    zh = (
        "原始 ID 以 gh_ 开头，后接字母或数字，在公众平台“账号详情”里可以看到（收到：{original_id}）"
    )
    en = (
        "The original id is gh_ and letters or digits; the platform shows it in the account details "
        "(got: {original_id})"
    )


class BadAppId(Invalid):
    code = "BAD_APPID"
    zh = "AppID 以 wx 开头，共 18 位字母或数字，请重新复制（收到：{appid}）"
    en = "An AppID is wx and 16 letters or digits; copy it again (got: {appid})"


class BadSecret(Invalid):
    code = "BAD_SECRET"
    zh = "AppSecret 须为 16 到 128 位字母或数字，不含空格，请重新复制"
    en = "The AppSecret must have 16 to 128 letters or digits and no blanks; copy it again"


class BadToken(Invalid):
    code = "BAD_TOKEN"
    zh = "令牌 Token 须为 3 到 32 位字母或数字，并与公众平台上填写的一致"
    en = "The token must have 3 to 32 letters or digits, the same as on the platform"


class BadAesKey(Invalid):
    code = "BAD_AES_KEY"
    zh = "EncodingAESKey 须为 43 位字母或数字，请从公众平台重新复制"
    en = "The EncodingAESKey must have 43 letters or digits; copy it again from the platform"


class AesKeyMissing(Invalid):
    code = "AES_KEY_MISSING"
    zh = "{mode} 模式需要 EncodingAESKey"
    en = "Mode {mode} needs an EncodingAESKey"


class BadTimeZone(Invalid):
    code = "BAD_TIME_ZONE"
    zh = "不认识的时区 {timezone}；示例：Asia/Shanghai"
    en = "Unknown time zone {timezone}; example: Asia/Shanghai"


class NoSuchAccount(NotFound):
    code = "NO_SUCH_ACCOUNT"
    zh = "没有公众号 {account}"
    en = "There is no account {account}"


class SlugTaken(Refusal):
    code = "SLUG_TAKEN"
    zh = "代号 {slug} 已被使用"
    en = "The slug {slug} is taken"


class AppIdTaken(Refusal):
    code = "APPID_TAKEN"
    zh = "AppID {appid} 已经登记过"
    en = "The AppID {appid} is registered already"


class EmptyToken(AppError):
    """An account without a token would accept deliveries from anybody."""

    code = "EMPTY_TOKEN"
    zh = "公众号 {account} 没有设置令牌 Token；请运行 python -m app setup account --slug {account} --token …"
    en = (
        "Account {account} has no token; run python -m app setup account --slug {account} --token …"
    )


class BrokenAccount(AppError):
    """The stored settings of an account make no working one."""

    code = "BROKEN_ACCOUNT"
    zh = "公众号 {account} 的设置无法使用：{problem}"
    en = "Account {account} cannot be used: {problem}"
