"""Episodes follow the crossings of bands as the obvious model has it, compiled or not."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.alerts.episodes import change_episodes, change_episodes_compiled
from pipelines.fold.scoring import CROSSED_FROM, CROSSED_MS, CROSSED_ROW, CROSSED_TO
from pipelines.state.rows import CustomerRows
from schemas.arrays import Int64s

ALERTING, COOLDOWN_MS = 2, 10
Told = list[tuple[int, str, int, int]]
STATUSES = ("opened", "escalated", "resolved")


@dataclass(slots=True)
class Model:
    """What is known of the rows: of each when its episode began and ended, and its revision."""

    dismissed: dict[int, int]
    of: dict[int, tuple[int, int | None, int]] = field(default_factory=dict)

    def told(self, crossings: list[tuple[int, int, int, int]]) -> Told:
        told: Told = []
        for k, (row, at_ms, before, to) in enumerate(crossings):
            began_ms, ended_ms, revision = self.of.get(row, (0, 0, 0))
            stands = row in self.of and ended_ms is None
            if to >= ALERTING and to > before:
                goes_on = stands or (row in self.of and at_ms - (ended_ms or 0) <= COOLDOWN_MS)
                if goes_on and self.dismissed.get(row) == began_ms:
                    continue
                status = "escalated" if stands else "opened"
                self.of[row] = (began_ms, None, revision + 1) if goes_on else (at_ms, None, 1)
                told.append((k, status, self.of[row][0], self.of[row][2]))
            elif to < ALERTING and stands:
                last = k
                for n, (other, ms, above, below) in enumerate(crossings[k + 1 :], k + 1):
                    if (other, ms) != (row, at_ms) or below >= above:
                        break
                    last = n
                self.of[row] = (began_ms, at_ms, revision + 1)
                told.append((last, "resolved", began_ms, revision + 1))
        return told


@st.composite
def calls(draw: st.DrawFn) -> list[list[tuple[int, int, int, int]]]:
    """Crossings of three rows in the order of time, in several calls."""
    at_ms, band, made = 1, [0, 0, 0], []
    for _ in range(draw(st.integers(1, 4))):
        call = []
        for _ in range(draw(st.integers(0, 8))):
            row = draw(st.integers(0, 2))
            to = draw(st.sampled_from([b for b in range(4) if b != band[row] and b >= band[row] - 1]))
            call.append((row, at_ms, band[row], to))
            band[row] = to
            at_ms += draw(st.sampled_from([0, 0, 3, 9]))
        made.append(call)
    return made


@pytest.mark.parametrize("kernel", [change_episodes, change_episodes_compiled])
@settings(max_examples=100, deadline=None)
@given(calls(), st.dictionaries(st.integers(0, 2), st.integers(1, 12)))
def test_episodes_are_those_of_the_model(
    kernel: Callable[..., int], crossed: list[list[tuple[int, int, int, int]]], dismissed: dict[int, int]
) -> None:
    rows, model = CustomerRows(["wait"], 4), Model(dismissed)
    for name in ("Ayşe", "Ömer", "Şükrü"):
        rows.customers.add_text(name)
    rows.make_room()
    for call in crossed:
        assert told_by(kernel, rows, call, dismissed) == model.told(call)
    for row, (began_ms, ended_ms, revision) in model.of.items():
        episode = rows.episode(row)
        assert (episode.opened_ms, episode.closed_ms, episode.revision) == (began_ms, ended_ms or 0, revision)
    assert len(rows.episodes) == len(model.of)


def told_by(
    kernel: Callable[..., int], rows: CustomerRows, call: list[tuple[int, int, int, int]], dismissed: dict[int, int]
) -> Told:
    word: Int64s = np.zeros((len(call), 6), np.int64)
    word[:, [CROSSED_ROW, CROSSED_MS, CROSSED_FROM, CROSSED_TO]] = np.array(call, np.int64).reshape(-1, 4)
    dismissed_ms = np.array([dismissed.get(row, 0) for row, *_ in call], np.int64)
    told, pool = np.empty((len(call), 4), np.int64), rows.episodes
    pool.make_room(len(call))
    n = kernel(word, ALERTING, COOLDOWN_MS, dismissed_ms, rows.kernel, pool.free, pool.used, told)
    return [(k, STATUSES[status], began_ms, revision) for k, status, began_ms, revision in told[:n].tolist()]
