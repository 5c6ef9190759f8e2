"""pcbench: build, compile, train, query and watch probabilistic circuits."""

from . import datasets, nn, structures
from .circuit import (
    Block,
    BlockSparse,
    Circuit,
    Dense,
    InputBlock,
    Parameter,
    ProductBlock,
    Sparse,
    SumBlock,
    decomposable,
    describe,
    deterministic,
    smooth,
    structured_decomposable,
)
from .compile import Program, compile
from .distributions import FAMILIES, Bernoulli, Binomial, Categorical, Distribution, Gaussian
from .execute import Evidence, Model
from .execute.files import load, load_model, save, save_model
from .io import from_pyjuice
from .learn import EM, Constant, Cosine, Event, Gradient, MiniBatchEM, OneCycle, Power, Run, fit, full_batch_em, mini_batch_em
from .queries import conditional, conditional_log_likelihood, log_likelihood, marginal, mpe, sample
from .scope import Finite, Real, Variable, Variables

__all__ = [
    "EM",
    "FAMILIES",
    "Bernoulli",
    "Binomial",
    "Block",
    "BlockSparse",
    "Categorical",
    "Circuit",
    "Constant",
    "Cosine",
    "Dense",
    "Distribution",
    "Event",
    "Evidence",
    "Finite",
    "Gaussian",
    "Gradient",
    "InputBlock",
    "MiniBatchEM",
    "Model",
    "OneCycle",
    "Parameter",
    "Power",
    "ProductBlock",
    "Program",
    "Real",
    "Run",
    "Sparse",
    "SumBlock",
    "Variable",
    "Variables",
    "compile",
    "conditional",
    "conditional_log_likelihood",
    "datasets",
    "decomposable",
    "describe",
    "deterministic",
    "fit",
    "from_pyjuice",
    "full_batch_em",
    "load",
    "load_model",
    "log_likelihood",
    "marginal",
    "mini_batch_em",
    "mpe",
    "nn",
    "sample",
    "save",
    "save_model",
    "smooth",
    "structured_decomposable",
    "structures",
]
