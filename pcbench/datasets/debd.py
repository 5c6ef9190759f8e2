"""The density estimation benchmark (DEBD): twenty sets of binary data; nltcs ships with pcbench."""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import Tensor

from ..errors import DataError, hinted, suggest
from ..scope import Variables
from .dataset import Dataset
from .mnist import DATA
from .table import load_table

_SOURCE = (
    "Density estimation benchmark data (D. Lowd and J. Davis, ICDM 2010; J. Van Haaren and J. Davis, AAAI 2012), collected at "
    "https://github.com/arranger1044/DEBD, which states no licence. nltcs: National Long Term Care Survey, 16 yes/no questions."
)


@hinted
def debd(name: str, folder: str | Path | None = None) -> Dataset:
    """One set of the benchmark: ``NAME.train.data``, ``NAME.valid.data`` and ``NAME.test.data``, each also as ``.gz``.

    Args:
        name: such as ``"nltcs"``.
        folder: where the files are; left out, the sets that ship with pcbench (nltcs).

    Raises:
        DataError: when a file is missing, or does not hold rows of 0 and 1.
    """
    place = DATA if folder is None else Path(folder)
    known = sorted({p.name.split(".")[0] for p in place.glob("*.train.data*")})
    if name not in known:
        where = "the sets that ship with pcbench; give folder= for others" if folder is None else str(place)
        raise DataError(f"no data set {name!r} in {where}; {suggest(name, known) if known else 'no *.train.data there'}")
    train = _part(place, name, "train")
    variables = Variables.binary(train.shape[1])
    for part in (train, valid := _part(place, name, "valid"), test := _part(place, name, "test")):
        if part.shape[1] != len(variables) or int(part.max()) > 1:
            raise DataError(f"{name} in {place}: expected rows of {len(variables)} zeros and ones in every part")
    return Dataset(name, train, variables, valid, test, source=_SOURCE)


def _part(place: Path, name: str, part: str) -> Tensor:
    path = next((p for p in (place / f"{name}.{part}.data", place / f"{name}.{part}.data.gz") if p.exists()), None)
    if path is None:
        raise DataError(f"{place / name}.{part}.data is missing, with and without .gz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # constant columns are part of a benchmark
        return load_table(path, header=False).values
