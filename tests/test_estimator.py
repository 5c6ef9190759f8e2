"""The scikit-learn face: densities and classifiers that behave as estimators do."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pcbench as pcb
from pcbench import Finite, Real, Variables
from pcbench.datasets import nltcs
from pcbench.errors import DataError, OptionError
from pcbench.estimator import PCClassifier, PCDensity
from pcbench.learn import EM

TINY = {"latents": 3, "epochs": 4, "batch_size": 256}


def test_density_learns_and_scores() -> None:
    data = nltcs()
    assert data.test is not None
    density = PCDensity(**TINY, validation_fraction=0.1, patience=3).fit(data.train.numpy()[:4000])
    test = data.test.numpy()[:500]
    scores = density.score_samples(test)
    assert scores.shape == (500,)
    assert density.score(test) == pytest.approx(scores.mean())
    assert density.score(test) > -7
    assert np.allclose(scores, pcb.log_likelihood(density.model_, data.test[:500]).numpy())
    rows = density.sample(40, random_state=3)
    assert rows.shape == (40, 16)
    assert set(np.unique(rows)) <= {0, 1}
    assert np.array_equal(rows, density.sample(40, random_state=3))
    assert density.n_features_in_ == 16


def test_missing_values_are_marginalised() -> None:
    X = np.array([[0.0, 1.0, np.nan], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, np.nan, 1.0]] * 20)
    density = PCDensity(structure="rat", **TINY).fit(X)
    assert np.isfinite(density.score_samples(X)).all()
    assert density.score_samples(np.full((1, 3), np.nan))[0] == pytest.approx(0, abs=1e-5)


def test_classifier() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    classifier = PCClassifier(latents=6, epochs=30, batch_size=30, random_state=1).fit(X, names)
    proba = classifier.predict_proba(X)
    assert proba.shape == (150, 3)
    assert np.allclose(proba.sum(1), 1)
    assert list(classifier.classes_) == ["setosa", "versicolor", "virginica"]
    assert set(classifier.predict(X)) <= set(names)
    assert classifier.score(X, names) > 0.9
    X[::3, 2] = np.nan
    assert classifier.score(X, names) > 0.8


def test_classes_of_whole_numbers_stay_themselves() -> None:
    X = np.arange(60).reshape(-1, 1) % 2
    y = np.where(X[:, 0] == 1, 300, -7)
    classifier = PCClassifier(latents=3, epochs=30, batch_size=20).fit(X, y)
    assert (classifier.predict(X) == y).mean() > 0.9


@pytest.mark.parametrize("kind", [PCDensity, PCClassifier])
def test_clone_and_parameters(kind: type) -> None:
    over = Variables([Finite(2), Real()])
    estimator = kind(structure="hmm", latents=5, method=EM(0.5), variables=over)
    copy = clone(estimator)
    assert copy is not estimator
    assert copy.get_params()["latents"] == 5
    assert copy.get_params()["method"] == EM(0.5)
    assert copy.get_params()["variables"] == over
    assert set(copy.get_params()) == set(kind().get_params())
    assert copy.set_params(epochs=3).epochs == 3
    assert not hasattr(copy, "model_")


def test_pipelines_and_searches() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), PCClassifier(**TINY | {"batch_size": 30}))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.6
    search = GridSearchCV(PCDensity(epochs=2, batch_size=50), {"latents": [1, 4]}, cv=2).fit(X)
    assert search.best_params_["latents"] in (1, 4)


def test_declared_variables_hold() -> None:
    X = np.array([[0, 1], [1, 0]] * 10)
    density = PCDensity(**TINY, variables=Variables([Finite(5), Finite(2)], ["a", "b"])).fit(X)
    assert density.model_.circuit.variables["a"].domain == Finite(5)
    assert np.isfinite(density.score_samples([[4, 0]])).all()
    with pytest.raises(DataError, match="X: row 1, column 0: 5 is outside the domain"):
        density.score_samples([[4, 0], [5, 0]])


def test_mistakes() -> None:
    X = np.array([[0, 1], [1, 0]] * 10)
    with pytest.raises(NotFittedError, match="PCDensity is not fitted yet"):
        PCDensity().score_samples(X)
    with pytest.raises(OptionError, match="there is no structure 'hclr'; did you mean 'hclt'"):
        PCDensity(structure="hclr").fit(X)
    with pytest.raises(OptionError, match="method='sgd'"):
        PCDensity(method="sgd").fit(X)
    with pytest.raises(DataError, match=r"y needs shape \[20\], got \[3\]"):
        PCClassifier().fit(X, [0, 1, 0])
    with pytest.raises(DataError, match=r"X needs shape \[rows, columns\], got \[2\]"):
        PCDensity().fit(X[0])
    with pytest.raises(DataError, match="X needs numbers"):
        PCDensity().fit(np.array([["a"]], dtype=object))
    with pytest.raises(DataError, match="3 columns, expected 2 variables"):
        PCDensity(**TINY).fit(X).score_samples(np.zeros((1, 3)))


def test_without_scikit_learn_it_says_so() -> None:
    script = (
        "import sys; sys.modules['sklearn'] = None; sys.modules['sklearn.base'] = None\n"
        "import pcbench\n"
        "from pcbench.estimator import PCDensity\n"
        "try: PCDensity(latents=3)\n"
        "except pcbench.errors.PCBenchError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "PCDensity needs scikit-learn; install it with: pip install 'pcbench[estimator]'"
