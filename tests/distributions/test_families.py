"""Every family of FAMILIES keeps the promises of its interface, and agrees with SciPy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pcbench import FAMILIES, Bernoulli, Binomial, Categorical, Distribution, Finite, Gaussian, Real
from pcbench.errors import CircuitError

from .. import oracle

pytestmark = pytest.mark.usefixtures("nan_filled")
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}


@dataclass(frozen=True)
class Sample:
    """A family, a domain it models, parameters ``[S, N]``, and SciPy's distribution of node ``n``."""

    family: Distribution
    domain: Finite | Real
    parameters: Tensor
    scipy: Callable[[np.ndarray], Any]

    def __str__(self) -> str:
        return f"{self.family}"

    def values(self) -> Tensor:
        if isinstance(self.domain, Finite):
            return torch.arange(self.domain.size)
        return torch.tensor([-7.5, -1.0, 0.0, 0.3, 2.0, 40.0], dtype=torch.float64)


def simplex(size: int, nodes: int) -> Tensor:
    raw = torch.rand(size, nodes, generator=torch.Generator().manual_seed(size), dtype=torch.float64) + 0.02
    return raw / raw.sum(0)


def rates() -> Tensor:
    return torch.tensor([[0.0, 1e-7, 0.3, 0.5, 0.9999999, 1.0]], dtype=torch.float64)


def custom(p: np.ndarray) -> Any:
    return stats.rv_discrete(values=(np.arange(len(p)), p / p.sum()))


SAMPLES: list[Sample] = [
    Sample(Categorical(1), Finite(1), simplex(1, 3), custom),
    Sample(Categorical(2), Finite(2), simplex(2, 5), custom),
    Sample(Categorical(7), Finite(7), simplex(7, 4), custom),
    Sample(Categorical(256), Finite(256), simplex(256, 3), custom),
    Sample(Bernoulli(), Finite(2), rates(), lambda p: stats.bernoulli(p[0])),
    Sample(Binomial(1), Finite(2), rates(), lambda p: stats.binom(1, p[0])),
    Sample(Binomial(12), Finite(13), rates(), lambda p: stats.binom(12, p[0])),
    Sample(Binomial(255), Finite(256), rates(), lambda p: stats.binom(255, p[0])),
    Sample(
        Gaussian(),
        Real(),
        torch.tensor([[0.0, -3.0, 1e3, 0.5], [1.0, 1e-4, 4.0, 1e6]], dtype=torch.float64),
        lambda p: stats.norm(p[0], math.sqrt(p[1])),
    ),
]
every = pytest.mark.parametrize("sample", SAMPLES, ids=str)
finite = pytest.mark.parametrize("sample", [s for s in SAMPLES if isinstance(s.domain, Finite)], ids=str)


def by_node(sample: Sample, ask: Callable[[Any], Any]) -> np.ndarray:
    """One answer of SciPy's a node, node last."""
    return np.stack([np.asarray(ask(sample.scipy(p))) for p in sample.parameters.T.numpy()], -1)


def test_every_family_has_a_sample() -> None:
    assert {type(s.family) for s in SAMPLES} == set(FAMILIES)
    assert len({f.name for f in FAMILIES}) == len(FAMILIES)


@every
def test_families_are_frozen_values(sample: Sample) -> None:
    family = sample.family
    again = type(family)(**{f.name: getattr(family, f.name) for f in fields(family)})  # type: ignore[arg-type]
    assert family == again
    assert hash(family) == hash(again)
    with pytest.raises((FrozenInstanceError, AttributeError)):
        family.name = "other"  # type: ignore[misc]


@DTYPES
@every
def test_density_is_scipys(sample: Sample, dtype: torch.dtype) -> None:
    values, parameters = sample.values(), sample.parameters.to(dtype)
    got = sample.family.log_density(parameters, values.to(torch.float64))
    assert got.shape == (len(values), parameters.shape[1])
    assert got.dtype == dtype
    exact = parameters.double().numpy()
    expected = oracle.log_density(sample.family, exact, values.double().numpy())
    np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    kind = (lambda d: d.logpmf(values.numpy())) if isinstance(sample.domain, Finite) else (lambda d: d.logpdf(values.numpy()))
    if dtype == torch.float64:
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(got, by_node(sample, kind), rtol=1e-7, atol=1e-9)


@every
def test_leading_dimensions_are_batches_of_leaves(sample: Sample) -> None:
    one, values = sample.parameters, sample.values().double()
    several = torch.stack((one, one.flip(1)))
    got = sample.family.log_density(several, torch.stack((values, values)))
    torch.testing.assert_close(got[0], sample.family.log_density(one, values))
    torch.testing.assert_close(got[1], sample.family.log_density(one.flip(1), values))
    for method in ("moments", "mode", "mean", "variance"):
        pair = getattr(sample.family, method)(several)
        torch.testing.assert_close(pair[0], getattr(sample.family, method)(one))
        torch.testing.assert_close(pair[1], getattr(sample.family, method)(one.flip(1)))
    torch.testing.assert_close(sample.family.from_moments(sample.family.moments(several)), several, rtol=1e-6, atol=1e-6)


@DTYPES
@finite
def test_table_is_the_density_of_every_value_and_sums_to_one(sample: Sample, dtype: torch.dtype) -> None:
    assert isinstance(sample.domain, Finite)
    parameters = sample.parameters.to(dtype)
    table = sample.family.log_table(parameters, sample.domain)
    assert table.shape == (sample.domain.size, parameters.shape[1])
    density = sample.family.log_density(parameters, sample.values().to(dtype))
    torch.testing.assert_close(table, density, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(table.double().exp().sum(0), 1, rtol=1e-4 if dtype == torch.float32 else 1e-9)
    assert not torch.isnan(table).any()


@every
def test_moments_are_expected_statistics_and_go_back(sample: Sample) -> None:
    family, parameters = sample.family, sample.parameters
    assert parameters.shape[0] == family.num_parameters
    moments = family.moments(parameters)
    assert moments.shape == (family.num_moments, parameters.shape[1])
    back = family.from_moments(moments)
    np.testing.assert_allclose(back, parameters, rtol=1e-9, atol=1e-9)
    assert family.invalid(back) is None
    if isinstance(sample.domain, Finite):
        masses = family.log_table(parameters, sample.domain).exp()
        expected = family.sufficient(sample.values().double()).T @ masses
        np.testing.assert_allclose(moments, expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(family.moments_from_counts(masses), expected, rtol=1e-9, atol=1e-9)


@every
def test_statistics_are_the_textbooks(sample: Sample) -> None:
    values = sample.values().double()
    got = sample.family.sufficient(values)
    assert got.shape == (*values.shape, sample.family.num_moments)
    np.testing.assert_allclose(got, oracle.sufficient(sample.family, values.numpy()))
    assert sample.family.sufficient(values[None, :]).shape == (1, len(values), sample.family.num_moments)


@every
def test_maximum_likelihood_is_a_maximum(sample: Sample) -> None:
    """No parameters nearby explain weighted data better than the update does."""
    family = sample.family
    generator = torch.Generator().manual_seed(0)
    size = sample.domain.size if isinstance(sample.domain, Finite) else 0
    data = torch.randint(size, (50,), generator=generator).double() if size else torch.randn(50, generator=generator).double()
    weight = torch.rand(50, generator=generator, dtype=torch.float64)
    best = family.from_moments(((family.sufficient(data) * weight[:, None]).sum(0) / weight.sum())[:, None])

    def score(parameters: Tensor) -> float:
        logs = family.log_density(parameters, data)[:, 0]
        return float((weight * torch.where(weight > 0, logs, 0.0)).sum())

    top = score(best)
    for _ in range(20):
        other = family.initial(1, generator)
        assert score(other) <= top + 1e-9
        between = family.from_moments(0.97 * family.moments(best) + 0.03 * family.moments(other))
        assert score(between) <= top + 1e-9


@every
def test_mean_variance_cdf_and_mode(sample: Sample) -> None:
    family, parameters, values = sample.family, sample.parameters, sample.values()
    np.testing.assert_allclose(family.mean(parameters), by_node(sample, lambda d: d.mean()), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(family.variance(parameters), by_node(sample, lambda d: d.var()), rtol=1e-6, atol=1e-9)
    got = family.cdf(parameters, values.double())
    np.testing.assert_allclose(got, by_node(sample, lambda d: d.cdf(values.numpy())), rtol=1e-6, atol=1e-9)
    for outside, expected in ((-1e9, 0.0), (1e9, 1.0)):
        np.testing.assert_allclose(family.cdf(parameters, torch.tensor([outside], dtype=torch.float64)), expected, atol=1e-9)
    mode = family.mode(parameters)
    assert mode.shape == (parameters.shape[1],)
    peak = torch.diagonal(family.log_density(parameters, mode.double()))
    assert (peak[None] >= family.log_density(parameters, values.double()) - 1e-9).all()


@finite
def test_cdf_between_values_is_a_step(sample: Sample) -> None:
    below = sample.family.cdf(sample.parameters, sample.values().double() + 0.5)
    torch.testing.assert_close(below, sample.family.cdf(sample.parameters, sample.values().double()))


@DTYPES
@every
def test_inverse_cdf_draws_from_the_density(sample: Sample, dtype: torch.dtype) -> None:
    count = 4000
    # A stratified grid: the draws follow the distribution up to one draw a value, without luck.
    uniform = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    for n in range(sample.parameters.shape[1]):
        column = sample.parameters[:, n : n + 1].to(dtype)
        drawn = sample.family.inverse_cdf(column.expand(-1, count), uniform)
        assert drawn.shape == (count,)
        target = sample.scipy(column.double().numpy()[:, 0])
        if isinstance(sample.domain, Finite):
            assert not drawn.is_floating_point()
            assert int(drawn.min()) >= 0
            assert int(drawn.max()) < sample.domain.size
            seen = np.bincount(drawn.numpy(), minlength=sample.domain.size) / count
            np.testing.assert_allclose(seen, target.pmf(np.arange(sample.domain.size)), atol=2.5 / count)
            assert (seen[target.pmf(np.arange(sample.domain.size)) == 0] == 0).all(), "an impossible value was drawn"
        else:
            np.testing.assert_allclose(drawn, target.ppf(uniform.numpy()), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("edge", [5e-17, 1 - 1e-16])
@every
def test_inverse_cdf_at_the_ends(sample: Sample, edge: float) -> None:
    uniform = torch.full((sample.parameters.shape[1],), edge, dtype=torch.float64)
    drawn = sample.family.inverse_cdf(sample.parameters, uniform)
    assert torch.isfinite(drawn.double()).all()
    possible = torch.diagonal(sample.family.log_density(sample.parameters, drawn.double()))
    assert (possible > -torch.inf).all()


@every
def test_first_parameters_are_valid_and_follow_the_column(sample: Sample) -> None:
    family = sample.family
    size = sample.domain.size if isinstance(sample.domain, Finite) else 0
    column = torch.full((40,), size - 1) if size else torch.full((40,), 1000.0, dtype=torch.float64)
    for data in (
        None,
        column,
        column.to(torch.float32) if not size else column.to(torch.uint8 if size <= 256 else torch.int16),
    ):
        first = family.initial(6, torch.Generator().manual_seed(3), data)
        again = family.initial(6, torch.Generator().manual_seed(3), data)
        assert first.shape == (family.num_parameters, 6)
        assert first.dtype == torch.float64
        assert torch.equal(first, again)
        assert family.invalid(first) is None
        assert size == 1 or len(torch.unique(first[0])) == 6  # nodes differ, or EM could never tell them apart
    if size > 1:
        assert (family.mean(first) > (size - 1) / 2).all()
    elif not size:
        assert (family.mean(first) - 1000).abs().max() < 10


@every
def test_domains(sample: Sample) -> None:
    assert sample.family.rejects(sample.domain) is None
    other = Real() if isinstance(sample.domain, Finite) else Finite(3)
    for domain in (other, *((Finite(sample.domain.size + 1),) if isinstance(sample.domain, Finite) else ())):
        reason = sample.family.rejects(domain)
        assert reason is not None
        assert str(domain) in reason


@every
def test_prior_moments_are_moments_of_the_family(sample: Sample) -> None:
    family, parameters = sample.family, sample.parameters
    moments = family.moments(parameters)
    prior = family.prior_moments(parameters).expand_as(moments)  # broadcastable
    assert family.invalid(family.from_moments(prior)) is None
    np.testing.assert_allclose(prior, oracle.densities.prior_moments(family, parameters.numpy()))


@pytest.mark.parametrize(
    ("family", "parameters", "message"),
    [
        (Categorical(2), [[0.5], [0.6]], "sum to 1.*0.1"),
        (Categorical(2), [[-0.5], [1.5]], r"\[0, 1\].*-0.5"),
        (Categorical(2), [[math.nan], [1.0]], "finite"),
        (Bernoulli(), [[1.01]], r"\[0, 1\].*1.01"),
        (Bernoulli(), [[-1e-3]], r"\[0, 1\].*-0.001"),
        (Bernoulli(), [[math.inf]], "finite"),
        (Binomial(3), [[2.0]], r"\[0, 1\].*2"),
        (Gaussian(), [[0.0], [0.0]], "positive.*0"),
        (Gaussian(), [[0.0], [-1.0]], "positive.*-1"),
        (Gaussian(), [[math.nan], [1.0]], "finite"),
        (Gaussian(), [[math.inf], [1.0]], "finite"),
    ],
)
def test_invalid_parameters_are_told(family: Distribution, parameters: list[list[float]], message: str) -> None:
    reason = family.invalid(torch.tensor(parameters, dtype=torch.float64))
    assert reason is not None
    assert re.search(message, reason), reason


@pytest.mark.parametrize("make", [lambda: Categorical(0), lambda: Binomial(0), lambda: Binomial(-1), lambda: Gaussian(-1.0)])
def test_hyperparameters_are_checked(make: Callable[[], Distribution]) -> None:
    with pytest.raises(CircuitError):
        make()


def test_gaussian_offsets_keep_their_digits_in_single_precision() -> None:
    """Data at a million with a deviation of one: the difference is taken before it is rounded."""
    family = Gaussian()
    parameters = torch.tensor([[1e6], [1.0]])
    values = 1e6 + torch.tensor([0.0, 0.25, -1.5], dtype=torch.float64)
    expected = stats.norm(1e6, 1).logpdf(values.numpy())
    np.testing.assert_allclose(family.log_density(parameters, values)[:, 0], expected, rtol=1e-6)


@DTYPES
@finite
def test_moments_that_were_rounded_past_the_edge(sample: Sample, dtype: torch.dtype) -> None:
    """Sums and divisions leave mean parameters one bit too high; that is no reason for NaN."""
    eps = 4 * torch.finfo(dtype).eps
    for factor in (1 + eps, 1 - eps):
        parameters = sample.family.from_moments(sample.family.moments(sample.parameters).to(dtype) * factor)
        logs = sample.family.log_density(parameters, sample.values().double())
        assert not torch.isnan(logs).any()
        assert sample.family.invalid(parameters) is None


def test_variance_has_a_floor() -> None:
    spike = Gaussian(min_variance=0.01).from_moments(torch.tensor([[2.0], [4.0]]))
    assert spike[1].item() == pytest.approx(0.01)


# ---- unconstrained coordinates -------------------------------------------------------------------------------------------
@DTYPES
@every
def test_coordinates_lead_back(sample: Sample, dtype: torch.dtype) -> None:
    parameters = sample.parameters.to(dtype)
    free = sample.family.free(parameters)
    assert free.shape[-1] == parameters.shape[-1]
    assert not bool(free.isnan().any())
    torch.testing.assert_close(
        sample.family.from_free(free), parameters, rtol=2e-3 if isinstance(sample.family, Gaussian) else 1e-5, atol=1e-6
    )
    several = torch.stack((parameters, parameters.flip(1)))
    torch.testing.assert_close(sample.family.free(several)[1], sample.family.free(parameters.flip(1)), equal_nan=False)


@every
def test_any_coordinates_are_those_of_parameters(sample: Sample) -> None:
    shape = sample.family.free(sample.parameters).shape
    for spread in (1, 30, 1000):
        free = spread * torch.randn(3, *shape, generator=torch.Generator().manual_seed(spread), dtype=torch.float64)
        if isinstance(sample.family, Gaussian):
            free.clamp_(-300, 300)  # the largest float64 is e^709
        assert sample.family.invalid(sample.family.from_free(free)) is None


@DTYPES
@finite
def test_tables_by_coordinates(sample: Sample, dtype: torch.dtype) -> None:
    assert isinstance(sample.domain, Finite)
    parameters = sample.parameters.to(dtype)
    free = sample.family.free(parameters)
    got = sample.family.free_log_table(free, sample.domain)
    torch.testing.assert_close(got, sample.family.log_table(parameters, sample.domain), rtol=1e-4, atol=1e-4)
    # Far out, where probabilities round to 0 and 1, tables and their slopes are still numbers, and masses sum to one.
    far = (100 * torch.randn(2, *free.shape, generator=torch.Generator().manual_seed(0))).to(dtype).requires_grad_()
    table = sample.family.free_log_table(far, sample.domain)
    torch.testing.assert_close(table.logsumexp(-2).detach(), torch.zeros(2, free.shape[-1], dtype=dtype), rtol=0, atol=1e-3)
    (slope,) = torch.autograd.grad(table[..., :1, :].sum(), far)
    assert bool(table.isfinite().all())
    assert bool(slope.isfinite().all())
