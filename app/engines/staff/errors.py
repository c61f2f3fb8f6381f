"""What may be wrong with a request for access."""

from app.core.errors import Invalid, NotFound


class BadRole(Invalid):
    code = "BAD_ROLE"
    zh = "没有角色 {role}；可用：{known}"
    en = "There is no role {role}; known: {known}"


class BadTokenName(Invalid):
    code = "BAD_TOKEN_NAME"
    zh = "名称须为 1 到 {limit} 个字符"
    en = "The name must have 1 to {limit} characters"


class BadExpiry(Invalid):
    code = "BAD_EXPIRY"
    zh = "有效期须为 1 到 {limit} 天"
    en = "The life must be 1 to {limit} days"


class NoSuchToken(NotFound):
    code = "NO_SUCH_TOKEN"
    zh = "没有令牌 {token_id}，或已撤销"
    en = "There is no token {token_id}, or it is revoked already"
