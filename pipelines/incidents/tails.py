"""How unlikely it is that so many customers fail, or so few come: tails of predictive distributions.

The usual share and the usual rate are not known, only estimated: what can be expected of the next lookback is then
beta-binomial (a share) or negative binomial (a rate), with tails wider than those of the binomial and of Poisson,
the wider, the less has been seen (Hoehle 2007, surveillance: an R package for the monitoring of infectious diseases,
Computational Statistics 22; there algo.bayes). docs/incidents.md says how they are used.
"""

import math
from collections.abc import Iterable
from itertools import count as counted

_NOTHING = 1e-17  # of the sum: what is smaller changes no bit of it


def share_tail(failed: int, customers: int, usual: float, weight: float) -> float:
    """P(X >= failed) of X beta-binomial: of ``customers``, each fails with a share that is known as if it were
    ``usual`` of ``weight`` customers seen. 0 < usual < 1, weight > 0.
    """  # fmt: skip
    if failed <= 0:
        return 1.0
    if failed > customers:
        return 0.0
    a, b, n = usual * weight, (1.0 - usual) * weight, customers

    def log_of(k: int) -> float:
        lg = math.lgamma
        chosen, beta = lg(n + 1) - lg(k + 1) - lg(n - k + 1), lg(a + b) - lg(a) - lg(b)
        return chosen + lg(k + a) + lg(n - k + b) - lg(n + a + b) + beta

    if failed > n * usual:
        return _outward(log_of(failed), ((n - k) / (k + 1) * (k + a) / (n - k - 1 + b) for k in range(failed, n)))
    below = range(failed - 1, 0, -1)
    return 1.0 - _outward(log_of(failed - 1), (k / (n - k + 1) * (n - k + b) / (k - 1 + a) for k in below))


def rate_tail(count: int, mean: float, shape: float) -> float:
    """P(X >= count) of X negative binomial with this mean and this shape (variance: mean + mean**2 / shape)."""
    if count <= 0:
        return 1.0
    if count <= mean:
        return 1.0 - rate_left(count - 1, mean, shape)
    q = mean / (mean + shape)
    return _outward(_log_rate(count, mean, shape), ((k + shape) / (k + 1) * q for k in counted(count)))


def rate_left(count: int, mean: float, shape: float) -> float:
    """P(X <= count) of the same X."""
    if count >= mean:
        return 1.0 - rate_tail(count + 1, mean, shape)
    q = mean / (mean + shape)
    return _outward(_log_rate(count, mean, shape), (k / (k - 1 + shape) / q for k in range(count, 0, -1)))


def _log_rate(k: int, mean: float, shape: float) -> float:
    """Logarithm of P(X = k)."""
    chosen = math.lgamma(k + shape) - math.lgamma(shape) - math.lgamma(k + 1)
    return chosen + k * math.log(mean / (mean + shape)) + shape * math.log(shape / (mean + shape))


def _outward(log_first: float, ratios: Iterable[float]) -> float:
    """The sum of terms that go away from the mean: the first, and what each of the next is of the one before it.

    Terms become smaller from there on, so a first one that is too small for a float leaves nothing to be added.
    """
    term = total = math.exp(min(log_first, 0.0))
    for ratio in ratios:
        term *= ratio
        total += term
        if ratio <= 1.0 and term <= total * _NOTHING:
            break
    return min(total, 1.0)
