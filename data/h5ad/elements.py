"""Elements of an ``.h5ad`` as any version of anndata, or another program, wrote them.

Attributes may be arrays of one text or bytes, tables may be compound datasets, and strings may be
nullable. Copies of them are written in the types that every reader of ``.h5ad`` knows.
"""

from __future__ import annotations

import warnings
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem, write_elem

from .growing import encode
from .stored_rows import StoredRows, is_sparse

# Attributes that are text, and those that are lists of text.
_TEXTS = ("encoding-type", "encoding-version", "_index", "h5sparse_format")
_LISTS = ("column-order",)
# Attributes of elements that contain others and nothing else.
_FOLDERS = ("", "dict", "raw")
Stored = h5py.Group | h5py.Dataset


def read_element(stored: Stored) -> Any:
    """Read an element as anndata does, after its attributes are made those that anndata writes."""
    if not isinstance(stored, Stored) or _is_plain(stored):  # anndata writes every zarr store
        return _read(stored)
    # The file is not ours to change: its copy in memory is.
    with h5py.File("element", "w", driver="core", backing_store=False) as memory:
        stored.file.copy(stored, memory, "element")
        _make_plain(memory["element"])
        return _read(memory["element"])


def read_table(stored: Stored, categories: Stored | dict | None = None) -> pd.DataFrame:
    """Read a table whose columns and names anndata can write again.

    Parameters
    ----------
    stored
        The table; a compound dataset in files of anndata before 0.7.
    categories
        The element ``uns``, which has the categories of such a table.

    Raises
    ------
    ValueError
        If the element is no table, or a row has no name.
    """
    if isinstance(stored, h5py.Dataset):
        table = _compound_table(stored, categories or {})
    else:
        table = read_element(stored)
    if not isinstance(table, pd.DataFrame):
        raise ValueError("no table")
    if table.index.isna().any():
        raise ValueError("a row without a name")
    table.index = pd.Index([str(name) for name in table.index], dtype=object, name=table.index.name)
    return storable_table(table, keep_text=True)


def storable_table(table: pd.DataFrame, *, keep_text: bool = False) -> pd.DataFrame:
    """Give a table whose columns of text every version of anndata can store.

    Columns of text become categories; with ``keep_text``, only where values are missing.
    """
    table = table.copy()
    for name in table.columns:
        column = table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            if _is_text(column.cat.categories):
                column = column.cat.rename_categories(_plain_texts(column.cat.categories))
        elif _is_text(column):
            known = column.notna()
            text = pd.Series(_plain_texts(column), table.index, dtype=object).where(known, None)
            column = text if keep_text and known.all() else pd.Categorical(text)
        table[name] = column
    return table


def is_number(column: pd.Series) -> bool:
    """Tell whether a column, or the categories of one, holds numbers."""
    return _values_of(column).dtype.kind in "iuf"


def _values_of(column: pd.Series) -> pd.Series | pd.Index:
    return column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column


def as_text(column: pd.Series) -> pd.Series:
    """Give the texts of a column; whole numbers have no decimals, whatever their type is.

    Missing values become None.

    Examples
    --------
    >>> as_text(pd.Series([1.0, 2.0])).tolist()
    ['1', '2']
    """
    is_known = column.notna().to_numpy()
    known = column[is_known]
    if _values_of(column).dtype.kind == "f":
        values = known.astype(float)
        if (values % 1 == 0).all() and (values.abs() < 2**53).all():
            known = values.astype(np.int64)
    texts = np.full(len(column), None, object)
    texts[is_known] = known.astype(str)
    return pd.Series(texts, column.index)


def _is_text(values: pd.Series | pd.Index) -> bool:
    """Tell whether values are texts, perhaps among others."""
    return values.dtype == object or isinstance(values.dtype, pd.StringDtype)


def _plain_texts(values: pd.Series | pd.Index) -> list[str]:
    return [value if type(value) is str else str(value) for value in values]


def copy_element(
    stored: Stored, parent: h5py.Group, name: str, left_out: tuple[str, ...] = ()
) -> None:
    """Copy an element to another file, part by part, in standard types.

    Parameters
    ----------
    stored
        The element.
    parent, name
        Its new place.
    left_out
        Names of parts that are not copied.
    """
    if is_sparse(stored):
        matrix = StoredRows(stored)
        write_elem(parent, name, matrix[: matrix.shape[0]])
        return
    kind = _text(stored.attrs.get("encoding-type", ""))
    if isinstance(stored, h5py.Group) and kind in _FOLDERS:
        group = parent.create_group(name)
        encode(group, kind or "dict", "0.1.0")
        for part in stored:
            if part not in left_out and is_element(part, stored[part]):
                copy_element(stored[part], group, part)
        return
    write_elem(parent, name, _storable(read_element(stored)))


def is_element(name: str, stored: object) -> bool:
    """Tell whether a member of a group is data; libraries for Java and MATLAB add types."""
    return name != "__DATA_TYPES__" and hasattr(stored, "attrs")


def _storable(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return storable_table(value, keep_text=True)
    if isinstance(getattr(value, "dtype", None), pd.StringDtype):
        return np.array(["" if text is pd.NA else text for text in value], dtype=object)
    return value


def _read(stored: Stored) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about old files, which are read all the same
        return read_elem(stored)


def _compound_table(stored: h5py.Dataset, categories: Stored | dict) -> pd.DataFrame:
    """Read a table of anndata before 0.7: the names are its first field."""
    fields = stored.dtype.names
    if not fields:
        raise ValueError("no table")
    values = stored[()]
    table = pd.DataFrame({field: list(map(_text, values[field].tolist())) for field in fields})
    table = table.set_index(fields[0])
    for field in fields[1:]:
        if f"{field}_categories" in categories:
            known = list(map(_text, np.atleast_1d(categories[f"{field}_categories"][()]).tolist()))
            table[field] = pd.Categorical.from_codes(table[field].astype(int), known)
    return table


def _is_plain(stored: Stored) -> bool:
    """Tell whether all attributes of an element and its parts are as anndata writes them."""
    own = all(isinstance(stored.attrs.get(name, ""), str) for name in _TEXTS)
    own = own and all(_is_plain_list(stored.attrs.get(name)) for name in _LISTS)
    return own and all(map(_is_plain, _parts(stored)))


def _is_plain_list(value: object) -> bool:
    if value is None:
        return True
    return np.ndim(value) == 1 and all(isinstance(each, str) for each in np.asarray(value).tolist())


def _make_plain(stored: Stored) -> None:
    """Turn attributes into those that anndata writes."""
    for name in _TEXTS:
        if name in stored.attrs:
            stored.attrs[name] = _text(stored.attrs[name])
    for name in _LISTS:
        if name in stored.attrs:
            texts = list(map(_text, np.atleast_1d(stored.attrs[name]).tolist()))
            stored.attrs[name] = np.array(texts, dtype=h5py.string_dtype())
    for part in _parts(stored):
        _make_plain(part)


def _parts(stored: Stored) -> list[Stored]:
    parts = stored.values() if isinstance(stored, h5py.Group) else ()
    return [part for part in parts if isinstance(part, Stored)]


def _text(value: Any) -> Any:
    """Give text of bytes, or of an array that holds one text; anything else as it is."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode() if isinstance(value, bytes) else value
