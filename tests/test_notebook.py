"""The way from cells to a picture in a notebook, executed by Jupyter's kernel."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from .small_data import write_data, write_quantified

ROOT = Path(__file__).resolve().parents[1]


def execute(folder: Path, *cells: str) -> list[nbformat.NotebookNode]:
    """Run cells of code in a kernel; return their outputs, joined."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(code) for code in cells]
    client = NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(folder)}}, kernel_name="python3"
    )
    client.execute()
    return [output for cell in notebook.cells for output in cell.outputs]


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Describe this interpreter, with this package, as the kernel ``python3``."""
    from ipykernel.kernelspec import write_kernel_spec

    write_kernel_spec(
        tmp_path / "share" / "kernels" / "python3",
        overrides={"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]},
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    write_data(tmp_path)
    return tmp_path


def text_of(outputs: list[nbformat.NotebookNode]) -> str:
    return "".join(str(own.get("text", own.get("data", {}).get("text/plain"))) for own in outputs)


def test_from_cells_to_expression(kernel: Path) -> None:
    outputs = execute(
        kernel,
        "import anndata, exvae",
        'adata = anndata.read_h5ad("cells.h5ad")',
        "model = exvae.IsoformModel(adata).train(max_epochs=2)\nmodel",
        "model.annotate()\nsorted(adata.layers)",
        "import matplotlib\nmatplotlib.get_backend()",
    )
    told = text_of(outputs)
    assert "trained 2 epochs" in told
    assert "expression_normalised_log1p" in told
    assert "inline" in told


def test_an_interrupt_ends_training(kernel: Path) -> None:
    outputs = execute(
        kernel,
        "import anndata, exvae, os, signal, threading",
        # The first training loads what all others need.
        'model = exvae.IsoformModel(anndata.read_h5ad("cells.h5ad")).train(1)',
        "threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "model.train(max_epochs=1_000_000)",
        "0 < len(model.history) < 1_000_000, model.get_latent_representation().shape",
    )
    assert "(True, (24, 10))" in text_of(outputs)


DRAW = "exvae.pl.gene(adata, 'gene0', 'cell_type')"


@pytest.mark.parametrize(
    "pyplot",
    ["", "import matplotlib.pyplot as plt", "%matplotlib inline"],
    ids=["none", "import", "magic"],
)
def test_a_picture_is_shown_once(kernel: Path, pyplot: str) -> None:
    outputs = execute(
        kernel,
        f"{pyplot}\nimport anndata, exvae, sys",
        'adata = anndata.read_h5ad("expression.h5ad")',
        DRAW,
        f"figure = {DRAW}",
        f"from IPython.display import display\nfor _ in range(2): display({DRAW})",
        "'matplotlib.pyplot' in sys.modules",
    )
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) == 3
    assert text_of(outputs).endswith(str(bool(pyplot)))


def test_a_picture_on_axes_of_pyplot_is_shown_once(kernel: Path) -> None:
    outputs = execute(
        kernel,
        "import anndata, exvae, matplotlib.pyplot as plt",
        'adata = anndata.read_h5ad("expression.h5ad")',
        "axes = plt.subplots(1, 2)[1]\nexvae.pl.states(adata, ax=axes[0])",
    )
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) == 1


@pytest.mark.peers
def test_the_page_draws_a_umap(kernel: Path) -> None:
    pytest.importorskip("scanpy", reason='needs the extra "peers"')
    write_quantified(kernel)
    page = (ROOT / "docs" / "notebook.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    lines = [line for line in code.splitlines() if line]
    assert len(lines) <= 8
    outputs = execute(kernel, code.replace("GENE", "gene0"), "sorted(adata.obsm)")
    assert "X_umap" in text_of(outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
