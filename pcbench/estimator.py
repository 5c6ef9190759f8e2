"""The scikit-learn face: a density and a classifier that go wherever estimators go (pipelines, grid search, ``clone``).

scikit-learn is an extra (``pip install 'pcbench[estimator]'``); without it, making an estimator says so.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from .datasets.columns import table_of
from .datasets.dataset import Table
from .errors import DataError, OptionError, PCBenchError
from .execute import Evidence, Model
from .learn import EM, Cosine, Method, MiniBatchEM, fit
from .queries import conditional, log_likelihood, sample
from .scope import Finite, Variables
from .structures.build import build

Array = npt.NDArray[Any]

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, DensityMixin

    AVAILABLE = True
except ImportError:
    AVAILABLE = False

    class BaseEstimator:  # type: ignore[no-redef]
        """Stands in for scikit-learn's; says what is missing."""

        def __new__(cls, *_: object, **__: object) -> Any:
            raise PCBenchError(f"{cls.__name__} needs scikit-learn; install it with: pip install 'pcbench[estimator]'")

    class ClassifierMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's."""

    class DensityMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's."""


class _Circuit(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share: options, and how a model comes from a table."""

    _CLASS: ClassVar[str] = "class"

    def __init__(
        self,
        structure: str = "hclt",
        latents: int | None = None,
        epochs: int = 20,
        batch_size: int = 512,
        method: str | Method = "mini-batch-em",
        step_size: float | None = None,
        pseudocount: float = 0.1,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        variables: Variables | None = None,
        random_state: int = 0,
    ) -> None:
        self.structure = structure
        self.latents = latents
        self.epochs = epochs
        self.batch_size = batch_size
        self.method = method
        self.step_size = step_size
        self.pseudocount = pseudocount
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.variables = variables
        self.random_state = random_state

    def _chosen_method(self) -> Method:
        if isinstance(self.method, Method):
            return self.method
        if self.method == MiniBatchEM.name:
            schedule = Cosine() if self.step_size is None else Cosine(self.step_size, self.step_size / 20)
            return MiniBatchEM(schedule, self.pseudocount)
        if self.method == EM.name and self.step_size is None:
            return EM(self.pseudocount)
        raise OptionError(
            f"method={self.method!r}, step_size={self.step_size!r}: expected 'mini-batch-em', or 'em' without a step size"
        )

    def _train(self, table: Table) -> Model:
        """A model of the rows; the best on validation rows where some are set apart."""
        if not 0 <= self.validation_fraction < 1:
            raise OptionError(f"validation_fraction must lie in [0, 1), got {self.validation_fraction}")
        order = torch.randperm(len(table), generator=torch.Generator().manual_seed(self.random_state))
        apart = round(len(table) * self.validation_fraction)
        train, valid = table[order[apart:]], table[order[:apart]]
        if not len(train):
            raise DataError(f"validation_fraction={self.validation_fraction} of {len(table)} rows leaves none to train on")
        circuit = build(self.structure, train.values, train.variables, train.observed, latents=self.latents)
        run = fit(
            circuit,
            Evidence(train.values, train.observed),
            valid=Evidence(valid.values, valid.observed) if apart else None,
            epochs=self.epochs,
            batch_size=self.batch_size,
            method=self._chosen_method(),
            patience=self.patience,
            seed=self.random_state,
        )
        return run.best_model

    def _table(self, X: Any, variables: Variables | None) -> Table:
        """Rows as a table; NaN is missing, whole numbers from 0 are categories unless ``variables`` says otherwise."""
        names = getattr(X, "columns", None)
        numbers = np.asarray(X)
        if numbers.dtype.kind not in "biuf":
            try:
                numbers = numbers.astype(np.float64)
            except (TypeError, ValueError):
                raise DataError(f"X needs numbers, got dtype {numbers.dtype}") from None
        if numbers.ndim != 2:
            raise DataError(f"X needs shape [rows, columns], got {list(numbers.shape)}")
        known = [str(n) for n in names] if names is not None else None
        if variables is not None:
            known = None  # told apart by place, as everywhere in scikit-learn

        def place(row: int, column: int) -> str:
            return f"row {row}, column {column}" + (f" ({known[column]!r})" if known else "")

        return table_of(numbers.astype(np.float64), known, variables, place, "X")

    def _fitted(self) -> Model:
        model = getattr(self, "model_", None)
        if not isinstance(model, Model):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
        return model


class PCDensity(DensityMixin, _Circuit):  # type: ignore[misc]
    """A probabilistic circuit as a density estimator.

    Args:
        structure: a name of ``pcbench.structures.STRUCTURES``.
        latents: hidden states of each region; the structure's default where left out.
        epochs, batch_size: of the training.
        method: ``"mini-batch-em"``, ``"em"``, or a value of ``pcbench.learn``.
        step_size: first step of mini-batch EM; it falls to a twentieth.
        pseudocount: rows of even evidence added at every node.
        validation_fraction: share of the rows set apart; the best model on them is kept.
        patience: stop after so many epochs without a better validation.
        variables: names and domains of the columns; read from the data where left out (whole numbers from 0 are categories).
        random_state: seed of everything random.

    Attributes:
        model_: the fitted :class:`pcbench.Model`.
        n_features_in_: number of columns.
    """

    def fit(self, X: Any, y: object = None) -> PCDensity:
        """Learn from rows ``[n, columns]``; NaN is missing. ``y`` is ignored."""
        table = self._table(X, self.variables)
        self.model_ = self._train(table)
        self.n_features_in_ = len(table.variables)
        return self

    def score_samples(self, X: Any) -> Array:
        """Log-likelihood of each row in nats: ``[n]``; missing values are marginalised."""
        model = self._fitted()
        table = self._table(X, model.circuit.variables)
        scores: Array = log_likelihood(model, Evidence(table.values, table.observed)).numpy()
        return scores

    def score(self, X: Any, y: object = None) -> float:
        """Mean log-likelihood of the rows, nats."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: int = 0) -> Array:
        """Exact samples ``[n_samples, columns]``."""
        rows: Array = sample(self._fitted(), n_samples, seed=random_state).numpy()
        return rows


class PCClassifier(ClassifierMixin, _Circuit):  # type: ignore[misc]
    """A probabilistic circuit over the columns and the class; classes are predicted by their conditional distribution.

    Rows may have missing values, when fitting and when predicting: they are marginalised exactly. Options as for
    :class:`PCDensity`.

    Attributes:
        model_: the fitted :class:`pcbench.Model`; its last variable is the class.
        classes_: the labels, sorted.
        n_features_in_: number of columns.
    """

    def fit(self, X: Any, y: Any) -> PCClassifier:
        """Learn from rows ``[n, columns]`` and their labels ``[n]``."""
        table = self._table(X, self.variables)
        labels = np.asarray(y)
        if labels.shape != (len(table),):
            raise DataError(f"y needs shape [{len(table)}], got {list(labels.shape)}")
        self.classes_, codes = np.unique(labels, return_inverse=True)
        column = torch.from_numpy(codes.astype(np.int64))[:, None]
        name = self._CLASS
        while name in {v.name for v in table.variables}:
            name += "_"
        domains = [*(v.domain for v in table.variables), Finite(max(2, len(self.classes_)))]
        over = Variables(domains, [*(v.name for v in table.variables), name])
        values = torch.cat((_widened(table.values), column.to(_widened(table.values).dtype)), 1)
        observed = table.observed
        if observed is not None:
            observed = torch.cat((observed, torch.ones(len(table), 1, dtype=torch.bool)), 1)
        self.features_ = table.variables
        self.n_features_in_ = len(table.variables)
        self.model_ = self._train(Table(values, over, observed, "X and y"))
        return self

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class: ``[n, classes]``."""
        model = self._fitted()
        table = self._table(X, self.features_)
        values = _widened(table.values)
        unknown = torch.zeros(len(table), 1, dtype=torch.bool)
        seen = torch.ones(table.values.shape, dtype=torch.bool) if table.observed is None else table.observed
        evidence = Evidence(torch.cat((values, values.new_zeros(len(table), 1)), 1), torch.cat((seen, unknown), 1))
        (posterior,) = conditional(model, evidence, [len(self.features_)]).values()
        assert posterior.probabilities is not None  # the class is finite
        probabilities = posterior.probabilities[:, : len(self.classes_)].double()
        result: Array = (probabilities / probabilities.sum(1, keepdim=True)).numpy()
        return result

    def predict(self, X: Any) -> Array:
        """The most probable class of each row: ``[n]``."""
        labels: Array = self.classes_[self.predict_proba(X).argmax(1)]
        return labels


def _widened(values: torch.Tensor) -> torch.Tensor:
    """Whole numbers wide enough for any number of classes; floats as they are."""
    return values if values.is_floating_point() else values.long()
