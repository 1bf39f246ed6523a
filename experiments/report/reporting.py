"""The function :func:`exvae.report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from ...data.arguments import listed, whole_number
from ...data.corpora import Corpus
from ...data.errors import DataError
from ...data.files import require_folder, require_regular
from ...data.h5ad.reading import open_cells
from ..checks.settings import REPLICATES
from ..isoform_model import IsoformModel
from ..loading import load
from ..topic_model import TopicModel
from .cell_pages import CellOptions, contents_of_cells
from .contents import Contents
from .page import require_libraries, write_page
from .topic_pages import contents_of_topics

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def report(
    model: IsoformModel | TopicModel | str | Path,
    data: AnnData | Corpus | str | Path | None = None,
    path: str | Path = "report.html",
    *,
    genes: Sequence[str] = (),
    groupby: str | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    trust: bool = False,
) -> dict[str, Any]:
    """Write one HTML page about a fit, which needs no network and no other file.

    Parameters
    ----------
    model
        A trained model, or the folder of a fit.
    data
        Cells, documents, or the path of either; by default those of the model, if it has them.
        Without data the page tells what was fitted and how training went.
    path
        The page; it is replaced if it exists.
    genes
        Genes that the page must hold; the genes that vary most between cells fill the rest.
    groupby
        Column of ``obs`` that groups the cells at first; by default one whose name has ``type`` in
        it, or the batches.
    replicates
        Replicates of the posterior predictive check, at least 2; 0 leaves it out.
    seed
        Seed of all draws.
    trust
        Whether classes that are not of this package, and that a folder names, may run.

    Returns
    -------
    dict
        ``out``, the page; its size in ``bytes``; for cells the number of ``genes`` on the page and
        of ``genes_left_out``.

    Raises
    ------
    DataError
        If plotly or jinja2 is missing, the data cannot be used, or the page cannot be written.

    Examples
    --------
    >>> model = exvae.IsoformModel("cells.h5ad", latent_size=5).train(max_epochs=2)
    >>> exvae.report(model, path="report.html", replicates=2)["genes"]
    8
    """
    path = Path(path)
    check_arguments(path, replicates)
    genes = listed("genes", genes, "['ENSG00000115414']")
    if isinstance(model, str | Path):
        model = load(model, trust=trust)
    options = CellOptions(genes, groupby, replicates, whole_number("seed", seed, 0))
    if isinstance(model, TopicModel):
        contents = _of_topics(model, data, options)
    else:
        contents = _of_cells(model, data, options)
    return _written(contents, path)


def _written(contents: Contents, path: Path) -> dict[str, Any]:
    """Write a page and tell its size."""
    written = {"out": str(path), "bytes": write_page(contents, path)}
    found = contents.numbers.get("genes")
    if found is None:
        return written
    return {**written, "genes": len(found["shown"]), "genes_left_out": len(found["left_out"])}


def check_arguments(path: Path, replicates: int) -> None:
    """Raise a DataError unless a page can be written to ``path``, before anything is computed."""
    require_libraries()
    require_folder(path)
    require_regular(path)
    if whole_number("replicates", replicates, 0) == 1:
        raise DataError("replicates is 1; give 0 for no check, or at least 2")


def _of_topics(
    model: TopicModel, data: Corpus | str | Path | None, options: CellOptions
) -> Contents:
    if options.genes or options.groupby is not None:
        raise DataError("genes and groupby are for cells, and the model is of topics")
    corpus = None
    if data is not None or model.corpus is not None:
        corpus = model._read(data)
    return contents_of_topics(model.fitted, model.history, corpus, options.replicates, options.seed)


def _of_cells(
    model: IsoformModel, data: AnnData | str | Path | None, options: CellOptions
) -> Contents:
    fit = model._trained()
    if data is None and model._cells is None:
        return contents_of_cells(fit, model.history, None, {}, options)
    cells = model._read(data)
    source = model._adata if data is None else data
    var = _var_of(cells.source if source is None else source)
    return contents_of_cells(fit, model.history, cells, symbols_of(cells.genes, var), options)


def _var_of(source: AnnData | str | Path) -> pd.DataFrame:
    """Table of the isoforms."""
    if isinstance(source, AnnData):
        return source.var
    with open_cells(source) as file:
        return file.var


def symbols_of(genes: np.ndarray | None, var: pd.DataFrame) -> dict[str, str]:
    """Readable name of each gene, from ``var["gene_name"]``; empty without this column.

    Parameters
    ----------
    genes
        Gene of each isoform, shape (isoforms,); None if genes are not known.
    var
        Table of the same isoforms.
    """
    if genes is None or "gene_name" not in var:
        return {}
    known = var["gene_name"].notna().to_numpy()
    return dict(zip(genes[known], var["gene_name"].astype(str).to_numpy()[known], strict=True))
