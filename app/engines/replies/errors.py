"""What this engine refuses."""

from app.core.errors import NotFound, Refusal


class VersionConflict(Refusal):
    """Somebody else saved in between."""

    code = "VERSION"
    zh = "内容已被他人修改，请刷新后再保存（当前版本 {current}）"
    en = "Somebody else saved meanwhile; reload first (current version {current})"


class DuplicateBinding(Refusal):
    code = "DUPLICATE_BINDING"
    zh = "「{on} {key}」已有绑定"
    en = "There is a binding on {on} {key} already"


class DuplicateFlow(Refusal):
    code = "DUPLICATE_FLOW"
    zh = "已有名为「{name}」的对话"
    en = "There is a flow named {name} already"


class FlowInUse(Refusal):
    code = "FLOW_IN_USE"
    zh = "「{used_by}」正在使用这个对话，请先修改"
    en = "{used_by} starts this flow; change that first"


class NoSuchVersion(NotFound):
    code = "NO_SUCH_VERSION"
    zh = "没有版本 {version}（当前版本 {current}）"
    en = "There is no version {version} (current version {current})"


class VersionGone(Refusal):
    """Needed for what was asked, and written before versions were kept."""

    code = "VERSION_GONE"
    zh = "版本 {version} 的内容没有记录；最早可用的是版本 {oldest}"
    en = "What version {version} was is not on record; the oldest that can be had is {oldest}"
