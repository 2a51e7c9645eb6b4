"""The rule of incidents: how a place goes from slot to slot. Pure: the same slots, the same incidents.

At the end of each slot, the distinct customers of the lookback are held against what is usual (base.py):

- attempts are reported: P(as many or more fail), beta-binomial;
- they are not, or there are none (mentions): P(as many or more fail), negative binomial;
- silence: P(as few or fewer try), negative binomial.

An incident begins when that is less than the false alarms that the policy allows in a month, divided by the slots of
a month (Bonferroni, so the looks may depend on each other), and the minimum population is there. It ends when each
lookback since ``quiet`` ago has been nothing unusual.
"""

from typing import Literal, NamedTuple

import numpy as np

from pipelines.incidents.base import NO_BASE, Base, Seen, Usual, terms_of, usual_from_now_on
from pipelines.incidents.calm import BEFORE_WORDS, go_on_compiled
from pipelines.incidents.slots import MOST_MEMBERS
from pipelines.incidents.sums import SlotSum, SlotSums
from pipelines.incidents.tails import rate_left, rate_tail, share_tail
from pipelines.policy.incident_model import IncidentRule, Incidents

How = Literal["share", "rate", "silence"]

USUAL_AGAIN = 0.01
"""What is as likely as this is nothing unusual any more."""
NEVER = -(2**40)
"""Of slots: before all."""

_NONE = -1


class Standing(NamedTuple):
    """An incident as of the end of a slot. Times are numbers of slots.

    opened: the slot at the end of which the rule was crossed. customers: all distinct ones, see docs/incidents.md.
    share: the largest of a lookback, for a share. usual: share, or customers in a lookback. level: ``customers`` when
    it was escalated last. back: first slot since which all is usual again, -1 for none. ended: the last slot, or -1.
    """

    how: How
    opened: int
    customers: int
    share: float | None
    usual: float
    members: tuple[str, ...]
    level: int
    back: int = _NONE
    ended: int = _NONE


class State(NamedTuple):
    """A place at the end of a slot. ended: what came to an end with it. unusual_to: slots up to it are left out.

    is_new: others had been watched for a while when the place came: until then, nothing was usual there.
    heard: the last slot in which somebody came. meanwhile: while an incident stands, the hours of the day, with what is
    seen of it: it is not its own measure. Of it nothing else counts.
    """

    base: Base = NO_BASE
    failing: Standing | None = None
    silent: Standing | None = None
    ended: tuple[Standing, ...] = ()
    unusual_to: int = NEVER
    is_new: bool = False
    heard: int = NEVER
    meanwhile: Base | None = None

    @property
    def is_calm(self) -> bool:
        """Whether no incident stands."""
        return self.failing is None and self.silent is None

    @property
    def is_plain(self) -> bool:
        """Whether none has ended, either."""
        return self.is_calm and not self.ended


class Judge:
    """One rule of a policy."""

    def __init__(self, incidents: Incidents, rule: IncidentRule) -> None:
        self._terms = terms_of(incidents, rule)
        self.lookback = self._terms.lookback
        self.delay = self._terms.delay
        self._incidents = incidents
        self._rule = rule
        self._quiet = incidents.quiet // incidents.slot
        self._most = max(1, incidents.accept_after // incidents.slot)
        self._alpha = incidents.alpha

    def calm(self, state: State, sums: SlotSums, first: int, last: int, *, forgotten: int) -> tuple[State, int]:
        """Go through slots ``first`` ... ``last``, up to one that ``step`` has to be asked for.

        That is one in which an incident stands or may begin, or in which somebody comes after ``forgotten`` slots in
        which nobody did. Returns the place at the end of the last one that was gone through, and which that is: one
        less than ``first`` for none.
        """
        if not state.is_calm:
            return state, first - 1
        words = state.base.words.copy()
        done, heard = go_on_compiled(
            words, first, last, state.heard, state.unusual_to, state.is_new, forgotten, *sums.columns(), self._terms,
            np.empty(BEFORE_WORDS),
        )  # fmt: skip
        if done < first:
            return state, first - 1
        return State(Base(words), None, None, (), state.unusual_to, state.is_new, int(heard), None), int(done)

    def step(self, state: State, sums: SlotSums, slot: int) -> State:
        """The place at the end of ``slot``, the next one; slots of the last lookback and delay are there."""
        base, meanwhile, usual_slot = state.base, state.meanwhile or state.base, slot - self.delay
        if usual_slot - self.lookback >= state.unusual_to:
            then = sums.seen(usual_slot)
            meanwhile = meanwhile.with_lookback(then, usual_slot, self._terms, odd=not state.is_calm)
            if state.is_calm:
                base = meanwhile
        now = sums.seen(slot)
        failing = self._failing(state, base, now, sums, slot)
        silent = self._silent(state, base, now, slot)
        standing = [s for s in (failing, silent) if s is not None]
        ended = tuple(s for s in standing if s.ended != _NONE)
        stands = len(standing) > len(ended)
        if ended and not stands:
            base = base.with_hours(meanwhile)
        for s in ended:
            if slot - s.opened >= self._most:
                base = usual_from_now_on(now)
        return State(
            base,
            None if failing in ended else failing,
            None if silent in ended else silent,
            ended,
            slot if ended else state.unusual_to,
            state.is_new,
            slot if slot in sums else state.heard,
            meanwhile if stands else None,
        )

    # -- too many fail ------------------------------------------------------------------------------------------

    def _failing(self, state: State, base: Base, now: Seen, slots: SlotSums, slot: int) -> Standing | None:
        standing = state.failing
        if standing is None:
            if now.failed < self._rule.min_customers:
                return None
            how, usual = self._usual(base, now, slot, is_new=state.is_new)
            if usual is None or not self._large(how, now, usual) or _tail(how, now, usual) > self._alpha:
                return None
            span = [s for s in (slots.get(n) for n in range(slot - self.lookback + 1, slot + 1)) if s is not None]
            share = now.failed / now.tried if how == "share" else None
            return Standing(how, slot, now.failed, share, usual.mean, _merged((), span), now.failed)
        how, usual = self._usual(base, now, slot, is_new=state.is_new)
        is_usual = usual is None or _tail(how, now, usual) >= USUAL_AGAIN
        if not is_usual:
            here = slots.get(slot)
            if here is not None and here.failed[0]:
                standing = self._grown(standing, here)
            # where attempts are not reported any more, nobody is known but who fails
            if standing.how == how == "share":
                standing = standing._replace(share=max(standing.share or 0.0, now.failed / now.tried))
        return self._ends(standing, slot, is_usual=is_usual)

    def _usual(self, base: Base, now: Seen, slot: int, *, is_new: bool) -> tuple[How, Usual | None]:
        if now.reported:
            return "share", base.share(self._terms)
        return "rate", base.failures(slot, self._terms, is_new=is_new)

    def _large(self, how: How, now: Seen, usual: Usual) -> bool:
        """Whether it matters, and is not only certain."""
        if how == "rate":
            return now.failed >= self._rule.min_ratio * usual.mean
        least = min(self._rule.min_ratio * usual.mean, (1.0 + usual.mean) / 2.0)
        return now.failed >= least * now.tried

    def _grown(self, standing: Standing, here: SlotSum) -> Standing:
        """With those who failed in a slot: by name as long as all are named, else who is new to the lookback."""
        members = _merged(standing.members, [here])
        named = here.all_named and len(members) < MOST_MEMBERS
        more = len(members) - len(standing.members) if named else here.failed[-1]
        customers = standing.customers + more
        escalates = customers >= self._incidents.escalate_at * standing.level
        level = customers if escalates else standing.level
        return standing._replace(members=members, customers=customers, level=level)

    # -- nobody comes -------------------------------------------------------------------------------------------

    def _silent(self, state: State, base: Base, now: Seen, slot: int) -> Standing | None:
        rule = self._rule.silence
        if rule is None:
            return None
        standing = state.silent
        usual = base.attempts(slot, self._terms)
        if standing is None:
            if usual is None or usual.mean < rule.min_expected or now.tried > rule.most_left * usual.mean:
                return None
            if rate_left(now.tried, usual.mean, usual.weight) > self._alpha:
                return None
            return Standing("silence", slot, now.tried, None, usual.mean, (), max(now.tried, 1))
        left = 1.0 if usual is None else rate_left(now.tried, standing.usual, usual.weight)
        return self._ends(standing, slot, is_usual=left >= USUAL_AGAIN or now.tried >= standing.usual / 2)

    def _ends(self, standing: Standing, slot: int, *, is_usual: bool) -> Standing:
        back = standing.back
        if not is_usual:
            back = _NONE
        elif back == _NONE:
            back = max(slot - self.lookback + 1, standing.opened + 1)
        over = back != _NONE and slot - back + 1 >= self._quiet
        over = over or slot - standing.opened >= self._most
        return standing._replace(back=back, ended=slot if over else _NONE)


def _tail(how: How, now: Seen, usual: Usual) -> float:
    """How likely it is that so many fail."""
    if how == "share":
        return share_tail(now.failed, now.tried, usual.mean, usual.weight)
    return rate_tail(now.failed, usual.mean, usual.weight)


def _merged(members: tuple[str, ...], slots: list[SlotSum]) -> tuple[str, ...]:
    """With those of more slots, in the order of time, MOST_MEMBERS at most."""
    return tuple(dict.fromkeys([*members, *(m for s in slots for m in s.members)]))[:MOST_MEMBERS]
