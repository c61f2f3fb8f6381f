"""Which step of a plan leads to which. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from app.engines.replies.plans import END, Branch, FlowPlan, HandingOver, Next, Question


def places(plan: FlowPlan) -> dict[str, int]:
    """Each step's place by its name; of two with one name the first."""
    found: dict[str, int] = {}
    for place in range(len(plan.steps)):
        found.setdefault(plan.called(place), place)
    return found


def targets(following: Next | None) -> list[str]:
    """The names that `next` mentions."""
    if following is None:
        return []
    if isinstance(following, str):
        return [following]
    return [one.go if isinstance(one, Branch) else one.else_ for one in following]


def below(plan: FlowPlan, place: int) -> int | None:
    """The step below; None for the end."""
    return place + 1 if place + 1 < len(plan.steps) else None


def leads_to(plan: FlowPlan, named: Mapping[str, int], place: int) -> list[int | None]:
    """Where a step may lead, None for the end; unknown names are left out."""
    step = plan.steps[place]
    if isinstance(step, HandingOver):
        return []
    if step.next is None:
        return [below(plan, place)]
    found = [None if name == END else named.get(name, -1) for name in targets(step.next)]
    return [one for one in found if one != -1]


def edges(plan: FlowPlan) -> list[list[int]]:
    """For each step the steps that may follow."""
    named = places(plan)
    return [
        [one for one in leads_to(plan, named, place) if one is not None]
        for place in range(len(plan.steps))
    ]


def reachable(graph: Sequence[Sequence[int]], starts: Iterable[int]) -> set[int]:
    """These and everything they lead to."""
    found: set[int] = set()
    waiting = list(starts)
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            waiting.extend(graph[place])
    return found


def silent_cycle(plan: FlowPlan, graph: Sequence[Sequence[int]]) -> list[int]:
    """Steps that lead back to themselves without a question between; empty when there are none."""
    silent = [
        [] if isinstance(plan.steps[place], Question) else list(graph[place])
        for place in range(len(plan.steps))
    ]
    for place in range(len(plan.steps)):
        way = _way_back(silent, place)
        if way:
            return way
    return []


def _way_back(graph: Sequence[Sequence[int]], start: int) -> list[int]:
    before: dict[int, int] = {}
    waiting = [start]
    while waiting:
        place = waiting.pop(0)
        for following in graph[place]:
            if following == start:
                way = [place]
                while way[-1] != start:
                    way.append(before[way[-1]])
                return way[::-1]
            if following not in before:
                before[following] = place
                waiting.append(following)
    return []


def saved_before(plan: FlowPlan) -> list[set[str]]:
    """For each step the answers that there may be when it is reached; one more, for the end."""
    named = places(plan)
    end = len(plan.steps)
    known: list[set[str]] = [set() for _ in range(end + 1)]
    waiting = list(range(end))
    while waiting:
        place = waiting.pop(0)
        step = plan.steps[place]
        after = known[place] | ({step.save_as} if isinstance(step, Question) else set())
        for following in leads_to(plan, named, place):
            at = end if following is None else following
            if not after <= known[at]:
                known[at] |= after
                if at != end:
                    waiting.append(at)
    return known
