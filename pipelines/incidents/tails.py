"""How unlikely it is that so many customers fail, or so few come: tails of predictive distributions.

The usual share and the usual rate are not known, only estimated: what can be expected of the next lookback is then
beta-binomial (a share) or negative binomial (a rate), with tails wider than those of the binomial and of Poisson,
the wider, the less has been seen (Hoehle 2007, surveillance: an R package for the monitoring of infectious diseases,
Computational Statistics 22; there algo.bayes). docs/incidents.md says how they are used.
"""

import math

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
    lg = math.lgamma
    log_first = lg(n + 1) - lg(failed + 1) - lg(n - failed + 1) + lg(failed + a) + lg(n - failed + b) - lg(n + a + b)
    term = math.exp(log_first + lg(a + b) - lg(a) - lg(b))
    total = 0.0
    for k in range(failed, n + 1):
        total += term
        term *= (n - k) / (k + 1) * (k + a) / (n - k - 1 + b) if k < n else 0.0
        if term < total * _NOTHING:
            break
    return min(total, 1.0)


def rate_tail(count: int, mean: float, shape: float) -> float:
    """P(X >= count) of X negative binomial with this mean and this shape (variance: mean + mean**2 / shape)."""
    if count <= 0:
        return 1.0
    q = mean / (mean + shape)
    log_first = math.lgamma(count + shape) - math.lgamma(shape) - math.lgamma(count + 1) + count * math.log(q)
    term = math.exp(log_first + shape * math.log1p(-q))
    total, k = 0.0, count
    while k <= mean or term >= total * _NOTHING:
        total += term
        term *= (k + shape) / (k + 1) * q
        k += 1
    return min(total, 1.0)


def rate_left(count: int, mean: float, shape: float) -> float:
    """P(X <= count) of the same X."""
    q = mean / (mean + shape)
    term = math.exp(shape * math.log1p(-q))
    total = 0.0
    for k in range(count + 1):
        total += term
        term *= (k + shape) / (k + 1) * q
    return min(total, 1.0)
