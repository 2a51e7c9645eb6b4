"""What is done to whom and when, drawn from a seed before anything runs."""

from dataclasses import dataclass
from random import Random
from typing import Literal

Deed = Literal["kill", "freeze", "thaw", "stop", "start", "kill broker", "start broker"]

BROKER_AWAY_S = (2.0, 12.0)  # in turn
FIRST_S = 4.0
QUIET_S = 4.0  # before the end of the production, in which nothing new begins
_BROKER_REST_S = (25.0, 40.0)
_DEEDS = ("kill", "kill", "kill", "freeze", "stop", "guest")


@dataclass(frozen=True, slots=True, order=True)
class Action:
    """A deed at ``at_s``, counted from the begin of the production, to a worker (0 for the broker)."""

    at_s: float
    deed: Deed
    worker: int = 0


def drawn(seed: int, seconds: float, *, workers: int, session_s: float, broker: bool) -> list[Action]:
    """Draw the actions of a run, by time; who is killed, frozen or stopped comes back.

    Workers are numbered from 1; guests, which come for a while, from ``workers`` + 1. Most of the time somebody is
    left at work. A worker is frozen for longer than ``session_s``, so that another has its partitions when it goes on.
    """
    random = Random(f"{seed} workers")
    actions: list[Action] = []
    free_s = dict.fromkeys(range(1, workers + 1), FIRST_S)
    guests = workers
    now_s = random.uniform(FIRST_S, FIRST_S + 2.0)
    while now_s < seconds - QUIET_S:
        free = [worker for worker, since_s in free_s.items() if since_s <= now_s]
        deed = random.choice(_DEEDS)
        away_s = random.uniform(0.3, 7.0)
        alone = len(free) < 2 and workers > 1 and random.random() < 0.8
        if deed == "guest":
            guests += 1
            leaves: Deed = random.choice(("stop", "kill"))
            actions += [Action(now_s, "start", guests), Action(now_s + 5.0 + 2 * away_s, leaves, guests)]
        elif free and not alone:
            worker = random.choice(free)
            if deed == "freeze":
                away_s = session_s + random.uniform(1.5, 5.0)
                actions += [Action(now_s, "freeze", worker), Action(now_s + away_s, "thaw", worker)]
            else:
                begin: Deed = "kill" if deed == "kill" else "stop"
                actions += [Action(now_s, begin, worker), Action(now_s + away_s, "start", worker)]
            free_s[worker] = now_s + away_s + random.uniform(3.0, 8.0)  # time enough to begin to work, or not quite
        now_s += random.uniform(1.5, 4.5)
    return sorted(actions + (_broker_kills(seed, seconds) if broker else []))


def _broker_kills(seed: int, seconds: float) -> list[Action]:
    random = Random(f"{seed} broker")
    actions: list[Action] = []
    now_s = random.uniform(8.0, 14.0)
    while now_s < seconds - QUIET_S:
        away_s = BROKER_AWAY_S[len(actions) // 2 % 2]
        actions += [Action(now_s, "kill broker"), Action(now_s + away_s, "start broker")]
        now_s += away_s + random.uniform(*_BROKER_REST_S)
    return actions
