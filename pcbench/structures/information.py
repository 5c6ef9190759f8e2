"""Mutual information between all pairs of columns.

For finite variables, counts of value pairs are one matrix product of one-hot columns, taken in chunks: no array is larger
than about ``CHUNK`` × ``CHUNK`` or ``ROWS`` × ``CHUNK`` numbers. With ``c`` the counts of a pair, ``n`` their sum,
``I = log n + (Σ c_ab log c_ab − Σ c_a log c_a − Σ c_b log c_b) / n``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import OptionError, hinted
from ..scope import Finite, Real, Variables
from .common import Data, Table, read_table, whole

CHUNK = 2048
ROWS = 8192
#: Left to itself, a column keeps up to ``KEPT`` distinct values, and is cut into ``LEVELS`` levels when it has more.
KEPT, LEVELS = 16, 8


@hinted
def mutual_information(
    data: Data,
    variables: Variables | None = None,
    observed: Data | None = None,
    bins: int | None = None,
    pseudocount: float = 1.0,
) -> Tensor:
    """Mutual information of every pair of columns, in nats: ``[V, V]`` float64, symmetric, zero on the diagonal.

    Finite pairs: from smoothed counts. Real pairs: ``−½ log(1 − ρ²)``, that of a Gaussian with the pair's correlation
    (Cover and Thomas, Elements of Information Theory, ch. 8). Mixed pairs: the real column is cut into levels.
    A constant column has no information about anything: its entries are zero.

    Args:
        data: ``[B, V]``.
        variables: one a column; inferred where left out.
        observed: ``[B, V]`` bool; a pair uses the rows in which both are observed.
        bins: a column with more distinct values is cut into this many levels of about equal frequency. Left out: 8
            levels for columns with more than 16 values.
        pseudocount: rows' worth of a uniform distribution that are added to each pair.

    Raises:
        DataError: for data that does not fit the variables.
    """
    if not pseudocount >= 0:
        raise OptionError(f"pseudocount must not be negative, got {pseudocount}")
    return table_information(read_table(data, variables, observed), bins, pseudocount)


def table_information(table: Table, bins: int | None = None, pseudocount: float = 1.0) -> Tensor:
    """:func:`mutual_information` of checked data."""
    bins = bins if bins is None else whole(bins, "bins", 2)
    real = [v.index for v in table.variables if isinstance(v.domain, Real)]
    if len(real) == len(table.variables):
        return _gaussian_information(table.values, table.observed)
    codes, levels = _codes(table, bins)
    information = _count_information(codes, levels, pseudocount)
    if len(real) > 1:
        chosen = torch.tensor(real)
        seen = None if table.observed is None else table.observed[:, chosen]
        information[chosen[:, None], chosen] = _gaussian_information(table.values[:, chosen], seen)
    return information


def _codes(table: Table, bins: int | None) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Levels of every column ``[B, V]`` int32 (−1: missing), and how many each column has ``[V]``."""
    codes = torch.empty(table.values.shape, dtype=torch.int32)
    levels = np.ones(len(table.variables), np.int64)
    for variable in table.variables:
        column = table.values[:, variable.index]
        seen = slice(None) if table.observed is None else table.observed[:, variable.index]
        values = column[seen]
        if not len(values):
            codes[:, variable.index] = -1
            continue
        if isinstance(variable.domain, Finite):
            place = values.long()
            counts = torch.bincount(place)
        else:
            _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
        level = _level_of_value(counts, bins)
        codes[:, variable.index] = -1
        codes[seen, variable.index] = level[place].to(torch.int32)
        levels[variable.index] = int(level.max()) + 1
    return codes, levels


def _level_of_value(counts: Tensor, bins: int | None) -> Tensor:
    """A level for every value, from how often it occurs; levels that occur are numbered 0, 1, ….

    A value's level is where the middle of its occurrences falls among all rows, so that a value that fills half the
    rows (the black of a digit's background) is a level of its own and the others still spread.
    """
    present = counts > 0
    distinct = int(present.sum())
    most = bins if bins is not None else (KEPT if distinct <= KEPT else LEVELS)
    if distinct <= most:
        return present.long().cumsum(0) - 1
    middle = counts.cumsum(0).double() - counts.double() / 2
    level = (middle * most / float(counts.sum())).long().clamp_(max=most - 1)
    used = torch.zeros(most, dtype=torch.long)
    used[level[present]] = 1
    return ((used.cumsum(0) - 1)[level]).clamp_(min=0)


def _one_hot(codes: Tensor, levels: int) -> Tensor:
    """Codes ``[B, U]`` → indicators ``[B, U · levels]`` in float32; a missing value has none."""
    hot = torch.zeros(codes.numel() * levels + 1)  # the last one is for missing values
    place = torch.arange(codes.numel()).mul_(levels).view(codes.shape).add_(codes)
    hot[place.masked_fill_(codes < 0, len(hot) - 1)] = 1.0
    return hot[:-1].view(len(codes), -1)


def _runs(levels: npt.NDArray[np.int64]) -> list[Tensor]:
    """Columns that vary, in runs of one number of levels each, and of at most about ``CHUNK`` levels together."""
    out = []
    for count in np.unique(levels[levels > 1]):
        columns = torch.from_numpy(np.flatnonzero(levels == count))
        out += columns.split(max(1, CHUNK // int(count)))
    return out


def _count_information(codes: Tensor, levels: npt.NDArray[np.int64], pseudocount: float) -> Tensor:
    information = torch.zeros(len(levels), len(levels), dtype=torch.float64)
    runs = _runs(levels)  # a column that never varies carries no information; rounding must not say otherwise
    for i, left in enumerate(runs):
        for right in runs[i:]:
            rows, columns = int(levels[left[0]]), int(levels[right[0]])
            counts = torch.zeros(len(left) * rows, len(right) * columns)
            for start in range(0, len(codes), ROWS):
                part = codes[start : start + ROWS]
                a = _one_hot(part[:, left], rows)
                b = a if right is left else _one_hot(part[:, right], columns)
                counts.addmm_(a.T, b)  # whole numbers below 2^24, exact in float32
            found = _pair_information(counts.view(len(left), rows, len(right), columns), pseudocount, len(codes))
            information[left[:, None], right] = found
            information[right[:, None], left] = found.T
    return _mirrored(information)


def _pair_information(counts: Tensor, pseudocount: float, most: int) -> Tensor:
    """Counts ``[U, levels, W, levels]``, whole numbers up to ``most``, → information ``[U, W]`` of columns."""
    _, rows, _, columns = counts.shape
    share = pseudocount / (rows * columns)

    def entropies(values: Tensor, share: float) -> Tensor:
        """Σ c log c over both levels, of counts and the share of the pseudocount. Each is looked up: logarithms are slow."""
        table = torch.arange(most + 1, dtype=torch.float64) + share
        return torch.xlogy(table, table).take(values.long()).sum((1, 3))

    by_left, by_right = counts.sum(3, keepdim=True), counts.sum(1, keepdim=True)
    total = by_left.sum((1, 3), dtype=torch.float64) + pseudocount
    parts = entropies(counts, share) - entropies(by_left, share * columns) - entropies(by_right, share * rows)
    # A pair that is never observed together, without smoothing, has total 0: no information, not NaN.
    known = total.clamp(min=1e-300)
    return torch.where(total > 0, known.log() + parts / known, 0.0)


def _gaussian_information(values: Tensor, observed: Tensor | None) -> Tensor:
    seen = torch.ones(values.shape, dtype=torch.float64) if observed is None else observed.double()
    x = values.double() if observed is None else torch.where(observed, values, 0).double()
    rows = seen.sum(0).clamp(min=1)
    centre = x.sum(0) / rows
    x = (x - centre) * seen
    spread = (x.square().sum(0) / rows).sqrt()
    # Rounding leaves a constant column a spread of about 1e-16 of its value; dividing by that would invent a correlation.
    varies = spread > 1e-12 * centre.abs().clamp(min=1e-300)
    x = torch.where(varies, x / torch.where(varies, spread, 1.0), 0.0)
    together = (seen.T @ seen).clamp(min=1)
    mean = x.T @ seen / together
    square = x.square().T @ seen / together
    variance = (square - mean.square()).clamp_(min=0)
    covariance = x.T @ x / together - mean * mean.T
    scale = (variance * variance.T).sqrt()
    correlation = torch.where(scale > 1e-12, covariance / scale.clamp(min=1e-12), 0.0)
    # Two equal columns have infinite information; a large finite number keeps the tree well defined.
    information = -0.5 * torch.log((1 - correlation.square()).clamp(min=1e-12))
    return _mirrored(information)


def _mirrored(information: Tensor) -> Tensor:
    """The upper triangle on both sides: exactly symmetric, zero diagonal, nothing below zero from rounding."""
    upper = information.clamp(min=0.0).triu(1)
    return upper + upper.T
