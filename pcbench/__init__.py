"""pcbench: build, compile, train, query and watch probabilistic circuits."""

from . import datasets, structures
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
from .learn import EM, Constant, Cosine, Event, MiniBatchEM, OneCycle, Power, Run, fit, full_batch_em, mini_batch_em
from .queries import conditional, conditional_log_likelihood, log_likelihood, marginal, mpe, sample
from .scope import Finite, Real, Variable, Variables
