"""The platform's error codes as data. Protocol reference 6, for single codes also 4.2, 4.3 and 4.4.

`stops` says how far a code reaches: `none` (cosmetic, or gone by itself), `call` (the same call never
succeeds), `follower` (nothing more to this person for now), `account` (no such call succeeds until
somebody does something, or until the quota is new).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Stops: TypeAlias = Literal["none", "call", "follower", "account"]


@dataclass(frozen=True, slots=True)
class PlatformError:
    code: int
    retry: bool
    """Whether the same call may succeed if it is made again after a while."""
    refresh_token: bool
    """Whether the access token must be read again, and renewed, before."""
    stops: Stops
    zh_meaning: str
    zh_remedy: str
    en_meaning: str
    en_remedy: str


@dataclass(frozen=True, slots=True)
class _Group:
    """Codes with the same remedy; `codes` holds the meanings in Chinese and English."""

    zh_remedy: str
    en_remedy: str
    codes: Mapping[int, tuple[str, str]]
    stops: Stops = "call"
    retry: bool = False
    refresh_token: bool = False

    def errors(self) -> Iterator[PlatformError]:
        for code, (zh, en) in self.codes.items():
            yield PlatformError(
                code,
                retry=self.retry,
                refresh_token=self.refresh_token,
                stops=self.stops,
                zh_meaning=zh,
                zh_remedy=self.zh_remedy,
                en_meaning=en,
                en_remedy=self.en_remedy,
            )


_PASSING = (
    _Group(
        "系统会自动重试，无需处理；持续出现时请查看微信公告",
        "It is tried again by itself; if it lasts, look for notices of the platform.",
        {-1: ("微信系统繁忙", "WeChat is busy")},
        stops="none",
        retry=True,
    ),
    _Group(
        "稍后会自动再试；请降低调用频率",
        "It is tried again later; call less often.",
        {
            45011: ("每分钟调用次数超限", "Too many calls in this minute"),
            42010: ("群发名单提交过于频繁", "Mass lists follow each other too fast"),
            43117: ("短时间内给同一人发送过多", "Too many messages to one person in a short time"),
        },
        stops="none",
        retry=True,
    ),
    _Group(
        "仅影响“正在输入”提示，可忽略",
        "Only the typing mark is concerned; ignore it.",
        {
            45072: ("输入状态指令不正确", "Unknown typing command"),
            45080: ("30 秒内没有与该用户的往来消息", "No exchange with the follower in 30 seconds"),
            45081: ("已处于输入状态", "The typing mark is already shown"),
        },
        stops="none",
    ),
    _Group(
        "任务已经存在：请查询它的状态；要另发一次，请换一个新的编号",
        "The job exists already: look up its state; for another one use a new id.",
        {45065: ("群发编号重复", "The client message id was used before")},
        stops="none",
    ),
    _Group(
        "请隔一会儿再用同一编号提交",
        "Wait a little before using the same id again.",
        {45066: ("同一群发编号提交过快", "The same client message id came again too fast")},
        stops="none",
        retry=True,
    ),
)

_TOKENS = (
    _Group(
        "系统会重新读取并刷新一次令牌。若反复出现，请确认没有别的程序用旧接口取令牌，并核对 AppSecret",
        "The token is read again and renewed once. If it comes back: make sure that no other program "
        "fetches tokens for this AppID by the classic call, and check the AppSecret.",
        {
            40001: (
                "令牌不是最新的，或 AppSecret 不正确",
                "The token is not the latest, or the secret is wrong",
            )
        },
        stops="none",
        retry=True,
        refresh_token=True,
    ),
    _Group(
        "系统会从共享存储重新读取令牌，必要时刷新一次",
        "The token is read again from the shared store, and renewed once if need be.",
        {40014: ("令牌格式不正确", "Malformed access token")},
        stops="none",
        retry=True,
        refresh_token=True,
    ),
    _Group(
        "系统会自动更新；若持续出现，请检查服务器时钟",
        "Renewed by itself; if it lasts, check the server's clock.",
        {42001: ("令牌已过期", "The access token has expired")},
        stops="none",
        retry=True,
        refresh_token=True,
    ),
    _Group(
        "请在微信开发者平台核对后重新填写账号设置，不要带空格",
        "Copy it again from WeChat's developer platform into the account's settings, without blanks.",
        {40013: ("AppID 不正确", "Invalid AppID")},
        stops="account",
    ),
    _Group(
        "请在微信开发者平台重置 AppSecret，并更新账号设置",
        "Reset the AppSecret on WeChat's developer platform and update the account's settings.",
        {40125: ("AppSecret 不正确", "Invalid AppSecret")},
        stops="account",
    ),
    _Group(
        "请把错误信息里的 IP 加入“API IP 白名单”；有多个出口时全部加入",
        "Add the address in the message to the API IP whitelist; with several exits, add them all.",
        {40164: ("服务器 IP 不在白名单中", "This server's address is not in the whitelist")},
        stops="account",
    ),
    _Group(
        "请管理员在微信中确认，或改用 IP 白名单",
        "An administrator confirms it in WeChat; or use the IP whitelist.",
        {
            89503: (
                "此 IP 的调用需要管理员确认",
                "Calls from this address need an administrator's consent",
            ),
            89501: (
                "此 IP 正在等待管理员确认",
                "This address is waiting for an administrator's consent",
            ),
            89506: (
                "管理员已拒绝此 IP，24 小时内不能再申请",
                "An administrator refused this address for 24 hours",
            ),
            89507: (
                "管理员已拒绝此 IP，1 小时内不能再申请",
                "An administrator refused this address for an hour",
            ),
        },
        stops="account",
    ),
)

_ACCOUNT = (
    _Group(
        "请等到次日零点（北京时间）恢复，或使用每月 10 次的清零机会",
        "Wait for midnight in Beijing, or use one of the ten resets a month.",
        {45009: ("当日接口调用次数已用完", "Today's quota of this call is used up")},
        stops="account",
    ),
    _Group(
        "今日或本月不能再群发，请等待额度恢复；测试号没有群发额度",
        "Wait until the day or month is over; test accounts have no quota.",
        {45028: ("群发额度已用完", "No mass messages left")},
        stops="account",
    ),
    _Group(
        "请核对账号类型与认证状态：未认证或此类账号没有该接口；认证到期也会如此",
        "Check the account's type and verification: this kind has no such call, or the verification ran out.",
        {48001: ("账号没有此接口的权限", "The account has no permission for this call")},
        stops="account",
    ),
    _Group(
        "请管理员登录公众平台，在群发页面同意协议",
        "An administrator signs in to the console once and accepts the agreement on the mass-message page.",
        {48003: ("尚未同意群发协议", "The mass-message agreement was not accepted")},
        stops="account",
    ),
    _Group(
        "请登录公众平台查看站内通知并按要求整改",
        "Read the notice in the console and do what it asks.",
        {48004: ("接口因违规被封禁", "The call is banned for violations")},
        stops="account",
    ),
    _Group(
        "本月清零次数已用完，请等到下个月",
        "Wait for the next month.",
        {48006: ("清零次数已用完", "The monthly quota resets are used up")},
        stops="account",
    ),
    _Group(
        "请登录公众平台查看账号状态；网页授权类请让用户重新同意",
        "Look at the account's state in the console; for page authorisation, ask for consent again.",
        {
            50001: ("用户未授权此接口", "The user has not authorised this call"),
            50002: ("用户或账号受限", "The user or the account is restricted"),
        },
        stops="account",
    ),
    _Group(
        "此账号由第三方平台代管，请在该平台重新授权",
        "The account is run by a third-party platform: authorise it there again.",
        {
            61004: (
                "第三方平台的 IP 未登记",
                "The third-party platform's address is not registered",
            ),
            61007: (
                "第三方平台没有此接口的授权",
                "The third-party platform is not authorised for this call",
            ),
            61016: (
                "此接口只能由第三方平台调用",
                "Only the third-party platform may make this call",
            ),
        },
        stops="account",
    ),
    _Group(
        "请在公众平台启用客服功能",
        "Enable the customer-service feature in the console.",
        {65400: ("客服功能未启用", "The agent tool is not enabled")},
        stops="account",
    ),
    _Group(
        "请先在微信开发者平台填写服务器地址（URL）",
        "Set the callback URL on WeChat's developer platform first.",
        {
            40201: ("尚未设置服务器地址", "No callback URL is set"),
            40202: ("网络检测的动作不正确", "Network check: unknown action"),
            40203: ("网络检测的运营商不正确", "Network check: unknown operator"),
        },
    ),
    _Group(
        "所属行业每月只能修改一次，请等到下个月",
        "Wait for the next month.",
        {43100: ("修改行业过于频繁", "The industry was changed too often")},
        stops="account",
    ),
    _Group(
        "请换用该账号支持的消息类型",
        "Use another type of message.",
        {
            40200: ("此类账号不支持该消息或操作", "This type of account cannot do this"),
            48008: ("没有发送此类消息的权限", "No permission for this type of message"),
        },
    ),
)

_FOLLOWERS = (
    _Group(
        "请等待用户再次发来消息，或改用模板消息",
        "Wait until the follower writes, or send a template message.",
        {45015: ("已超过可回复时间", "Outside every reply window")},
        stops="follower",
    ),
    _Group(
        "请等待用户再次发来消息；把多条回复合并成一条",
        "Wait for the follower's next message; put several answers into one.",
        {45047: ("本次可下发的客服消息已用完", "The customer messages of this window are used up")},
        stops="follower",
    ),
    _Group(
        "请核对是否选错账号；此人从未关注，或 openid 属于别的公众号",
        "Check the account selected: the openid is another account's, or the person never followed.",
        {
            40003: ("openid 不正确", "Invalid openid"),
            49003: ("openid 属于另一个 AppID", "The openid belongs to another AppID"),
        },
        stops="follower",
    ),
    _Group(
        "请从名单中移除，并标记为已取消关注",
        "Remove the person from the list and mark them as unfollowed.",
        {
            43004: ("接收者未关注", "The receiver does not follow"),
            50005: ("用户未关注", "Not a follower"),
            46004: ("用户不存在", "No such user"),
        },
        stops="follower",
    ),
    _Group(
        "请先把此人移出黑名单",
        "Take the person out of the blacklist first.",
        {43019: ("接收者在黑名单中", "The receiver is in the blacklist")},
        stops="follower",
    ),
    _Group(
        "请用户重新订阅后再发送",
        "Ask the follower to subscribe again.",
        {43101: ("没有剩余的订阅，或用户已拒收", "No consent is left, or it was refused")},
        stops="follower",
    ),
    _Group(
        "无需处理，跳过此人",
        "Nothing to do; skip this person.",
        {48002: ("用户拒收消息", "The follower refuses messages")},
        stops="follower",
    ),
    _Group(
        "请减少该粉丝的标签后再试",
        "Remove one of this follower's tags first.",
        {45059: ("此粉丝的标签已满 20 个", "The follower has twenty tags already")},
    ),
)

_MEDIA = (
    _Group(
        "请转换文件格式后重新上传",
        "Convert the file and upload it again.",
        {
            40004: ("媒体类型不支持", "Unsupported media type"),
            40005: ("文件类型不支持", "Unsupported file type"),
        },
    ),
    _Group(
        "请压缩后重新上传",
        "Make the file smaller and upload it again.",
        {
            40006: ("文件大小不符合要求", "Bad file size"),
            40009: ("图片过大", "The picture is too large"),
            40010: ("语音过大", "The voice is too large"),
            40011: ("视频过大", "The video is too large"),
            40012: ("缩略图过大", "The thumbnail is too large"),
            45001: ("多媒体文件过大", "The media file is too large"),
        },
    ),
    _Group(
        "素材已满 3 天过期，或属于别的账号：请重新上传",
        "It expired after three days, or is another account's: upload it again.",
        {40007: ("media_id 无效", "Invalid media id")},
    ),
    _Group(
        "请改用 JPG 或 PNG 图片",
        "Use JPG or PNG.",
        {40137: ("图片格式不支持", "Unsupported picture format")},
    ),
    _Group(
        "请剪短到 60 秒以内",
        "Cut it to 60 seconds.",
        {45007: ("语音超过 60 秒", "The voice is longer than 60 seconds")},
    ),
    _Group(
        "请先在菜单或自动回复中停用此素材",
        "Take it out of the menu or automatic reply first.",
        {48005: ("素材正在使用", "The material is in use")},
    ),
    _Group(
        "请打开草稿按提示修改；需要时先在公众平台手动保存一次",
        "Open the draft and follow the hint; if need be, save it by hand in the console first.",
        {
            53503: ("草稿未通过发布检查", "The draft failed the checks"),
            53504: ("此草稿需在公众平台发布", "This draft must be published in the console"),
            53505: ("请先手动保存再发布", "Save by hand before publishing"),
        },
    ),
)

_MENUS = (
    _Group(
        "请按提示修改对应的菜单项",
        "Correct the menu entry that the message names.",
        {
            40016: ("菜单按钮个数不符合要求", "Wrong number of menu buttons"),
            40017: ("菜单按钮类型不正确", "Wrong type of menu button"),
            40018: ("菜单名称过长或为空", "The menu name is empty or too long"),
            40019: ("菜单 KEY 过长或为空", "The menu key is empty or too long"),
            40020: ("菜单链接过长或为空", "The menu link is empty or too long"),
            40023: ("子菜单按钮个数不符合要求", "Wrong number of sub-menu buttons"),
            40025: ("子菜单名称过长或为空", "The sub-menu name is empty or too long"),
            40026: ("子菜单 KEY 过长或为空", "The sub-menu key is empty or too long"),
            40027: ("子菜单链接过长或为空", "The sub-menu link is empty or too long"),
        },
    ),
    _Group(
        "请删除一些菜单后再试",
        "Delete some menus first.",
        {45010: ("菜单数量超限", "Too many menus")},
    ),
    _Group(
        "请在公众平台关联该小程序",
        "Link the mini program in the console.",
        {45064: ("小程序未与公众号关联", "The mini program is not linked")},
    ),
    _Group(
        "请先创建默认菜单；匹配规则只能使用标签",
        "Create the default menu first; match by tags only.",
        {
            65301: ("没有这个个性化菜单", "No conditional menu with this id"),
            65302: ("没有相应的用户", "No such user"),
            65303: ("没有默认菜单，不能创建个性化菜单", "There is no default menu yet"),
            65304: ("匹配规则为空", "The match rule is empty"),
            65305: ("个性化菜单数量超限", "Too many conditional menus"),
            65306: ("账号不支持个性化菜单", "The account has no conditional menus"),
            65307: ("个性化菜单内容为空", "The conditional menu is empty"),
            65308: ("菜单中有没有动作的按钮", "A button has no action"),
            65309: ("个性化菜单已关闭", "Conditional menus are switched off"),
            65310: ("填写了省市但没有国家", "Province or city without a country"),
            65311: ("填写了城市但没有省份", "City without a province"),
            65312: ("国家信息不正确", "Bad country"),
            65313: ("省份信息不正确", "Bad province"),
            65314: ("城市信息不正确", "Bad city"),
            65315: ("地区信息不正确", "Bad region data"),
            65316: ("个性化菜单跳转的域名超过 3 个", "More than three outside domains"),
            65317: ("菜单链接不正确", "Bad link in the menu"),
            65318: ("个性化菜单规则不正确", "Bad conditional-menu rule"),
            65319: ("个性化菜单规则不受支持", "Unsupported conditional-menu rule"),
            65320: (
                "匹配规则含有隐私字段（性别、地区、语言）",
                "The rule uses sex, region or language",
            ),
        },
    ),
    _Group(
        "请重新载入后再试",
        "Reload and try again.",
        {
            46001: ("媒体数据不存在", "No such media"),
            46003: ("菜单不存在", "No such menu"),
        },
    ),
)

_TAGS = (
    _Group(
        "请删除不用的标签",
        "Delete tags that are not used.",
        {45056: ("标签已满 100 个", "There are a hundred tags already")},
    ),
    _Group(
        "请先给粉丝取消此标签",
        "Untag followers first.",
        {45057: ("标签下粉丝超过 10 万，不能删除", "The tag has more than 100,000 followers")},
    ),
    _Group(
        "系统保留标签（0、1、2）不能修改",
        "Tags 0, 1 and 2 are the platform's own.",
        {45058: ("不能修改系统标签", "A system tag cannot be changed")},
    ),
    _Group(
        "请改名，或重新载入标签",
        "Rename it, or reload the tags.",
        {
            45157: ("标签名重复或不合法", "The tag name is taken or not allowed"),
            45158: ("标签名过长", "The tag name is too long"),
            45159: ("标签不存在", "No such tag"),
        },
    ),
)

_CONTENT = (
    _Group(
        "请缩短内容，或拆成几条",
        "Shorten or split it.",
        {45002: ("消息内容过长", "The text is too long")},
    ),
    _Group(
        "请缩短后再试",
        "Shorten it.",
        {
            45003: ("标题过长", "The title is too long"),
            45004: ("描述过长", "The description is too long"),
            45005: ("链接过长", "The link is too long"),
            45006: ("图片链接过长", "The picture's link is too long"),
            45067: ("群发编号过长", "The client message id is too long"),
        },
    ),
    _Group(
        "每次只能发一篇图文",
        "Send one article.",
        {45008: ("图文超过一篇", "More than one article")},
    ),
    _Group(
        "不要发送空内容",
        "Do not send anything empty.",
        {
            44001: ("媒体文件为空", "Empty media"),
            44002: ("请求内容为空", "Empty body"),
            44003: ("图文内容为空", "Empty article"),
            44004: ("文本内容为空", "Empty text"),
        },
    ),
    _Group(
        "请删除提示所指的链接或脚本",
        "Remove the links or scripts that the message names.",
        {45166: ("内容不被接受", "The content was refused")},
    ),
    _Group(
        "请改写后再试",
        "Rephrase it.",
        {
            87009: ("签名无效", "Invalid signature"),
            87014: ("内容含有违规风险", "Risky content"),
        },
    ),
    _Group(
        "请删除该链接",
        "Remove the link.",
        {40155: ("内容链接到了其他公众号主页", "It links to another account's home page")},
    ),
    _Group(
        "请使用已在公众平台登记的域名",
        "Use a domain registered in the console.",
        {
            40048: ("链接的域名不被允许", "The link's domain is refused"),
            40054: ("子菜单链接的域名不被允许", "The domain of a sub-menu link is refused"),
            40055: ("菜单链接的域名不被允许", "The domain of a menu link is refused"),
        },
    ),
    _Group(
        "更换类目后模板会被删除；请重新选择模板",
        "Templates go when a category changes, or the id is another feature's: choose the template again.",
        {40037: ("模板 id 不正确", "Invalid template id")},
    ),
    _Group(
        "永久二维码可能已用完 10 万个，或场景值不符合规则",
        "The 100,000 permanent codes are used up, or the scene is not allowed.",
        {40053: ("二维码参数不正确", "The code's settings were refused")},
    ),
    _Group(
        "批量：资料 100 人、标签 50 人、黑名单 20 人、群发 2 至 10000 人",
        "Batches: 100 for profiles, 50 for tags, 20 for the blacklist, 2 to 10,000 for mass messages.",
        {
            40032: ("名单人数不符合要求", "The list has the wrong size"),
            40130: ("群发名单少于两人", "A mass list needs at least two"),
        },
    ),
    _Group(
        "群发速度为 0 到 4",
        "Choose a speed from 0 to 4.",
        {
            45083: ("群发速度超出范围", "The mass speed is out of range"),
            45084: ("没有填写群发速度", "The mass speed is missing"),
        },
    ),
)

_PAGES = (
    _Group(
        "请重新发起网页授权，不要刷新回调页",
        "Start the page authorisation again; do not refresh the callback page.",
        {
            40029: ("网页授权 code 无效", "The page code is invalid"),
            40163: ("网页授权 code 已被使用", "The page code was used before"),
        },
    ),
    _Group(
        "请让用户重新同意授权",
        "Ask the user for consent again.",
        {
            40030: ("refresh_token 无效", "The page's refresh token is invalid"),
            42002: ("refresh_token 已过期", "The page's refresh token has expired"),
            42007: (
                "用户修改了密码或撤销了授权",
                "The user changed the password or withdrew consent",
            ),
        },
    ),
    _Group(
        "签名用的网址不含 # 之后的部分；请使用最新的 ticket，并登记 JS 安全域名",
        "Sign the URL without its fragment, with a fresh ticket, on a registered domain.",
        {63002: ("页面签名不正确", "The page's signature is wrong")},
    ),
)

_AGENTS = (
    _Group(
        "请修改客服账号的信息",
        "Correct the agent's account.",
        {
            61450: ("客服接口系统错误", "System error of the agent call"),
            61452: ("客服账号不正确", "Invalid agent account"),
            61453: ("客服账号已存在", "The agent account exists already"),
            61454: ("客服账号名过长", "The agent account's name is too long"),
            61455: (
                "客服账号名含有不允许的字符",
                "The agent account's name has characters not allowed",
            ),
            61456: ("客服账号数量已满", "There are too many agent accounts"),
            61457: ("客服头像格式不正确", "The agent's picture has the wrong format"),
            40132: ("微信号不正确", "Invalid WeChat id"),
            65401: ("客服账号不正确", "Invalid agent account"),
            65402: ("客服账号还没有绑定微信", "The agent account is not bound to a person"),
            65403: ("客服昵称不正确", "Invalid agent nickname"),
            65404: ("客服账号名不正确", "Invalid agent account name"),
            65405: ("客服账号数量已满", "There are too many agent accounts"),
            65406: ("客服账号已存在", "The agent account exists already"),
            65407: ("此微信已是客服", "The person is an agent already"),
            65408: ("已经邀请过此微信", "The person was invited already"),
            65409: ("微信号不正确", "Invalid WeChat id"),
            65410: ("此微信绑定的客服账号过多", "The person has too many agent accounts"),
            65411: ("邀请正在等待接受", "An invitation is pending"),
            65412: ("客服账号已绑定微信", "The agent account is bound already"),
            65413: ("邀请尚未被接受", "The invitation was not accepted yet"),
            65414: ("没有进行中的会话", "There is no open session"),
            65415: ("会话由其他客服接待", "Another agent holds the session"),
            65416: ("客服接口参数不正确", "Bad arguments of the agent call"),
        },
    ),
)

_CALLS = (
    _Group(
        "请查看错误信息所指的字段",
        "Read the message for the field concerned.",
        {
            40035: ("参数不正确", "Bad argument"),
            40097: ("参数不正确", "Bad arguments"),
            47001: ("JSON 格式不正确", "Bad JSON"),
            47003: ("模板参数不符合规则", "A template value breaks its rule"),
            61451: ("参数不正确", "Bad argument"),
        },
    ),
    _Group(
        "请检查日期与跨度是否在接口允许的范围内",
        "Check date and span against the call's limits.",
        {
            61500: ("日期格式不正确", "Bad date"),
            61501: ("日期跨度不符合要求", "Bad span of dates"),
        },
    ),
    _Group(
        "短链数据最长 4 KB、有效期最长 30 天；短 key 不存在时请重新生成",
        "Short keys hold 4 KB for 30 days; make a new one when the key is unknown.",
        {
            9410010: ("短 key 数据过长", "The short key's data is too long"),
            9410011: ("短 key 有效期过长", "The short key's life is too long"),
            9410012: ("短 key 不存在", "Unknown short key"),
        },
    ),
    _Group(
        "这是软件的问题，请连同 rid 反馈给开发者",
        "A fault of this software: report it together with the rid.",
        {
            40002: ("grant_type 不正确", "Bad grant type"),
            40008: ("消息类型不正确", "Bad message type"),
            40033: ("请求中含有 \\u 转义字符", "The body has \\u escapes"),
            40066: ("接口路径不正确，请更新软件", "Bad path of the call: update the software"),
            41001: ("缺少 access_token", "The access token is missing"),
            41002: ("缺少 appid", "The appid is missing"),
            41003: ("缺少 refresh_token", "The refresh token is missing"),
            41004: ("缺少 secret", "The secret is missing"),
            41005: ("缺少媒体数据", "The media data is missing"),
            41006: ("缺少 media_id", "The media id is missing"),
            41007: ("缺少子菜单数据", "The sub-menu data is missing"),
            41008: ("缺少网页授权 code", "The page code is missing"),
            41009: ("缺少 openid", "The openid is missing"),
            43001: ("需要用 GET 请求", "GET is needed"),
            43002: ("需要用 POST 请求", "POST is needed"),
            43003: ("需要用 HTTPS 请求", "HTTPS is needed"),
        },
    ),
)

BY_CODE: Final[Mapping[int, PlatformError]] = {
    error.code: error
    for groups in (
        _PASSING,
        _TOKENS,
        _ACCOUNT,
        _FOLLOWERS,
        _MEDIA,
        _MENUS,
        _TAGS,
        _CONTENT,
        _PAGES,
        _AGENTS,
        _CALLS,
    )
    for group in groups
    for error in group.errors()
}
"""Every listed code once."""
