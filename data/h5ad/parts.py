"""Parts of an ``.h5ad`` of cells: tables, matrices and all else, whose structure is checked."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from ..cells import STATISTICS
from ..errors import DataError, DataWarning
from .elements import as_text, is_number
from .opening import GIVE_CELLS
from .stored_rows import DamagedMatrix, StoredRows

if TYPE_CHECKING:
    import h5py

    from .replicates import ReplicateRows

_BOOTSTRAP = re.compile(r"infRep(\d+)")
# Share of isoforms without a gene, as spike-ins are, that is no surprise.
_FEW = 0.2


class CellParts:
    """Parts of one file, and their structure.

    Parameters
    ----------
    path
        For messages.
    file
        The open file.
    gene_key
        Column of ``var`` with the gene of each isoform; None takes ``gene`` or, as tximeta calls
        it, ``gene_id``.

    Attributes
    ----------
    obs, var
        Tables of cells and of isoforms, a row for each; genes are in the column ``gene`` of ``var``
        whatever their name in the file.
    names, isoforms
        Their names, strings.
    layers
        Names of all layers.
    bootstraps
        Names of the layers of bootstraps, in their order.
    has_statistics
        Whether the sufficient statistics are among the layers.

    Raises
    ------
    DataError
        If ``obs`` or ``var`` is missing or damaged, or has no distinct names, or ``var`` no such
        column.
    """

    def __init__(self, path: Path, file: h5py.File, gene_key: str | None = None) -> None:
        self.path = path
        self.file = file
        self.gene_key = gene_key
        self._matrices: dict[str, StoredRows | ReplicateRows] = {}
        self.obs = self._table("obs")
        self.var = self._table("var")
        self._name_genes()
        self.names = self.obs.index.to_numpy().astype(np.str_)
        self.isoforms = self.var.index.to_numpy().astype(np.str_)
        self._require_distinct()
        self._require_isoforms_in_var()
        self.layers = self._find_layers()
        numbers = (_BOOTSTRAP.fullmatch(name) for name in self.layers)
        matches = sorted(filter(None, numbers), key=lambda match: int(match[1]))
        self.bootstraps = tuple(match[0] for match in matches)
        self.has_statistics = all(name in self.layers for name in STATISTICS)
        if self.has("X"):  # a truth has none
            self._matrix("X")
        for name in self.layers:
            self._matrix(f"layers/{name}")

    def _name_genes(self) -> None:
        """Give ``var`` the column ``gene``, if the file has genes."""
        key = self.gene_key
        if key is None:
            key = next((name for name in ("gene", "gene_id") if name in self.var), None)
        elif key not in self.var:
            columns = ", ".join(map(str, self.var.columns)) or "none"
            raise self.error(
                f"var has no column {key!r}, which gene_key names; choose one of {columns}, or "
                "rename one"
            )
        if key is not None:
            genes = self.var[key]
            self.var["gene"] = pd.Categorical(as_text(genes)) if is_number(genes) else genes

    def genes(self) -> np.ndarray | None:
        """Genes of the isoforms, shape (isoforms,); an isoform without a gene is its own."""
        if "gene" not in self.var:
            return None
        names = self.var["gene"].astype(str).to_numpy()
        missing = self.var["gene"].isna() | (names == "")
        if missing.mean() > _FEW:
            warnings.warn(
                f'{self.path}: var["{self.gene_key or "gene"}"] lacks the gene of {missing.sum()} '
                f"of {len(names)} isoforms; each is taken for a gene of its own",
                DataWarning,
                stacklevel=4,
            )
        return np.where(missing, self.isoforms, names)

    def _require_isoforms_in_var(self) -> None:
        """Refuse transposed cells, whose rows are isoforms."""
        about_isoforms = {"gene", "gene_id", "gene_name", "tx_id", "tx_name"}
        about_isoforms |= {"length", "effective_length"}
        if len(about_isoforms & set(self.obs)) > 1 and not about_isoforms & set(self.var):
            raise self.error(
                "obs holds genes and lengths, so that its rows are isoforms and its columns cells; "
                "transpose it (adata.T)"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and isoforms."""
        return len(self.names), len(self.isoforms)

    def _find_layers(self) -> tuple[str, ...]:
        """Name the layers; bootstraps that lie elsewhere become layers."""
        from . import replicates
        from .elements import is_element

        stored = self.group("layers")
        names = [name for name in stored if is_element(name, stored[name])]
        made = self._made_of_abundances()
        if made is not None:
            raise self.error(
                f"its counts are made of abundances ({made}) and are no estimated counts; run "
                "pytximport with counts_from_abundance=None"
            )
        if any(_BOOTSTRAP.fullmatch(name) for name in names):
            return tuple(names)
        try:
            array = replicates.replicates_in(self.file, self.shape)
        except ValueError as error:
            raise self.error(f"uns/{replicates.NAME} cannot be read: {error}") from error
        for number in range(0 if array is None else array.shape[2]):
            names.append(f"infRep{number + 1}")
            self._matrices[f"layers/{names[-1]}"] = replicates.ReplicateRows(array, number)
        return tuple(names)

    def _made_of_abundances(self) -> str | None:
        """Tell how pytximport made ``X`` from abundances; None if ``X`` holds the estimates."""
        place = "uns/counts_from_abundance"
        made = self.element(place) if self.has(place) else None
        return None if made is None or str(made) in ("", "no") else str(made)

    def _require_distinct(self) -> None:
        """Require cells and isoforms with distinct names."""
        if 0 in self.shape:
            raise self.error(f"has {self.shape[0]} cells and {self.shape[1]} isoforms")
        for what, values in (("cell", self.names), ("isoform", self.isoforms)):
            distinct, counts = np.unique(values, return_counts=True)
            if counts.max() > 1:
                twice = distinct[counts.argmax()]
                raise self.error(f"{what} {twice} occurs {counts.max()} times; make names unique")

    def error(self, message: str) -> DataError:
        """Make an error that names the file."""
        return DataError(f"{self.path}: {message}")

    def has(self, place: str) -> bool:
        """Tell whether the file has an element; DataError if it is so damaged that it cannot."""
        try:
            return place in self.file
        except Exception as error:  # of many kinds, as h5py finds its way in the file
            raise self.error(f"{place} cannot be read ({error}); write the file again") from error

    def element(self, name: str) -> Any:
        """Read a part of the file as anndata does."""
        from .elements import read_element

        with self._reading(name):
            return read_element(self.file[name])

    def group(self, name: str) -> Mapping[str, Any]:
        """Give the group of some elements, empty if there is none."""
        import h5py

        stored = self.file.get(name, {})
        if not hasattr(stored, "keys"):
            if isinstance(stored, h5py.Dataset):
                is_none = stored.shape is None
            else:
                is_none = stored.attrs.get("encoding-type") == "null"  # of a zarr store
            if is_none:
                return {}
            raise self.error(f"{name} is no group of elements; the file is damaged, write it again")
        return stored

    def copy(self, name: str, new: h5py.File) -> None:
        """Copy a group of the file, if it has this one, to another file, in standard types."""
        from . import replicates
        from .elements import copy_element

        group = self.group(name)
        if isinstance(group, dict):
            return
        with self._reading(name):
            copy_element(group, new, name, left_out=(replicates.NAME,))

    def copy_packed(self, place: str, new: h5py.File) -> bool:
        """Copy a matrix to another file as it is stored, if that is as an export stores it.

        Returns
        -------
        bool
            Whether it was copied.
        """
        matrix = self._matrix(place)
        if not (isinstance(matrix, StoredRows) and matrix.is_packed):
            return False
        parent, _, name = place.rpartition("/")
        with self._reading(place):
            self.file.copy(place, new[parent or "/"], name)
        return True

    def _table(self, name: str) -> pd.DataFrame:
        from .elements import read_table

        with self._reading(name):
            return read_table(self.file[name], self.file.get("uns"))

    @contextmanager
    def _reading(self, place: str) -> Iterator[None]:
        """Turn failures to read a part of the file into a DataError that names it."""
        if place not in self._matrices and not self.has(place):
            raise self.error(f"has no {place}; {self._remedy_for_missing(place)}")
        try:
            yield
        except DataError:
            raise
        except DamagedMatrix as error:
            raise self.error(f"{place}/{error}; the file is damaged, write it again") from error
        except MemoryError as error:
            raise self.error(
                f"{place} does not fit in memory ({error}); the file is damaged, or needs a "
                "machine with more memory"
            ) from error
        except Exception as error:  # of many kinds, as anndata and h5py find their way in the file
            raise self.error(f"{place} cannot be read ({error}); write the file again") from error

    def _remedy_for_missing(self, place: str) -> str:
        if place != "X":
            return GIVE_CELLS
        names = [name for name in self.group("layers") if "count" in name.lower()]
        where = f", perhaps those of layers[{names[0]!r}]" if names else ""
        return f"put the estimated counts (reads) there{where}"

    def _matrix(self, place: str, num_columns: int | None = None) -> StoredRows | ReplicateRows:
        """Find a matrix and check its structure."""
        if place not in self._matrices:
            with self._reading(place):
                matrix = StoredRows(self.file[place])
            shape = (len(self.names), len(self.isoforms) if num_columns is None else num_columns)
            if matrix.shape != shape:
                what = "isoforms" if num_columns is None else f"{num_columns} columns"
                raise self.error(f"{place} is no matrix of numbers, cells by {what}; put counts")
            self._matrices[place] = matrix
        return self._matrices[place]

    def layout(self, place: str) -> StoredRows | ReplicateRows:
        """Give a matrix for its layout; DataError if there is none of this shape."""
        return self._matrix(place)

    def read_rows(
        self, place: str, rows: slice, num_columns: int | None = None
    ) -> csr_matrix | np.ndarray:
        """Read some cells of a matrix, shape (rows, columns), sparse or dense as stored.

        It has as many columns as there are isoforms, or ``num_columns``.

        Raises
        ------
        DataError
            If there is no such matrix of numbers.
        """
        matrix = self._matrix(place, num_columns)
        with self._reading(place):
            return matrix[rows]
