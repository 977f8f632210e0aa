"""Samples of lists: how requests are spread over them, and what a sample says of the whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, floor, lgamma, log

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Sample:
    """What was looked at of one list. Its units are pages, single rows or parents: what is drawn
    at random, and as a whole."""

    rows: int
    """Rows that the destination holds of the list."""
    units: int
    """Units that the list has."""
    drawn: int
    """Of these, looked at, and not empty."""
    compared: int
    """Rows in the units that were looked at."""
    wrong: int
    """Of these, not as they should be."""
    whole: bool = False
    """Whether the list was looked at from beginning to end."""


def allot(
    rows: Mapping[str, int],
    most: Mapping[str, int],
    requests: int,
    dice: np.random.Generator,
    least: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """How many requests each list gets, in proportion to its rows, but at least one, or the
    fewest that are of use to it (``least``).

    Where there are too few requests for that, half of them go to some lists, drawn in proportion
    to their rows: an audit that is repeated comes round to all. No list gets more than is of use
    to it (``most``); what that leaves goes to the others.
    """
    least = least or dict.fromkeys(rows, 1)
    names = [name for name in rows if most[name] > 0]
    given = dict.fromkeys(rows, 0)
    left = min(requests, sum(most[name] for name in names))
    one_each = names
    if left < sum(least[name] for name in names):
        weights = np.array([max(rows[name], 1) for name in names], np.float64)
        number = min(left // 2, len(names))
        drawn = dice.choice(len(names), number, replace=False, p=weights / weights.sum())
        one_each = [names[place] for place in drawn.tolist()]
    for name in one_each:
        if least[name] <= left:
            given[name] = least[name]
            left -= least[name]
    while left:
        wanting = [name for name in names if given[name] < most[name]]
        wanting = [name for name in wanting if given[name] >= least[name] - 1] or wanting
        weights = np.array([max(rows[name], 1) for name in wanting], np.float64)
        shares = left * weights / weights.sum()
        certain = np.minimum(
            np.floor(shares), [most[name] - given[name] for name in wanting]
        ).astype(int)
        if not certain.any():
            chosen = dice.choice(
                len(wanting), min(left, len(wanting)), replace=False, p=weights / weights.sum()
            )
            certain[chosen] = 1
        for name, more in zip(wanting, certain.tolist(), strict=True):
            given[name] += more
        left -= int(certain.sum())
    return given


def most_wrong(samples: Iterable[Sample]) -> float | None:
    """The share of the lists' rows that are wrong at most, with a confidence of 95 %.

    None where no row was looked at. A list that was looked at whole is known. The others are a
    sample in clusters, as rows of a page tend to be wrong together, how much so is not known: the
    share of a page that is wrong lies between 0 and 1, and of all that do, with one mean, those
    that are either 0 or 1 vary most (Hoeffding 1963). So a page counts as one trial, however many
    rows it has, that is, with the greatest design effect there can be. Lists of which more was
    drawn than is in proportion to their rows are weighed, and the trials are as many as would vary
    as much without weights: ``1 / sum(share of the rows² / trials)`` (Kish 1965), where of ``n``
    of ``N`` pages ``n (N - 1) / (N - n)`` are trials, as a page is drawn but once. The limit is
    that of Clopper and Pearson (1934) for a binomial share of so many trials, taken as the
    effective sample size (Korn and Graubard 1998). With nothing wrong on ``n`` pages of many it is
    ``1 - 0.05 ** (1 / n)``, about ``3 / n``.
    """
    looked_at = [sample for sample in samples if sample.compared or sample.whole]
    total = sum(_weight(sample) for sample in looked_at)
    if not total:
        return None
    known = sum(_weight(s) * _share(s) for s in looked_at if s.whole)
    partly = [sample for sample in looked_at if not sample.whole]
    if not partly:
        return known / total
    weight = sum(map(_weight, partly))
    share = sum(_weight(sample) * _share(sample) for sample in partly) / weight
    spread = sum((_weight(sample) / weight) ** 2 / _trials(sample) for sample in partly)
    return (known + weight * limit(share, 1 / spread)) / total


def _weight(sample: Sample) -> int:
    return max(sample.rows, sample.compared)


def _share(sample: Sample) -> float:
    return sample.wrong / sample.compared if sample.compared else 0.0


def _trials(sample: Sample) -> float:
    drawn = max(sample.drawn, 1)
    units = max(sample.units, drawn + 1)  # else it would be whole
    return drawn * (units - 1) / (units - drawn)


def limit(share: float, trials: float) -> float:
    """The upper limit of a share of so many trials, by Clopper and Pearson.

    Between whole numbers of trials it takes the fewer, between whole successes it goes straight.
    """
    count = max(1, floor(trials))
    successes = min(share * count, count)
    below = floor(successes)
    if below == count:
        return 1.0
    lower, upper = _limit(below, count), _limit(below + 1, count)
    return lower + (successes - below) * (upper - lower)


def _limit(successes: int, trials: int) -> float:
    """The share at which so few successes are as improbable as 5 %."""
    if successes >= trials:
        return 1.0
    low, high = successes / trials, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if _at_most(successes, trials, middle) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most(successes: int, trials: int, share: float) -> float:
    """The probability of no more than so many successes."""
    if share in (0.0, 1.0):
        return 1.0 - share
    every = lgamma(trials + 1)
    return sum(
        exp(
            every - lgamma(k + 1) - lgamma(trials - k + 1)
            + k * log(share) + (trials - k) * log(1 - share)
        )
        for k in range(successes + 1)
    )
