"""Pictures of a gene show the numbers of the layers, each cell in one place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from scipy.sparse import csr_matrix

import exvae
from exvae.data.errors import DataError
from exvae.experiments.drawing.style import PALETTE, new_figure

from ...small_data import draw_cells


def dots(axis, layer: np.ndarray) -> dict[int, int]:
    """Find the cell, by its expression, at each place of the axes."""
    found = {}
    for collection in axis.collections:
        if isinstance(collection, LineCollection):
            continue
        for place, value in collection.get_offsets():
            found[round(place)] = int(np.flatnonzero(np.isclose(layer, value))[0])
    return found


def distinct(adata: AnnData) -> AnnData:
    """Make the expression of an isoform differ between all cells, so that it tells them apart."""
    adata.layers["expression"] += np.linspace(0, 0.4, adata.n_obs)[:, None]
    return adata


def test_a_place_is_one_cell_on_all_axes(adata: AnnData) -> None:
    adata = distinct(adata)
    figure = exvae.pl.gene(adata, ["gene0", "gene3"], groupby="cell_type")
    orders = [
        dots(axis, adata[:, axis.get_title(loc="left")].layers["expression"][:, 0])
        for axis in figure.axes
    ]
    assert len(orders) == 6
    assert sorted(orders[0].values()) == list(range(24))
    assert all(order == orders[0] for order in orders)
    types = [adata.obs["cell_type"].iloc[orders[0][place]] for place in range(24)]
    assert types == ["type0"] * 12 + ["type1"] * 12


def test_cells_are_sorted_by_the_total_of_the_gene(adata: AnnData) -> None:
    adata = distinct(adata)
    axis = exvae.pl.gene(adata, "gene0", groupby="cell_type", max_isoforms=1).axes[0]
    order = dots(axis, adata[:, axis.get_title(loc="left")].layers["expression"][:, 0])
    total = adata[:, adata.var["gene"] == "gene0"].layers["expression"].sum(1)
    sorted_totals = total[[order[place] for place in range(24)]]
    for group in np.split(sorted_totals, 2):
        assert (np.diff(group) >= 0).all()


def test_ends_of_bars_are_the_layers(adata: AnnData) -> None:
    figure = exvae.pl.gene(adata, "gene0", interval=(0.25, 0.975))
    for axis in figure.axes:
        (bars,) = (own for own in axis.collections if isinstance(own, LineCollection))
        own = adata[:, axis.get_title(loc="left")]
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        for column, level in enumerate((0.25, 0.975)):
            layer = np.sort(own.layers[f"expression_q{level}"][:, 0])
            np.testing.assert_allclose(np.sort(ends[:, column]), layer, rtol=1e-6)


def test_titles_are_words(adata: AnnData) -> None:
    figure = exvae.pl.gene(adata, "gene0", groupby="cell_type", max_isoforms=1)
    assert figure.get_suptitle() == (
        "gene0: 1 isoform most expressed, 2 more left out; posterior mean and 95 % interval"
    )
    assert figure.get_supylabel() == "expression (reads)"
    assert figure.axes[-1].get_xlabel() == "24 cells, sorted by cell_type and expression"
    alone = exvae.pl.gene(adata, "isoform3", interval=None)
    assert alone.get_suptitle() == "isoform3; dots are means"
    both = exvae.pl.gene(adata, ["gene0", "gene1"], max_isoforms=2)
    titles = [axis.get_title() for axis in both.axes]
    assert titles[0] == "gene0: 2 isoforms most expressed, 1 more left out"
    assert titles[2] == "gene1: 2 isoforms most expressed, 1 more left out"


def test_groups_have_one_colour_on_all_axes(adata: AnnData) -> None:
    figure = exvae.pl.gene(adata, "gene0", groupby="cell_type")
    colours = [
        {own.get_label(): tuple(own.get_facecolor()[0]) for own in axis.collections[1:]}
        for axis in figure.axes
    ]
    assert colours[0] == {"type0": to_rgba(PALETTE[0]), "type1": to_rgba(PALETTE[1])}
    assert all(own == colours[0] for own in colours)
    states = exvae.pl.states(adata, color="cell_type").axes[0]
    drawn = {own.get_label(): tuple(own.get_facecolor()[0]) for own in states.collections}
    assert drawn == colours[0]


@pytest.mark.parametrize("most", [3.0, 500.0])
def test_all_cells_are_within_the_axes(adata: AnnData, most: float) -> None:
    for name in [name for name in adata.layers if name.startswith("expression")]:
        adata.layers[name] *= most / adata.layers["expression_q0.975"].max()
    for axis in exvae.pl.gene(adata, "gene0").axes:
        low, high = axis.get_ylim()
        for own in axis.collections[1:]:
            values = own.get_offsets()[:, 1]
            assert low < values.min()
            assert values.max() < high


def test_usage_is_the_share_of_all_reads_of_a_group(adata: AnnData) -> None:
    figure = exvae.pl.usage(adata, "gene0", groupby="cell_type")
    (axis,) = figure.axes
    own = adata[:, adata.var["gene"] == "gene0"]
    for bars in axis.containers:
        column = own.var_names.get_loc(bars.get_label())
        for bar, name in zip(bars, ("type0", "type1"), strict=True):
            reads = own.layers["expression"][adata.obs["cell_type"] == name]
            share = reads[:, column].sum() / reads.sum()
            assert bar.get_width() == pytest.approx(share, rel=1e-5)
    ends = [bar.get_x() + bar.get_width() for bar in axis.containers[-1]]
    assert ends == pytest.approx([1.0, 1.0])


def test_usage_needs_genes_with_isoforms(adata: AnnData) -> None:
    with pytest.raises(DataError, match="'isoform3' is an isoform; give its gene, 'gene1'"):
        exvae.pl.usage(adata, "isoform3")
    genes = adata[:, :8].copy()
    genes.var = pd.DataFrame({"gene_name": list("abcdefgh")}, index=[f"gene{n}" for n in range(8)])
    for name in ("gene0", "a"):
        with pytest.raises(DataError, match="var has no column gene.*usage is not known"):
            exvae.pl.usage(genes, name)


def test_a_group_without_the_gene_is_said_not_to_express_it(adata: AnnData) -> None:
    adata.layers["expression"][adata.obs["cell_type"] == "type1"] = 0.0
    (axis,) = exvae.pl.usage(adata, "gene0", groupby="cell_type").axes
    told = [text.get_text() for text in axis.texts]
    assert told[1] == "not expressed"
    assert told[0].endswith(" reads")


def summary() -> pd.DataFrame:
    """Make a table as of ``group_summary``."""
    table = pd.DataFrame({"group": ["b", "a", "b", "a"], "isoform": ["i", "i", "j", "j"]})
    table["mean"] = [5.0, 4.0, 30.0, 20.0]
    return table.assign(gene="g", low=table["mean"] - 2, high=table["mean"] + 3, cells=[7, 3] * 2)


def test_a_table_of_groups_is_drawn_as_it_is() -> None:
    (axis,) = exvae.pl.groups(summary(), "g").axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["j", "i"]
    lines = [own for own in axis.collections if isinstance(own, LineCollection)]
    ends = [segment[:, 0].tolist() for own in lines for segment in own.get_segments()]
    assert ends == [[18.0, 23.0], [2.0, 7.0], [28.0, 33.0], [3.0, 8.0]]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a (3)", "b (7)"]
    assert axis.get_title() == "g: 2 isoforms; means of groups of cells and intervals"
    one = exvae.pl.groups(summary(), "g", max_isoforms=1).axes[0]
    assert one.get_title().startswith("g: 1 isoform most expressed, 1 more left out;")


def test_unit_and_interval_of_a_summary_are_told() -> None:
    model = exvae.IsoformModel(draw_cells(), latent_size=3).train(1)
    for library_size, unit in (
        ("observed", "reads"),
        (1e4, "reads of 10,000"),
        (5.5, "reads of 5.5"),
    ):
        table = model.group_summary("cell_type", library_size=library_size, num_samples=2)
        (axis,) = exvae.pl.groups(table, "gene1").axes
        assert axis.get_title().endswith("means of groups of cells and 95 % intervals")
        assert axis.get_xlabel() == f"mean expression ({unit})"


def test_a_table_of_genes_is_drawn() -> None:
    table = summary().iloc[:2].drop(columns="isoform")
    assert exvae.pl.groups(table, "g").axes[0].get_title().startswith("g; means")
    with pytest.raises(DataError, match="no gene or isoform 'gg'; the nearest: g"):
        exvae.pl.groups(table, "gg")
    with pytest.raises(DataError, match="no column 'cells'"):
        exvae.pl.groups(table.drop(columns="cells"), "g")


def test_intervals_of_groups_cover_the_mean_of_the_population() -> None:
    """Both the variation between cells and the error of each widen the intervals."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(300):
        truth = rng.gamma(25.0, 2.0, (40, 1))
        sd = np.full((40, 1), 15.0)
        # Shrunken towards the mean as posterior means are.
        gain = 100.0 / (100.0 + 225.0)
        observed = 50.0 + gain * (truth + rng.normal(0, sd) - 50.0)
        posterior = np.full_like(sd, np.sqrt(gain * 225.0))
        cells = AnnData(
            var=pd.DataFrame(index=["i"]),
            obs=pd.DataFrame(index=[str(n) for n in range(40)]),
            layers={"expression": observed, "expression_sd": posterior},
        )
        (axis,) = exvae.pl.groups(cells, "i").axes
        (low, _), (high, _) = axis.collections[0].get_segments()[0]
        inside += low < 50.0 < high
    assert inside / 300 > 0.9


def test_intervals_show_layers_estimates_and_bootstraps(adata: AnnData) -> None:
    figure = exvae.pl.intervals(adata, "gene0", cells=["cell5", "cell2"])
    for axis in figure.axes:
        own = adata[["cell5", "cell2"], axis.get_title()]
        wide, narrow = axis.collections
        for bars, levels in ((wide, (0.025, 0.975)), (narrow, (0.25, 0.75))):
            ends = np.array([segment[:, 0] for segment in bars.get_segments()])
            layers = np.hstack([own.layers[f"expression_q{level}"] for level in levels])
            np.testing.assert_allclose(ends, layers, rtol=1e-6)
        *bootstraps, estimate, mean = (line.get_xdata() for line in axis.lines)
        np.testing.assert_array_equal(estimate, own.X.toarray()[:, 0])
        np.testing.assert_array_equal(mean, own.layers["expression"][:, 0])
        for number, values in enumerate(bootstraps, start=1):
            np.testing.assert_array_equal(values, own.layers[f"infRep{number}"].toarray()[:, 0])
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["cell5", "cell2"]
    with pytest.raises(DataError, match="no cell 'cell25'; the nearest: cell"):
        exvae.pl.intervals(adata, "gene0", cells=["cell25"])


@pytest.mark.parametrize("bootstraps", [True, False])
@pytest.mark.parametrize("target", [None, 1e4, "log"])
def test_transformed_estimates_are_left_out_of_intervals(
    adata: AnnData, bootstraps: bool, target: float | str | None
) -> None:
    if not bootstraps:
        for number in range(1, 5):
            del adata.layers[f"infRep{number}"]
    counts = adata.X.copy()
    if target == "log":
        adata.X = counts.log1p()
    elif target is not None:
        adata.X = csr_matrix(counts.multiply(target / counts.sum(1)))
    figure = exvae.pl.intervals(adata, "gene0")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert ("estimate" in legend) == (target is None)
    assert ("X holds no reads" in figure.get_suptitle()) == (target is not None)
    assert ("bootstraps" in legend) == bootstraps


def test_logarithms_are_not_drawn_as_means(adata: AnnData) -> None:
    means = AnnData(
        adata.layers["expression"].copy(),
        obs=adata.obs,
        var=adata.var,
        # Of a Gamma with this mean, by its shape.
        layers={"expression_log1p": np.log(adata.layers["expression"] * 0.98 + 1)},
    )
    exvae.pl.gene(means, "gene0", interval=None)
    means.X = np.log1p(means.X)
    with pytest.raises(DataError, match="X no longer holds the posterior means"):
        exvae.pl.gene(means, "gene0", interval=None)


def test_cells_are_chosen_over_the_whole_range(adata: AnnData) -> None:
    axis = exvae.pl.intervals(adata, "gene0").axes[0]
    total = adata[:, adata.var["gene"] == "gene0"].layers["expression"].sum(1)
    names = [text.get_text() for text in axis.get_yticklabels()]
    assert len(names) == 12
    chosen = total[adata.obs_names.get_indexer(names)]
    assert (chosen[0], chosen[-1]) == (total.max(), total.min())
    assert (np.diff(chosen) <= 0).all()


def test_axes_of_others_are_drawn_on_and_returned(adata: AnnData) -> None:
    for draw in (exvae.pl.usage, exvae.pl.groups):
        _, ((left, right),) = new_figure(1, 2)
        assert draw(adata, "gene0", "cell_type", ax=right) is right
        assert not left.has_data()
        assert isinstance(draw(adata, "gene0", "cell_type"), Figure)
