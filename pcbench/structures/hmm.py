"""Hidden Markov models."""

from __future__ import annotations

from ..circuit import Block, Circuit, Parameter, ProductBlock, SumBlock
from ..errors import OptionError, hinted
from ..scope import Variables
from .common import Data, Leaves, family_of, leaf_block, variables_of, whole


@hinted
def hmm(
    latents: int = 16,
    variables: Variables | None = None,
    data: Data | None = None,
    distribution: Leaves = None,
    homogeneous: bool = True,
) -> Circuit:
    """A hidden Markov model over the variables, first to last. The root's weights are the initial distribution.

    Args:
        latents: hidden states.
        variables: one a time step.
        data: ``[B, steps]``, to infer the variables from where they are not given.
        distribution: leaf family; by default categorical for finite variables and Gaussian for real ones.
        homogeneous: one transition matrix and one set of leaves, shared by all steps.

    Raises:
        OptionError: for options that make no sense, and for a homogeneous model of variables with different domains.
        DataError: for data that does not fit the variables.
    """
    whole(latents, "latents")
    variables = variables_of(data, variables, "hmm()")
    families = [family_of(v, distribution) for v in variables]
    emission: Parameter | None = None
    transition: Parameter | None = None
    if homogeneous:
        for variable, family in zip(variables, families, strict=True):
            if family != families[0] or variable.domain != variables[0].domain:
                raise OptionError(
                    f"a homogeneous HMM needs one domain and one family, but {variables[0].name!r} is {variables[0].domain} "
                    f"with {families[0]} and {variable.name!r} is {variable.domain} with {family}; pass homogeneous=False"
                )
        emission = Parameter((families[0].num_parameters, latents), name="emission")
        transition = Parameter((latents, latents), name="transition")
    states: Block = leaf_block(variables[-1], distribution, latents, emission)
    for variable in reversed(variables[:-1]):
        later = SumBlock([states], latents, parameter=transition or Parameter((latents, latents)), name=f"z({variable.name})")
        states = ProductBlock([leaf_block(variable, distribution, latents, emission), later])
    return Circuit(SumBlock([states], 1, name="initial"), variables)
