"""The one tree of errors that people may see.

    AppError
    ├── Invalid      400/422: the request itself is wrong
    ├── NotSignedIn  401
    ├── NotAllowed   403
    ├── NotFound     404
    ├── Refusal      409: the rules say no
    └── Unavailable  503: try again later

A subclass gives its stable `code` and a sentence in both languages; what it is raised with fills
the sentence and becomes `details`. Anything else that is raised is a fault: logged, never shown.
"""

from collections.abc import Sequence
from typing import ClassVar, Self


class AppError(Exception):
    code: ClassVar[str] = "ERROR"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    zh: ClassVar[str] = "出错了"
    en: ClassVar[str] = "Something went wrong"

    def __init__(self, **details: object) -> None:
        super().__init__(details)
        self.details = details

    def say(self, lang: str = "zh") -> str:
        """The sentence for people; `lang` is a language tag, anything but English gets Chinese."""
        template = self.en if lang.lower().startswith("en") else self.zh
        return template.format(**self.details)

    def __str__(self) -> str:
        return f"{self.code}: {self.say('en')}"


class Invalid(AppError):
    code = "INVALID"
    status = 422
    zh = "{field}：{problem}"
    en = "{field}: {problem}"

    def __init__(self, chinese: str = "", also: Sequence[Self] = (), **details: object) -> None:
        """`chinese` says in Chinese what `problem` says in English; `also`: what else is wrong."""
        super().__init__(**details)
        self._chinese = chinese
        self._also = tuple(also)

    @property
    def every(self) -> tuple[Self, ...]:
        """All that is wrong, this first."""
        return (self, *(each for other in self._also for each in other.every))

    @property
    def chinese(self) -> str:
        """The problem alone, in Chinese where that is known."""
        return self._chinese or str(self.details["problem"])

    def say(self, lang: str = "zh") -> str:
        if self._chinese and not lang.lower().startswith("en"):
            return self.zh.format(**{**self.details, "problem": self._chinese})
        return super().say(lang)


class NotSignedIn(AppError):
    code = "NOT_SIGNED_IN"
    status = 401
    zh = "请先登录，或提供有效的访问令牌"
    en = "Sign in, or send a valid access token"


class NotAllowed(AppError):
    code = "NOT_ALLOWED"
    status = 403
    zh = "没有权限：{permission}"
    en = "Not allowed: {permission}"


class NotFound(AppError):
    code = "NOT_FOUND"
    status = 404
    zh = "找不到{what}"
    en = "No such {what}"


class Refusal(AppError):
    code = "REFUSED"
    status = 409


class Unavailable(AppError):
    code = "UNAVAILABLE"
    status = 503
    retryable = True
    zh = "服务暂时不可用，请稍后再试"
    en = "Temporarily unavailable; try again shortly"
