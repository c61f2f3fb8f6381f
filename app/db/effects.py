"""Effects: what decisions ask to be written, applied set-wise in one fixed order of kinds."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from app.core.decisions import Effect
from app.core.replies import Reply
from app.db.tx import Tx

E_contra = TypeVar("E_contra", bound=Effect, contravariant=True)
O = TypeVar("O")  # noqa: E741  # outcome


class EffectKind(Protocol[E_contra, O]):
    """One kind of effect. `apply` answers each request, in the order asked, and writes nothing for
    a refused one; `render` turns an outcome into words, or None to say nothing, and is pure."""

    kind: ClassVar[str]

    async def apply(self, tx: Tx, requests: Sequence[E_contra]) -> list[O]: ...

    def render(self, outcome: O) -> Reply | None: ...


class EffectKinds:
    """The kinds of the installation. Their order is the lock order, so it is the same everywhere."""

    def __init__(self, kinds: Iterable[EffectKind[Any, Any]]) -> None:
        self._kinds = tuple(kinds)
        self._known = {kind.kind for kind in self._kinds}

    async def apply(self, tx: Tx, requests: Sequence[Effect]) -> list[Reply | None]:
        """Applies all, kind by kind; what each says, in the order asked. One that a later one
        `settles` anew is not applied and says nothing.

        Raises `ValueError` for an effect of a kind nobody registered.
        """
        places: dict[str, list[int]] = defaultdict(list)
        last = {effect.settles: place for place, effect in enumerate(requests)}
        for place, effect in enumerate(requests):
            if effect.kind not in self._known:
                raise ValueError(f"no effect kind {effect.kind!r} is registered")
            if effect.settles is None or last[effect.settles] == place:
                places[effect.kind].append(place)
        said: list[Reply | None] = [None] * len(requests)
        for kind in self._kinds:
            where = places.get(kind.kind)
            if not where:
                continue
            outcomes = await kind.apply(tx, [requests[place] for place in where])
            for place, outcome in zip(where, outcomes, strict=True):
                said[place] = kind.render(outcome)
        return said
