"""Chinese or English, as the caller's browser asks for."""

from collections.abc import Mapping

from app.core.text import Language


def language_of(headers: Mapping[str, str]) -> Language:
    """The better liked of the two in Accept-Language; Chinese when neither is named."""
    liked: dict[Language, float] = {}
    for part in headers.get("accept-language", "").lower().split(","):
        tag, _, rest = part.strip().partition(";")
        base = tag.split("-")[0]
        if base == "zh":
            liked["zh"] = max(liked.get("zh", 0.0), _quality(rest))
        elif base == "en":
            liked["en"] = max(liked.get("en", 0.0), _quality(rest))
    return "en" if liked.get("en", 0.0) > liked.get("zh", 0.0) else "zh"


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
