"""Data that ship with pcbench, and tables from files: variables, missing values, and a message for every mistake."""

from __future__ import annotations

import gzip
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from pcbench import Finite, Real, Variables
from pcbench.datasets import (
    BUILT_IN,
    Dataset,
    Table,
    dataset,
    debd,
    hold_out,
    load_dataset,
    load_table,
    mnist10k,
    nltcs,
    read_idx,
)
from pcbench.datasets.picture import side_by_side, write_png
from pcbench.errors import DataError, OptionError
from pcbench.execute import Evidence


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# ---- what ships ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_sets_fit_their_variables(name: str) -> None:
    data = dataset(name)
    for part in ("train", "valid", "test"):
        table = data.table(part)
        if table is not None:
            Evidence(table.values, table.observed).check(data.variables)
    assert data.source


def test_mnist10k() -> None:
    data = mnist10k()
    assert (tuple(data.train.shape), tuple(data.test.shape if data.test is not None else ())) == ((8000, 784), (2000, 784))
    assert data.train.dtype == torch.uint8
    assert data.image_shape == (28, 28)
    assert data.variables[29] == data.variables["r01c01"]
    assert data.labels["train"][:5].tolist() == [7, 2, 1, 0, 4]  # the first test digits of MNIST
    assert data.labels["test"].bincount(minlength=10).min() > 100


def test_nltcs() -> None:
    data = nltcs()
    assert [len(t) for t in (data.train, data.valid, data.test) if t is not None] == [16181, 2157, 3236]
    assert data.variables == Variables.binary(16)
    assert repr(data) == "Dataset(nltcs: 16,181 train, 2,157 valid, 3,236 test rows × 16 variables)"


def test_debd_from_a_folder(tmp_path: Path) -> None:
    for part, rows in (("train", "0,1\n1,1\n"), ("valid", "0,0\n"), ("test", "1,0\n")):
        written(tmp_path, f"tiny.{part}.data", rows)
    data = debd("tiny", tmp_path)
    assert data.train.tolist() == [[0, 1], [1, 1]]
    assert dataset(tmp_path / "tiny.train.data").test is not None
    with pytest.raises(DataError, match=r"no data set 'tinny'.*did you mean 'tiny'"):
        debd("tinny", tmp_path)
    with pytest.raises(DataError, match="ship with pcbench; give folder="):
        debd("plants")
    written(tmp_path, "tiny.valid.data", "0,2\n")
    with pytest.raises(DataError, match="rows of 2 zeros and ones"):
        debd("tiny", tmp_path)
    (tmp_path / "tiny.test.data").unlink()
    with pytest.raises(DataError, match=r"tiny\.test\.data is missing"):
        debd("tiny", tmp_path)


def test_unknown_names_have_a_hint() -> None:
    with pytest.raises(DataError, match="no file and no built-in data set; did you mean 'nltcs'"):
        dataset("nltsc")


def test_hold_out() -> None:
    data = mnist10k()
    apart = hold_out(data, 0.25, seed=3)
    assert apart.valid is not None
    assert (len(apart.train), len(apart.valid)) == (6000, 2000)
    assert len(apart.labels["valid"]) == 2000
    again = hold_out(data, 0.25, seed=3)
    assert again.valid is not None
    assert torch.equal(apart.valid, again.valid)
    rows = torch.cat((apart.train, apart.valid)).double() @ torch.arange(784.0, dtype=torch.float64)
    assert torch.equal(rows.sort().values, (data.train.double() @ torch.arange(784.0, dtype=torch.float64)).sort().values)
    with pytest.raises(OptionError, match="already has 2,000 validation rows"):
        hold_out(apart)
    with pytest.raises(OptionError, match="between 0 and 1, got 2"):
        hold_out(data, 2.0)


# ---- text ------------------------------------------------------------------------------------------------------------
def test_columns_become_variables(tmp_path: Path) -> None:
    table = load_table(written(tmp_path, "a.csv", "age,height,sick\n30,1.7,0\n41,1.85,1\n2,0.9,1\n"))
    assert [v.name for v in table.variables] == ["age", "height", "sick"]
    assert [v.domain for v in table.variables] == [Finite(42), Real(), Finite(2)]
    assert table.values.dtype == torch.float64
    assert table.observed is None
    assert len(table) == 3


@pytest.mark.parametrize("sign", [",", ";", "\t", " "])
@pytest.mark.parametrize("packed", [False, True])
def test_separators_and_gzip(sign: str, packed: bool, tmp_path: Path) -> None:
    text = f"a{sign}b\r\n1{sign}0\r\n\r\n0{sign}2\r\n".encode()
    table = load_table(written(tmp_path, "a.txt", gzip.compress(text) if packed else text))
    assert table.values.tolist() == [[1, 0], [0, 2]]
    assert table.values.dtype == torch.uint8
    assert [v.name for v in table.variables] == ["a", "b"]


def test_quoted_names_and_signs(tmp_path: Path) -> None:
    table = load_table(written(tmp_path, "a.csv", '\ufeff"the, first",b\n"1",-2.5\n0,1e3\n'))
    assert [v.name for v in table.variables] == ["the, first", "b"]
    assert table.values.tolist() == [[1, -2.5], [0, 1000]]


@pytest.mark.parametrize("sign", ["", "?", "NA", "nan", " "])
def test_missing_values(sign: str, tmp_path: Path) -> None:
    table = load_table(written(tmp_path, "a.csv", f"1,0\n{sign},2\n0,{sign}\n"))
    assert table.observed is not None
    assert table.observed.tolist() == [[True, True], [False, True], [True, False]]
    assert table.values.tolist() == [[1, 0], [0, 2], [0, 0]]
    assert table.missing == 2


def test_what_is_no_category(tmp_path: Path) -> None:
    table = load_table(written(tmp_path, "a.csv", "-1,99999,0.5,3\n1,5,1,0\n"))
    assert [isinstance(v.domain, Real) for v in table.variables] == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("a,b\n", "no rows of data"),
        ("a,b\n1,2\n1\n", "line 3 has 1 fields, expected 2"),
        ("a,b\n1,2\n\n1,2,3\n", "line 4 has 3 fields, expected 2"),
        ("a,b\n1,red\n", r"line 2, column 2: 'red' is not a number; write categories as 0, 1, 2"),
        ("1,2\nred,2\n", "line 2, column 1: 'red' is not a number; if this line holds names, pass header=True"),
        ("a,b\n1,inf\n", r"line 2, column 2 \('b'\): inf is not a finite number"),
        ("a,b\n1,1_000\n", "'1_000' is not a number"),
        ("a,a\n1,2\n", "two columns are called 'a'"),
    ],
)
def test_text_mistakes(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", text)
    with pytest.raises(DataError, match=message) as caught:
        load_table(path)
    assert str(path) in str(caught.value)


def test_binary_rubbish(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no text in UTF-8"):
        load_table(written(tmp_path, "a.csv", b"\xff\xfe\x00\x81"))
    with pytest.raises(DataError, match="damaged gzip file"):
        load_table(written(tmp_path, "a.csv", gzip.compress(b"1,2\n" * 99)[:-9]))
    with pytest.raises(FileNotFoundError):
        load_table(tmp_path / "nothing.csv")


def test_later_files_are_held_to_the_first(tmp_path: Path) -> None:
    train = load_table(written(tmp_path, "a.csv", "a,b\n0,1.5\n2,2.5\n"))
    good = load_table(written(tmp_path, "b.csv", "a,b\n1,7\n"), variables=train.variables)
    assert good.variables is train.variables
    cases = {
        "a,b\n1,2\n3,7\n": r"line 3, column 1 \('a'\): 3 is outside the domain 0…2",
        "a,b\n0.5,7\n": "0.5 is outside the domain",
        "a,c\n1,7\n": "column 2 is called 'c', expected 'b'",
        "a\n1\n": "1 columns, expected 2 variables",
    }
    for text, message in cases.items():
        with pytest.raises(DataError, match=message):
            load_table(written(tmp_path, "b.csv", text), variables=train.variables)


def test_constant_columns_get_a_word(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="constant columns carry no information: 'b' .always 3."):
        table = load_table(written(tmp_path, "a.csv", "a,b\n0,3\n1,3\n"))
    assert table.variables["b"].domain == Finite(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_table(written(tmp_path, "a.csv", "a,b\n0,3\n1,2\n"))


# ---- arrays ----------------------------------------------------------------------------------------------------------
def test_numpy_files(tmp_path: Path) -> None:
    numbers = np.array([[0, 1], [3, np.nan], [1, 0]])
    np.save(tmp_path / "a.npy", numbers)
    table = load_table(tmp_path / "a.npy")
    assert [v.domain for v in table.variables] == [Finite(4), Finite(2)]
    assert table.observed is not None
    assert table.observed.tolist() == [[True, True], [True, False], [True, True]]
    np.savez(tmp_path / "a.npz", train=numbers, test=numbers[:1])
    data = load_dataset(tmp_path / "a.npz")
    assert (len(data.train), data.valid, len(data.test) if data.test is not None else 0) == (3, None, 1)
    assert list(data.observed) == ["train"]
    with pytest.raises(DataError, match="holds the arrays train, test; say which one with key="):
        load_table(tmp_path / "a.npz")
    with pytest.raises(DataError, match="has no array 'tset'"):
        load_table(tmp_path / "a.npz", key="tset")


def test_arrays_of_objects_are_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[object()]]), allow_pickle=True)
    with pytest.raises(DataError, match="pickled objects are never opened"):
        load_table(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array([["x"]]))
    with pytest.raises(DataError, match="values need numbers, got dtype <U1"):
        load_table(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"got shape \[3\]"):
        load_table(tmp_path / "a.npy")
    with pytest.raises(DataError, match="cannot be read as a NumPy file"):
        load_table(written(tmp_path, "a.npz", b"PK\x03\x04rubbish"))


def test_idx(tmp_path: Path) -> None:
    path = written(tmp_path, "a", b"\0\0\x08\x03" + struct.pack(">III", 2, 1, 2) + bytes([1, 2, 3, 4]))
    assert read_idx(path).tolist() == [[[1, 2]], [[3, 4]]]
    assert load_table(path).values.tolist() == [[1, 2], [3, 4]]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"announces \[2, 1, 2\], which is 4 bytes, but 3 follow"):
        read_idx(path)
    with pytest.raises(DataError, match="no IDX file of bytes"):
        read_idx(written(tmp_path, "a", b"GIF89a"))


def test_tables_agree_with_their_variables() -> None:
    over = Variables.binary(2)
    with pytest.raises(DataError, match=r"need shape \[rows, 2\], got \[1, 3\]"):
        Table(torch.zeros(1, 3), over)
    with pytest.raises(DataError, match="observed needs shape"):
        Table(torch.zeros(1, 2), over, torch.ones(2, dtype=torch.bool))
    with pytest.raises(DataError, match="test table has other variables"):
        Dataset.of("a", Table(torch.zeros(1, 2), over), test=Table(torch.zeros(1, 2), Variables.real(2)))
    with pytest.raises(OptionError, match="there is no 'tset'"):
        nltcs().table("tset")


# ---- pictures --------------------------------------------------------------------------------------------------------
def test_png(tmp_path: Path) -> None:
    """The pixels come back by the letter of the PNG specification: signature, checked chunks, rows without a filter."""
    picture = side_by_side([torch.tensor([[0, 128], [255, 3]], dtype=torch.uint8)] * 2, gap=1)
    write_png(tmp_path / "a.png", picture, zoom=2)
    raw = (tmp_path / "a.png").read_bytes()
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(raw):
        (length,) = struct.unpack_from(">I", raw, place)
        kind, body = raw[place + 4 : place + 8], raw[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", raw, place + 8 + length)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        place += 12 + length
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (10, 4, 8, 0, 0, 0, 0)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(4, 11)
    assert (rows[:, 0] == 0).all()
    assert rows[::2, 1::2].tolist() == [[0, 128, 255, 0, 128], [255, 3, 255, 255, 3]]
    with pytest.raises(DataError, match="a picture needs shape"):
        write_png(tmp_path / "a.png", torch.zeros(3))
