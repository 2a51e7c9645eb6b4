"""The second stage of incidents: what all source partitions have seen becomes one alert (docs/incidents.md).

Of each source partition the newest word on a slot is kept, and those of the partitions are added. A slot is judged
when every source partition has seen its end, and judged again when something late changes it: what stands is what
the slots say, not the order in which they came. After the lateness a slot is settled.
"""

import json
from collections.abc import Iterator, Mapping
from heapq import nsmallest

from pipelines.alerts.alert import Alert, Status
from pipelines.incidents.alerts import NO_LABELS, Labels, incident_alert, told_key
from pipelines.incidents.judge import NEVER, Judge, Standing, State
from pipelines.incidents.places import Partial, Told, Watched
from pipelines.incidents.slots import MOST_MEMBERS, SlotState
from pipelines.incidents.stored import json_of, partial_of, restored, stored
from pipelines.incidents.sums import SlotSum, SlotSums
from pipelines.intake.interactions import NO_TIME
from pipelines.policy.incident_model import Incidents

Place = tuple[str, str]  # rule, and touchpoint or subject

_MOST_AT_ONCE = 4096  # slots that are judged before what led to them is forgotten
_STANDS: frozenset[Status] = frozenset({"opened", "escalated"})


class IncidentWatch:
    """The places of one partition of friction.incident_partials; all of them for one source. Not thread-safe."""

    def __init__(self, incidents: Incidents, sources: int, labels: Labels = NO_LABELS) -> None:
        self.seen_ms = [NO_TIME] * sources
        self.begun_ms = NO_TIME  # what every source had seen when all had told
        self.places: dict[Place, Watched] = {}
        self._left_out = 0
        self._incidents = incidents
        self._labels = labels
        self._judges = {name: Judge(incidents, rule) for name, rule in incidents.rules.items()}
        self._forgotten = 8 * incidents.memory // incidents.slot  # slots without anything new
        self._open = -(-incidents.lateness // incidents.slot) + 1  # slots that can still change, the last one included
        self._changed_slots: set[tuple[Place, int]] = set()
        self._changed_places: set[Place] = set()
        self._gone: list[bytes] = []
        self._stale: set[Place] = set()  # changed since they were judged
        self._judged_to = NEVER

    def merge(self, source: int, source_offset: int, told: SlotState) -> None:
        """Take what a source partition says of a slot; what is older than what is known changes nothing."""
        judge, place = self._judges.get(told.rule), (told.rule, told.place)
        if judge is None or len(told.tried) != judge.lookback or len(told.failed) != judge.lookback:
            return  # of another policy
        slot = told.start_ms // self._incidents.slot
        watched = self.places.get(place)
        if watched is None:
            if not self._has_room(told):
                self._left_out += 1
                return
            watched = self.places[place] = self._unknown(place, slot)
        if slot <= watched.settled:
            if watched.is_stored or watched.settled - slot > self._open:
                return  # settled: its own lateness is over everywhere
            watched.begin(slot - 1, self._first(place, slot))
        known = watched.partials.setdefault(slot, {}).get(source)
        if known is not None and known.source_offset >= source_offset:
            return
        watched.partials[slot][source] = Partial(source_offset, told.tried, told.failed, told.attempted, told.members)
        watched.stale.add(slot)
        watched.newest = max(watched.newest, slot)
        watched.judge_from(slot)
        self._changed_slots.add((place, slot))
        self._stale.add(place)

    def take_left_out(self) -> int:
        """How many slots of places that are not watched, because there are too many, came since the last call."""
        count, self._left_out = self._left_out, 0
        return count

    def _has_room(self, told: SlotState) -> bool:
        """Whether one more place may be watched; where there are many, those that nobody came to for long make room.

        Not for a place where one customer was seen: identifiers in the names of touchpoints would drive out the others.
        """
        most = self._incidents.most_places
        if len(self.places) >= most and told.tried[0] > 1:
            calm = ((w.newest, place) for place, w in self.places.items() if w.state.is_calm and not w.told)
            for _, place in nsmallest(-(-most // 10), calm):
                self._forget(place)
        return len(self.places) < most

    def _forget(self, place: Place) -> None:
        self._changed_slots |= {(place, slot) for slot in self.places.pop(place).partials}
        self._changed_places.add(place)
        self._stale.discard(place)

    def _first(self, place: Place, slot: int) -> State:
        """A place before its first slot."""
        learnt_ms = self.begun_ms + self._incidents.rules[place[0]].learn
        return State(unusual_to=slot - 1, is_new=self.begun_ms != NO_TIME and slot * self._incidents.slot >= learnt_ms)

    def _unknown(self, place: Place, slot: int) -> Watched:
        """A place before ``slot``, of which nothing is known."""
        return Watched([(slot - 1, self._first(place, slot))], SlotSums(self._judges[place[0]].lookback))

    def begin(self, at_ms: int) -> None:
        """Say since when places are watched, before anything is taken; else it is since the first alerts were."""
        self.begun_ms = at_ms

    def move_mark(self, source: int, seen_ms: int) -> None:
        """Source partition ``source`` has seen what happened up to ``seen_ms``, give or take the lateness."""
        self.seen_ms[source] = max(self.seen_ms[source], seen_ms)

    @property
    def pending(self) -> bool:
        """Whether there is anything to write down."""
        return bool(self._changed_slots or self._changed_places or self._gone)

    def take_alerts(self) -> list[Alert]:
        """Judge all slots that every source has seen to the end; the alerts to tell, in the order of places."""
        seen_ms = min(self.seen_ms, default=NO_TIME)
        if seen_ms == NO_TIME:
            return []
        if self.begun_ms == NO_TIME:
            self.begun_ms = seen_ms
        last = seen_ms // self._incidents.slot - 1
        alerts: list[Alert] = []
        due = self.places if last > self._judged_to else self._stale
        self._judged_to = max(self._judged_to, last)
        for place in sorted(due):
            watched = self.places[place]
            while watched.judged < last:
                to = min(last, watched.judged + _MOST_AT_ONCE)
                alerts += self._judge(place, watched, to)
                if to < last:
                    self._settle(place, watched, to - self._open)
                    if place not in self.places:
                        break
                    self._skip_quiet(place, watched)
            if place in self.places and last - self._open - watched.settled >= self._open:
                self._settle(place, watched, last - self._open)
        self._stale.clear()
        return alerts

    def _skip_quiet(self, place: Place, watched: Watched) -> None:
        """Go on with the next slot of which something is known, if the place would have been forgotten before."""
        if watched.told or watched.judged - watched.state.heard <= self._forgotten:
            return
        following = min(watched.partials, default=NEVER)
        if following > watched.judged + 1:
            watched.begin(following - 1, self._first(place, following))

    def _judge(self, place: Place, watched: Watched, last: int) -> list[Alert]:
        first = watched.judged + 1
        for slot in sorted(watched.stale):
            watched.sums.put(slot, _summed(watched.partials[slot]))
        watched.stale.clear()
        alerts = list(self._tell(place, watched, first, self._go_on(place, watched, last)))
        if alerts:
            self._changed_places.add(place)
        return alerts

    def _go_on(self, place: Place, watched: Watched, last: int) -> list[tuple[int, State]]:
        """Judge the slots up to ``last``; those at the end of which an incident stands, or has ended."""
        judge, odd = self._judges[place[0]], list[tuple[int, State]]()
        for to in (last - self._open, last):  # what late interactions can change begins at a point
            while watched.judged < to:
                slot, state = watched.judged + 1, watched.state
                state, done = judge.calm(state, watched.sums, slot, to, forgotten=self._forgotten)
                if done >= slot:
                    watched.add(done, state)
                if done < to:
                    slot = done + 1
                    if slot in watched.sums and slot - state.heard > self._forgotten and state.is_calm:
                        state = self._first(place, slot)  # where nothing has come for so long, it is a new place
                    watched.add(slot, judge.step(state, watched.sums, slot))
                    if not watched.state.is_plain:
                        odd.append((slot, watched.state))
        return odd

    def _tell(
        self, place: Place, watched: Watched, first: int, odd: list[tuple[int, State]]
    ) -> Iterator[Alert]:  # fmt: skip
        """Compare what stands after the slots from ``first`` on, of which some are ``odd``, with what was told."""
        found: list[tuple[int, str, Standing]] = []
        for slot, state in odd:
            every = (state.failing, state.silent, *state.ended)
            found += [(slot, told_key(s), s) for s in every if s is not None]
        stands = {key: standing for _, key, standing in found}
        self._adopt(watched, first, stands)
        for slot, key, standing in found:
            told = watched.told.get(key)
            if told is None:
                yield self._revise(place, watched, key, "opened", standing, slot)
            elif standing.ended >= 0 and (told.status != "resolved" or _said(told.standing) != _said(standing)):
                yield self._revise(place, watched, key, "resolved", standing, slot)
            elif told.status in _STANDS and self._is_worse(standing, told.standing):
                yield self._revise(place, watched, key, "escalated", standing, slot)
        for key, told in list(watched.told.items()):
            if key in stands:
                if stands[key].ended < 0 and told.status not in _STANDS:
                    yield self._revise(place, watched, key, "opened", stands[key], watched.judged)
            elif told.standing.opened >= first and told.status != "retracted":
                yield self._revise(place, watched, key, "retracted", told.standing, told.standing.opened)

    def _is_worse(self, standing: Standing, told: Standing) -> bool:
        """Whether so many more have failed; of those who still come to a silent place more are not worse."""
        return standing.how != "silence" and standing.level >= self._incidents.escalate_at * told.level

    def _adopt(self, watched: Watched, first: int, stands: Mapping[str, Standing]) -> None:
        """An incident that begins at another slot since late events are known is still the one that was told."""
        gone = {k: t for k, t in watched.told.items() if k not in stands and t.standing.opened >= first - self._open}
        for key, standing in stands.items():
            if key in watched.told:
                continue
            kind = key.partition("/")[0]
            for other, told in gone.items():
                may = told.standing.opened >= first or told.status == "retracted"
                if may and other.partition("/")[0] == kind and other in watched.told:
                    # that it is over at another time, or began, is still to be told
                    known = standing._replace(level=told.standing.level, ended=NEVER)
                    watched.told[key] = watched.told.pop(other)._replace(standing=known)
                    break

    def _revise(self, place: Place, watched: Watched, key: str, status: Status, standing: Standing, slot: int) -> Alert:
        told = watched.told.get(key)
        revision, about = (told.revision + 1, told.about) if told else (1, standing.opened)
        watched.told[key] = Told(revision, status, standing, about)
        rule = self._incidents.rules[place[0]]
        return incident_alert(
            place,
            rule,
            standing,
            about_ms=about * self._incidents.slot,
            status=status,
            revision=revision,
            at_ms=(slot + 1) * self._incidents.slot,
            began_ms=(standing.opened + 1) * self._incidents.slot - rule.lookback,
            labels=self._labels,
        )

    def _settle(self, place: Place, watched: Watched, to: int) -> None:
        """Forget what led to how it was at the end of slot ``to``, or of the last one before it that is known."""
        watched.settle(to)
        to = watched.settled
        judge, state = self._judges[place[0]], watched.points[0][1]
        needed = to - judge.delay - judge.lookback
        for slot in [s for s in watched.partials if s <= needed]:
            del watched.partials[slot]
            self._changed_slots.add((place, slot))
        watched.sums.drop_to(needed)
        going = {told_key(s) for s in (state.failing, state.silent) if s is not None}
        watched.told = {k: t for k, t in watched.told.items() if k in going or t.standing.opened > to or _ends(t) > to}
        self._changed_places.add(place)
        idle = to - watched.newest
        if not watched.partials and not watched.told and idle > self._forgotten:
            self._forget(place)  # nothing is left of what was usual there

    # -- what is stored -----------------------------------------------------------------------------------------

    def take_state(self) -> list[tuple[bytes, bytes | None]]:
        """Keys and values that changed since the last call; null for what is to be removed."""
        state: list[tuple[bytes, bytes | None]] = [(key, None) for key in self._gone]
        self._gone.clear()
        for place, slot in sorted(self._changed_slots):
            watched = self.places.get(place)
            partials = watched.partials.get(slot) if watched else None
            key = b"s" + json_of([*place, slot * self._incidents.slot])
            state.append((key, json_of(partials) if partials else None))
        for place in sorted(self._changed_places):
            watched, under = self.places.get(place), (self._incidents.slot, self._judges[place[0]].lookback)
            state.append((b"p" + json_of(place), None if watched is None else stored(watched, *under)))
        self._changed_slots.clear()
        self._changed_places.clear()
        return state

    def restore(self, state: Mapping[bytes, bytes]) -> None:
        """Take back what was stored, by key, as of the same marks (``seen_ms`` and ``begun_ms``, set before).

        What was stored under a policy with other slots or lookbacks is not comparable: it is removed.
        """
        slots: dict[Place, dict[int, dict[int, Partial]]] = {}
        for key, value in state.items():
            (rule, where, *start_ms), said = json.loads(key[1:]), json.loads(value)
            judge = self._judges.get(rule)
            if key[:1] == b"p" and judge is not None and said[:2] == [self._incidents.slot, judge.lookback]:
                self.places[rule, where] = restored(said[2:], judge.lookback)
            elif key[:1] == b"s" and judge is not None and start_ms[0] % self._incidents.slot == 0:
                partials = {int(source): partial_of(p) for source, p in said.items()}
                if all(len(p.tried) == judge.lookback for p in partials.values()):
                    slots.setdefault((rule, where), {})[start_ms[0] // self._incidents.slot] = partials
                else:
                    self._gone.append(key)
            else:
                self._gone.append(key)
        for place, of_place in slots.items():
            first = min(of_place) - 1
            watched = self.places.get(place)
            if watched is None:
                watched = self.places[place] = self._unknown(place, first + 1)
            elif not watched.is_stored:
                watched.begin(first, self._first(place, first + 1))
            watched.partials = of_place
            watched.newest = max(watched.newest, *of_place)
        self._judged_again()

    def _judged_again(self) -> None:
        """The states that follow from what was stored; what they say has been told."""
        last = self._judged_to = min(self.seen_ms, default=NO_TIME) // self._incidents.slot - 1
        for place, watched in self.places.items():
            for slot in sorted(watched.partials):
                watched.sums.put(slot, _summed(watched.partials[slot]))
            self._go_on(place, watched, last)


def _said(over: Standing) -> tuple[object, ...]:
    """What is told of an incident that is over, and may be another with what comes late."""
    return over.opened, over.ended, over.customers, over.share, over.members


def _ends(told: Told) -> int:
    return max(told.standing.ended, told.standing.opened)


def _summed(partials: dict[int, Partial]) -> SlotSum:
    every = list(partials.values())
    if len(every) == 1:
        (one,) = every
        return SlotSum(one.tried, one.failed, one.attempted, tuple(sorted(one.members)), one.failed[0] <= MOST_MEMBERS)
    return SlotSum(
        tuple(map(sum, zip(*(p.tried for p in every), strict=True))),
        tuple(map(sum, zip(*(p.failed for p in every), strict=True))),
        sum(p.attempted for p in every),
        tuple(sorted(m for p in every for m in p.members))[:MOST_MEMBERS],
        sum(p.failed[0] for p in every) <= MOST_MEMBERS,
    )
