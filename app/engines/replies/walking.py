"""The way of a follower through a dialogue, one contact after the other. Pure.

A state remembers the questions answered so far (`path`), so that going back finds the one before.
An answer whose question has not been reached yet was given ahead; the question is then passed by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from app.core.actions import Action, run
from app.core.decisions import KEEP, Decision, Effect, FlowState, Snapshot, Step
from app.core.replies import TextReply
from app.core.text import normalise
from app.engines.replies import asking
from app.engines.replies.answers import today_of, understood
from app.engines.replies.branching import chosen
from app.engines.replies.flows import Flow
from app.engines.replies.placeholders import fill
from app.engines.replies.plan_graph import below, edges, reachable
from app.engines.replies.plans import END, Doing, HandingOver, Question
from app.engines.replies.several import Filled, several
from app.engines.replies.understanding import typed

PATH_LIMIT = 100
"""Answers in one dialogue. Whoever has given so many goes round in circles."""
NESTED_LIMIT = 5
"""Dialogues begun one out of the other within one contact."""
OFFER_AFTER = 3
"""Answers in a row that are not understood before a way out is offered; the next one ends it."""
DONE = -1
"""In a path: something was done for good, nobody goes back before it."""


def begin(flow: Flow, snap: Snapshot) -> Decision:
    """Asks the first question, forgetting any dialogue the follower was in.

    What the follower wrote beside the words that called it may answer questions already.
    """
    walk = _Walk(flow, snap)
    if snap.nested >= NESTED_LIMIT:
        return walk.lost("nested")
    answered_already = snap.incoming.key or snap.nested  # a tapped option, another flow's question
    words = "" if answered_already else typed(snap.incoming)
    walk.take(_several(flow, snap, words, {}, asked=None) if words else ())
    decision = walk.go(0, "begun")
    return replace(decision, why={**decision.why, "begins": str(flow.id)}, apart=walk.apart)


def advance(flow: Flow, state: FlowState, snap: Snapshot) -> Decision | None:
    """Takes the follower's answer: asks again, goes back, asks the next question, or finishes.

    None when the state does not fit the flow (it was written by another version of it).
    """
    question = flow.plan.question(state.step)
    if question is None:
        return None
    walk = _Walk.of(flow, state, snap)
    decision = _advanced(walk, question, state)
    return decision if walk.apart is None else replace(decision, apart=walk.apart)


def _advanced(walk: "_Walk", question: Question, state: FlowState) -> Decision:
    flow, snap = walk.flow, walk.snap
    words = typed(snap.incoming)
    value = understood(question, words, snap)
    said = normalise(words)
    if said in _among(flow.plan.cancel_words):
        return walk.cancelled()
    chosen_so = question.expect == "choice" and value is not None and said == normalise(str(value))
    if not chosen_so:
        if said in _among(flow.plan.back_words):
            return walk.back()
        if said in _among(flow.plan.person_words):
            return walk.hand_over()
    if state.paused and (value is None or question.expect == "text"):
        return walk.resume()
    if value is not None:
        return walk.answered(value)
    found = _several(flow, snap, words, state.answers, asked=state.step) if words else ()
    if any(one.place == state.step for one in found):
        walk.take(found)
        return walk.answered(walk.answers[question.save_as])
    return walk.not_understood()


def _among(words: Sequence[str]) -> set[str]:
    return {normalise(word) for word in words}


def _several(
    flow: Flow, snap: Snapshot, words: str, answers: Mapping[str, Any], *, asked: int | None
) -> tuple[Filled, ...]:
    """What a message answers of the questions that may still come."""
    ahead = reachable(edges(flow.plan), [asked or 0])
    questions = {
        place: question
        for place in sorted(ahead)
        if (question := flow.plan.question(place)) is not None
        and (place == asked or question.save_as not in answers)
    }
    return several(words, questions, today_of(snap), asked=asked, called_by=snap.called_by)


@dataclass(slots=True)
class _Walk:
    """One contact's way through the plan."""

    flow: Flow
    snap: Snapshot
    place: int = 0
    """The question the follower had before them."""
    answers: dict[str, Any] = field(default_factory=dict)
    path: list[int] = field(default_factory=list)
    misses: int = 0
    steps: list[Step] = field(default_factory=list)
    filled: tuple[Filled, ...] = ()
    trace: dict[str, Any] = field(default_factory=dict)
    started: Mapping[str, Any] = field(default_factory=dict)
    """What actions of this contact added to the trace."""
    apart: str | None = None
    """The handler that an action leaves an answer to."""

    @staticmethod
    def of(flow: Flow, state: FlowState, snap: Snapshot) -> "_Walk":
        return _Walk(flow, snap, state.step, dict(state.answers), list(state.path), state.misses)

    @property
    def today(self) -> date:
        return today_of(self.snap)

    @property
    def texts(self) -> Mapping[str, Any]:
        return {**self.flow.blank, **self.answers}

    # --- what the follower may do -----------------------------------------------------------------

    def take(self, found: tuple[Filled, ...]) -> None:
        """Keeps what one message says to several questions."""
        self.filled = found
        for one in found:
            question = self.flow.plan.question(one.place)
            if question is not None:
                self.answers[question.save_as] = one.value

    def answered(self, value: Any) -> Decision:
        question = self.flow.plan.steps[self.place]
        if isinstance(question, Question):
            self.answers[question.save_as] = value
        self.path.append(self.place)
        return self.go(self.after(self.place), "saved")

    def back(self) -> Decision:
        """The question before, whose answer is then forgotten."""
        if not self.path or self.path[-1] == DONE:
            return self.ask(self.place, "nothing before", asking.NOTHING_BEFORE)
        place = self.path.pop()
        question = self.flow.plan.question(place)
        if question is None:  # a path of another version
            return self.lost("path")
        self.answers.pop(question.save_as, None)
        return self.ask(place, "back")

    def cancelled(self) -> Decision:
        return self.end([TextReply(self.flow.plan.cancelled)], "cancelled")

    def resume(self) -> Decision:
        return self.ask(self.place, "resumed", asking.RESUMED)

    def not_understood(self) -> Decision:
        """Says it in other words each time; then offers a way out; then ends the dialogue."""
        self.misses += 1
        if self.misses > OFFER_AFTER:
            words = asking.given_up(self.snap.account.contact)
            return self.end([TextReply(words)], "given up")
        question = self.flow.plan.question(self.place)
        if question is None:
            return self.lost("path")
        words = asking.again(
            self.flow.plan,
            question,
            self.texts,
            self.today,
            self.misses,
            person=self.flow.person is not None,
            contact=self.snap.account.contact if self.misses >= OFFER_AFTER else "",
        )
        return self._question(self.place, words, "asked again")

    def hand_over(self) -> Decision:
        """To a person; where nothing can hand over, with the shop's contact."""
        return self._to_person("", "handed over")

    def lost(self, why: str) -> Decision:
        """The plan goes round in circles: not the follower's fault."""
        self.trace["lost"] = why
        return self._to_person(asking.LOST, "handed over")

    # --- the way through --------------------------------------------------------------------------

    def after(self, place: int) -> int | None:
        """The step that follows; None for the end."""
        step = self.flow.plan.steps[place]
        if isinstance(step, HandingOver) or step.next is None:
            return below(self.flow.plan, place)
        name, why = chosen(step.next, self.answers, self.today)
        if why:
            self.trace["branch"] = why
        return None if name == END else self.flow.places[name]

    def go(self, place: int | None, outcome: str) -> Decision:
        """From a step on until something is to be asked or it is over."""
        if len(self.path) >= PATH_LIMIT:
            return self.lost("path")
        plan = self.flow.plan
        for _ in range(2 * len(plan.steps) ** 2 + 2):
            if place is None:
                return self.finish()
            step = plan.steps[place]
            if isinstance(step, HandingOver):
                return self._do(self.flow.done[place], "handed over") or self.lost("hand over")
            if isinstance(step, Doing):
                over = self._do(self.flow.done[place], "ended by an action")
                if over is not None:
                    return over
            elif self._is_answered(step):
                self.path.append(place)
            else:
                return self.ask(place, outcome)
            place = self.after(place)
        return self.lost("steps")

    def _is_answered(self, question: Question) -> bool:
        """It was answered before it came up, and not asked since."""
        if question.save_as not in self.answers:
            return False
        passed = (self.flow.plan.question(place) for place in self.path if place != DONE)
        return all(one is None or one.save_as != question.save_as for one in passed)

    def _do(self, actions: Sequence[Action], outcome: str) -> Decision | None:
        """Runs the actions of a step; the decision when one of them ends the dialogue."""
        part = self._run(actions, self.state(self.place))
        self.steps.extend(part.steps)
        if any(isinstance(step, Effect) for step in part.steps):
            self.path.append(DONE)
        if part.flow is KEEP:
            return None
        return Decision(tuple(self.steps), part.flow, why=self.why(outcome))

    def _run(self, actions: Sequence[Action], state: FlowState | None) -> Decision:
        snap = replace(self.snap, flow=state, nested=self.snap.nested + 1)
        part = run([fill(action, self.texts) for action in actions], snap, {})
        self.started = {**part.why, **self.started}
        self.apart = part.apart or self.apart
        return part

    def finish(self) -> Decision:
        part = self._run(self.flow.finish, None)
        self.steps.extend(part.steps)
        if self.filled:
            self.steps.insert(0, TextReply(asking.noted(self.filled)))
        if not part.steps and part.apart is None:
            self.steps.append(TextReply(asking.FINISHED))
        flow = None if part.flow is KEEP else part.flow
        return Decision(tuple(self.steps), flow, why=self.why("finished"))

    # --- what is said -----------------------------------------------------------------------------

    def ask(self, place: int, outcome: str, before: str = "") -> Decision:
        question = self.flow.plan.question(place)
        if question is None:
            return self.lost("path")
        self.misses = 0
        heard = asking.noted(self.filled) if self.filled else before
        return self._question(place, asking.asked(question, self.texts, heard), outcome)

    def _question(self, place: int, words: str, outcome: str) -> Decision:
        question = self.flow.plan.question(place)
        if question is None:
            return self.lost("path")
        if outcome == "begun":
            self.place = place
        why = self.why(outcome)
        if place != self.place:
            why["to"] = self.flow.plan.called(place)
        self.steps.append(asking.question(question, words))
        return Decision(tuple(self.steps), self.state(place), why=why)

    def state(self, place: int) -> FlowState:
        until = self.snap.now + timedelta(seconds=self.flow.plan.expires_seconds)
        return FlowState(
            self.flow.plan.name,
            place,
            self.answers,
            until,
            version=self.flow.edition,
            path=tuple(self.path),
            misses=self.misses,
        )

    def end(self, said: Sequence[TextReply], outcome: str) -> Decision:
        return Decision((*self.steps, *said), None, why=self.why(outcome))

    def _to_person(self, words: str, outcome: str) -> Decision:
        said = [TextReply(words)] if words else []
        if self.flow.person is None:
            contact = asking.no_person(self.snap.account.contact)
            return self.end([*said, TextReply(contact)], outcome)
        part = self._run([self.flow.person], None)
        flow = None if part.flow is KEEP else part.flow
        return Decision((*self.steps, *said, *part.steps), flow, why=self.why(outcome))

    def why(self, outcome: str) -> dict[str, Any]:
        """For the trace: the question answered, what became of it, and the way taken."""
        told: dict[str, Any] = {
            **self.started,
            "flow": self.flow.plan.name,
            "step": self.flow.plan.called(self.place),
            "outcome": outcome,
            **self.trace,
        }
        if self.flow.version:
            told["flow_version"] = self.flow.version
        if self.filled:
            told["filled"] = [self.flow.plan.called(one.place) for one in self.filled]
        return told
