"""A line search by the strong Wolfe conditions.

Nocedal and Wright, "Numerical Optimization", 2006, algorithms 3.5 and 3.6, in the
form of minFunc: first a bracket is found, then it is narrowed.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

from .._ferrule import Tensor

__all__ = ["Point", "strong_wolfe"]


class Point(NamedTuple):
    """A place on the line: step size, value, gradient, slope along the line."""

    t: float
    f: float
    g: Tensor
    slope: float


def _minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through two points is least, within low..high."""
    if a.t > b.t:
        a, b = b, a
    middle = (low + high) / 2
    if a.t == b.t:
        return middle
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return middle
    d2 = sqrt(square)
    below = b.slope - a.slope + 2 * d2
    if below == 0:
        return middle
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / below)
    return min(max(t, low), high)


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    largest: float,
    tolerance: float,
    max_iterations: int,
    decrease: float = 1e-4,
    flatness: float = 0.9,
) -> tuple[Point, int]:
    """A step size of sufficient decrease and flat slope, and its evaluations.

    Args:
        evaluate: the point at a step size.
        start: `t` is the first step size to try; value, gradient and slope are
            those of step size 0.
        largest: largest element of the direction.
        tolerance: brackets that move no element by more are not narrowed.
        max_iterations: how often at most.
        decrease, flatness: c1 and c2 of the conditions.
    """

    def too_high(p: Point) -> bool:
        return p.f > start.f + decrease * p.t * start.slope

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -flatness * start.slope

    origin = start._replace(t=0.0)
    before, now = origin, evaluate(start.t)
    evals, iterations = 1, 0
    bracket: list[Point] | None = None
    while iterations < max_iterations:
        if too_high(now) or (iterations > 1 and now.f >= before.f):
            bracket = [before, now]
            break
        if flat(now):
            return now, evals
        if now.slope >= 0:
            bracket = [before, now]
            break
        t = _minimum(before, now, now.t + 0.01 * (now.t - before.t), now.t * 10)
        before, now = now, evaluate(t)
        evals += 1
        iterations += 1
    if bracket is None:
        bracket = [origin, now]

    stuck = False
    low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
    while iterations < max_iterations:
        left, right = sorted(p.t for p in bracket)
        if (right - left) * largest < tolerance:
            break
        t = _minimum(bracket[0], bracket[1], left, right)
        # Near an end for the second time, or at it: a tenth away from it.
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        now = evaluate(t)
        evals += 1
        iterations += 1
        if too_high(now) or now.f >= bracket[low].f:
            bracket[high] = now
            low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
        else:
            done = flat(now)
            if not done and now.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = now
            if done:
                break
    return bracket[low], evals
