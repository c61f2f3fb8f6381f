"""What followers do while a server is soaked: texts, repeats, newcomers, dialogues, slow questions."""

from collections import deque
from dataclasses import dataclass, field
from random import Random

from tests.bench import shop
from tests.bench.load import FIRST_ID, request

REPEATS, NEWCOMERS, DIALOGUES, SLOW = 0.04, 0.02, 0.03, 0.02
"""Shares of the deliveries; a dialogue has two more deliveries, its answers."""
SLOW_WORD, SLOW_SECONDS = "查天气", 0.05
FLOW_WORD, FLOW_ANSWERS = "我要订位", ("3", "明天")
_REMEMBERED = 2_000
"""Deliveries that may come again: those of the last seconds."""


@dataclass
class Chatter:
    """The next delivery, endlessly. One seed, one chatter."""

    followers: int
    first_id: int = FIRST_ID
    random: Random = field(default_factory=lambda: Random(11))
    sent: deque[bytes] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    asked: deque[tuple[int, int]] = field(default_factory=deque)
    """Followers in a dialogue, and which question is open."""

    def next(self, now: int) -> bytes:
        """A request signed for `now`, in unix seconds."""
        if len(self.sent) == _REMEMBERED and self.random.random() < REPEATS:
            return self.sent[self.random.randrange(_REMEMBERED // 2)]
        who, text = self._said()
        self.first_id += 1
        made = request(who, text, self.first_id, now)
        self.sent.append(made)
        return made

    def _said(self) -> tuple[int, str]:
        if len(self.asked) > 100:  # by then the question has been answered: the oldest goes on
            who, step = self.asked.popleft()
            if step + 1 < len(FLOW_ANSWERS):
                self.asked.append((who, step + 1))
            return who, FLOW_ANSWERS[step]
        drawn = self.random.random()
        if drawn < NEWCOMERS:
            self.followers += 1
            return self.followers - 1, "menu"
        who = self.random.randrange(self.followers)
        if drawn < NEWCOMERS + DIALOGUES:
            self.asked.append((who, 0))
            return who, FLOW_WORD
        if drawn < NEWCOMERS + DIALOGUES + SLOW:
            return who, SLOW_WORD
        return who, self.random.choice(shop.texts())
