"""Isoform models in memory: states, expression, and their folder."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import exvae
from exvae.data.errors import DataError
from exvae.data.genes import Genes
from exvae.data.h5ad.reading import read_cells
from exvae.experiments.isoform_model import IsoformModel
from exvae.experiments.isoforms import differences, evaluation
from exvae.experiments.isoforms.expression import usage_layers
from exvae.experiments.isoforms.groups import Grouping

from ..small_data import NUM_CELLS, NUM_GENES, draw_cells

NUM_ISOFORMS = 24
KINDS = ("effective-reads", "paper", "scvi")


@pytest.fixture(scope="module")
def adata() -> anndata.AnnData:
    cells = draw_cells()
    cells.var["effective_length"] = np.linspace(200.0, 2000.0, cells.n_vars)
    return cells


@pytest.fixture(scope="module")
def model(adata: anndata.AnnData) -> IsoformModel:
    return IsoformModel(adata, batch_key="batch", latent_size=3).train(4)


def test_states_are_those_of_the_guide(model: IsoformModel, adata: anndata.AnnData) -> None:
    mean, sd = model.get_latent_representation(return_sd=True)
    cells = read_cells(adata, "batch")
    fit = model._trained()
    source = fit.source(fit.conform(cells))
    batch = source.batch(np.arange(NUM_CELLS))
    posterior = model.guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)["z"]
    np.testing.assert_allclose(mean, posterior.mean[:, 0].detach(), rtol=1e-5)
    np.testing.assert_allclose(sd, posterior.stddev[:, 0].detach(), rtol=1e-5)


def test_genes_are_sums_of_the_same_draws(model: IsoformModel) -> None:
    isoforms = model.get_expression(library_size=1e4, seed=3)
    genes = model.get_expression(library_size=1e4, seed=3, level="gene")
    assert genes.shape == (NUM_CELLS, NUM_GENES)
    summed = isoforms.T.groupby(model.features()["gene"]).sum().T
    np.testing.assert_allclose(genes, summed[genes.columns], rtol=1e-4)
    np.testing.assert_allclose(genes.sum(axis=1), 1e4, rtol=1e-5)
    codes = model.module.gene_codes
    draws = np.concatenate(list(model._draws(model._own_cells(), 10, 3)), 1)
    sums = np.stack([draws[..., codes == code].sum(-1) for code in range(NUM_GENES)], -1)
    found = model.get_expression(level="gene", return_sd=True, seed=3)
    np.testing.assert_allclose(found.layers["expression_sd"], sums.std(0, ddof=1), rtol=1e-3)


def test_expression_sums_to_the_reads_of_a_cell_and_to_those_that_dropout_hid() -> None:
    cells = draw_cells()
    absent = cells.X.toarray() == 0
    kinds = {"own": {}, "bare": {"model": "scvi", "dropout": "none"}, "scvi": {"model": "scvi"}}
    hidden = {}
    for name, options in kinds.items():
        found = IsoformModel(cells, **options).train(10).get_expression().to_numpy()
        hidden[name] = found[absent].sum() / cells.X.sum()
        assert found.sum() / cells.X.sum() - hidden[name] == pytest.approx(1.0, abs=0.02)
    assert hidden["scvi"] > 1.5 * max(hidden["own"], hidden["bare"])


def test_transcripts_per_million_divide_by_length(
    model: IsoformModel, adata: anndata.AnnData
) -> None:
    reads = model.get_expression(seed=1, num_samples=50)
    tpm = model.get_expression(seed=1, num_samples=50, library_size="tpm")
    np.testing.assert_allclose(tpm.sum(axis=1), 1e6, rtol=1e-5)
    per_base = reads / adata.var["effective_length"].to_numpy()
    expected = per_base.div(per_base.sum(axis=1), axis=0) * 1e6
    assert np.median(np.abs(np.log(tpm / expected))) < 0.02
    bare = adata.copy()
    del bare.var["effective_length"]
    with pytest.raises(DataError, match="no effective_length"):
        model.get_expression(bare, library_size="tpm")
    means = model.group_summary("cell_type", library_size="tpm", num_samples=2)
    assert means.attrs == {"interval": (0.025, 0.975), "unit": "transcripts per million"}


def test_quantiles_and_chosen_genes(model: IsoformModel) -> None:
    chosen = model.get_expression(genes=["gene3", "gene1"], quantiles=[0.1, 0.9], return_sd=True)
    assert sorted(set(chosen.var["gene"])) == ["gene1", "gene3"]
    low, high = (chosen.layers[f"expression_q{level}"] for level in (0.1, 0.9))
    assert (low <= high).all()
    assert ((low <= chosen.X) & (high >= chosen.X)).mean() > 0.9
    whole = model.get_expression()
    np.testing.assert_array_equal(chosen.X, whole[chosen.var_names])
    one = model.get_expression(isoforms=["isoform5"])
    np.testing.assert_array_equal(one["isoform5"], whole["isoform5"])
    with pytest.raises(DataError, match="no gene 'gene99'"):
        model.get_expression(genes=["gene99"])
    with pytest.raises(ValueError, match="isoforms selects isoforms, but level is gene"):
        model.get_expression(isoforms=["isoform5"], level="gene")


def test_transform_batch_moves_cells_of_other_batches_only(model: IsoformModel) -> None:
    own = model.get_expression(seed=2)
    there = model.get_expression(seed=2, transform_batch="batch1")
    batches = model._own_cells().batches
    np.testing.assert_allclose(there[batches == 1], own[batches == 1], rtol=1e-5)
    moved = (there / own)[batches == 0].to_numpy()
    assert np.abs(np.log(moved)).max() > 1e-3
    with pytest.raises(DataError, match="transform_batch is 'x'; choose one of 'batch0', 'batch1'"):
        model.get_expression(transform_batch="x")


def test_transform_batch_multiplies_by_the_ratio_of_means() -> None:
    model = IsoformModel(draw_cells(), batch_key="batch").train(1)
    with torch.no_grad():
        table = model.module.decoder.batches[0].weight
        for own in model.module.decoder.batches:
            own.weight.zero_()
        assert table.abs().sum() == 0
    own = model.get_expression(seed=2)
    np.testing.assert_allclose(model.get_expression(seed=2, transform_batch="batch1"), own)


def test_isoforms_are_selected_by_name(model: IsoformModel, adata: anndata.AnnData) -> None:
    more = anndata.concat(
        [
            adata[:, ::-1],
            anndata.AnnData(
                np.ones((NUM_CELLS, 1)),
                adata.obs,
                layers={name: np.ones((NUM_CELLS, 1)) for name in adata.layers},
            ),
        ],
        axis=1,
        merge="first",
    )
    more.var_names = [*adata.var_names[::-1], "stranger"]
    np.testing.assert_array_equal(model.get_expression(more), model.get_expression())
    np.testing.assert_array_equal(
        model.get_latent_representation(more), model.get_latent_representation()
    )
    with pytest.raises(DataError, match="lacks 1 of the 24 isoforms of the fit, among them"):
        model.get_expression(adata[:, 1:].copy())


def test_unseen_batches_are_named_or_averaged(model: IsoformModel, adata: anndata.AnnData) -> None:
    new = adata.copy()
    new.obs["batch"] = ["batch1"] * 12 + ["later"] * 12
    with pytest.raises(DataError, match="batch 'later' is not in the fit"):
        model.get_expression(new)
    states = model.get_latent_representation(new, new_batches="average")
    parts = []
    for name in ("batch0", "batch1"):
        known = adata.copy()
        known.obs["batch"] = pd.Categorical([name] * NUM_CELLS, ["batch0", "batch1"])
        parts.append(model.get_latent_representation(known))
    np.testing.assert_allclose(states[:12], parts[1][:12], rtol=1e-5)
    np.testing.assert_allclose(states[12:], np.mean(parts, 0)[12:], rtol=1e-4, atol=1e-6)
    expression = model.get_expression(new, new_batches="average", num_samples=40)
    assert np.isfinite(expression).all(axis=None)
    with pytest.raises(ValueError, match="new_batches is 'all'"):
        model.get_expression(new, new_batches="all")


@pytest.mark.parametrize("kind", KINDS)
def test_posterior_samples_are_replicates(adata: anndata.AnnData, kind: str) -> None:
    model = IsoformModel(adata, model=kind).train(1)
    samples = model.posterior_samples(n=60)
    assert list(samples.layers) == [f"infRep{number + 1}" for number in range(60)]
    drawn = np.stack(list(samples.layers.values()))
    assert not np.array_equal(drawn[0], drawn[1])
    expected = model.get_expression(return_sd=True)
    error = drawn.std(0) / np.sqrt(60)
    assert (np.abs(drawn.mean(0) - expected.X) <= 5 * error + 0.05).mean() > 0.98
    genes = model.posterior_samples(n=3, level="gene")
    assert genes.shape == (NUM_CELLS, NUM_GENES)
    with pytest.raises(ValueError, match="n is 0"):
        model.posterior_samples(n=0)


def test_usage_is_the_share_of_the_genes_draws(model: IsoformModel) -> None:
    usage = model.get_usage(return_sd=True, quantiles=[0.25, 1.0], seed=3)
    codes = model.module.gene_codes.numpy()
    draws = np.concatenate(list(model._draws(model._own_cells(), 10, 3)), 1).astype(float)
    shares = draws / np.stack([draws[..., codes == code].sum(-1) for code in codes], -1)
    np.testing.assert_allclose(usage.X, shares.mean(0), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(usage.layers["usage_sd"], shares.std(0), rtol=1e-3, atol=1e-6)
    for level in (0.25, 1.0):
        expected = np.quantile(shares, level, axis=0)
        found = usage.layers[f"usage_q{level:g}"]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    chosen = model.get_usage(genes=["gene3"], seed=3)
    assert chosen.shape == (NUM_CELLS, 3)
    np.testing.assert_allclose(chosen.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_array_equal(chosen, usage[:, chosen.columns].X)


def test_usage_where_a_gene_is_not_expressed() -> None:
    draws = torch.tensor([[0.0, 0.0, 2.0], [1.0, 3.0, 0.0], [3.0, 3.0, 0.0]]).unsqueeze(1)
    genes = Genes(torch.tensor([0, 0, 1]), 2)
    layers = dict(usage_layers(draws, genes, [0.5]))
    torch.testing.assert_close(layers["usage"], torch.tensor([[0.375, 0.625, 1.0]]))
    torch.testing.assert_close(layers["usage_q0.5"], torch.tensor([[0.375, 0.625, 1.0]]))
    none = dict(usage_layers(draws * torch.tensor([1.0, 1.0, 0.0]), genes, [0.5]))
    assert none["usage"][0, 2].isnan() and none["usage_q0.5"][0, 2].isnan()


def test_groups_are_compared_as_by_the_commands(model: IsoformModel) -> None:
    cells = model._own_cells()
    grouping = Grouping("cell_type", "type1", "batch")
    asked = {"reference": "type1", "replicate_key": "batch"}
    pd.testing.assert_frame_equal(
        model.differential_expression("cell_type", level="gene", threshold=0.5, **asked),
        differences.differential_expression(cells, grouping, "gene", 0.5),
    )
    pd.testing.assert_frame_equal(
        model.differential_usage("cell_type", threshold=0.2, **asked),
        differences.differential_usage(cells, grouping, 0.2).table,
    )
    with pytest.raises(DataError, match="groupby must be one of cell_type, batch"):
        model.differential_expression("state")


@pytest.mark.parametrize("kind", KINDS)
def test_group_means_of_every_model(adata: anndata.AnnData, kind: str) -> None:
    model = IsoformModel(adata, model=kind).train(1)
    table = model.group_summary("cell_type", num_samples=3, library_size="observed", seed=1)
    assert (table["cells"] == NUM_CELLS // 2).all()
    assert (table["low"] <= table["high"]).all()
    pd.testing.assert_frame_equal(
        table, model.group_summary("cell_type", num_samples=3, library_size="observed", seed=1)
    )
    cells = model.get_expression(num_samples=3)
    own = cells[(adata.obs["cell_type"] == "type0").to_numpy()].mean()
    means = table[table["group"] == "type0"].set_index("isoform")["mean"]
    assert np.corrcoef(np.log1p(own), np.log1p(means[own.index]))[0, 1] > 0.95
    genes = model.group_summary("cell_type", level="gene", library_size=100, num_samples=3)
    np.testing.assert_allclose(genes.groupby("group")["mean"].sum(), 100, rtol=1e-4)
    with pytest.raises(DataError, match="groupby must be one of"):
        model.group_summary("nothing")


def test_annotate_adds_states_and_layers(model: IsoformModel, adata: anndata.AnnData) -> None:
    backwards = adata[:, ::-1].copy()
    model.annotate(backwards, quantiles=[0.1], seed=4)
    np.testing.assert_array_equal(backwards.obsm["X_exvae"], model.get_latent_representation())
    own = model.get_expression(seed=4, return_sd=True)[:, backwards.var_names]
    layer = backwards.layers["expression"].toarray()
    # Rounded to less than the Monte Carlo error, and zero where reads are improbable.
    rounding = np.maximum(own.layers["expression_sd"] / 20, 1 / 8)
    assert (np.abs(layer - own.X) <= rounding)[layer > 0].all()
    assert (own.X[layer == 0] < 1).all()
    assert {"expression_q0.1", "expression_normalised_log1p"} <= set(backwards.layers)
    stranger = adata.copy()
    stranger.var_names = ["x", *stranger.var_names[1:]]
    with pytest.raises(DataError, match="adata has 1 isoforms that the model does not know"):
        model.annotate(stranger)
    others = adata[:, :2].copy()
    others.var_names = ["x", "y"]
    more = anndata.concat([adata, others], axis=1, merge="first")
    with pytest.raises(DataError, match=r"has 2 isoforms.*such as x; .*model.features\(\).index"):
        model.annotate(more)
    selected = more[:, model.features().index].copy()
    model.annotate(selected, quantiles=[0.1], seed=4)
    assert (selected[:, backwards.var_names].layers["expression"] != layer).sum() == 0


def test_messages_name_arguments_of_python(model: IsoformModel, tmp_path: Path) -> None:
    for arguments, message in (
        ({"quantiles": [1.5]}, "^quantiles holds 1.5; give probabilities between 0 and 1$"),
        ({"library_size": -1}, "^library_size is -1; give a positive number or tpm$"),
    ):
        with pytest.raises(DataError, match=message):
            model.export(tmp_path / "out.h5ad", **arguments)
    with pytest.raises(DataError, match="its folder does not exist; make it or choose another pl"):
        model.export(tmp_path / "missing" / "out.h5ad")


def test_evaluation_is_that_of_the_command(model: IsoformModel, adata: anndata.AnnData) -> None:
    expected = evaluation.evaluate(model._trained(), read_cells(adata, "batch"), seed=7)
    assert model.evaluate(seed=7) == expected


def test_saved_models_load_with_and_without_cells(
    model: IsoformModel, adata: anndata.AnnData, tmp_path: Path
) -> None:
    model.save(tmp_path / "fit")
    IsoformModel(adata, latent_size=2).train(1).save(tmp_path / "other")
    with pytest.raises(DataError, match="holds a fit already; .*overwrite=True"):
        model.save(tmp_path / "other")
    model.save(tmp_path / "other", overwrite=True)
    assert repr(exvae.load(tmp_path / "other")) == repr(model)
    loaded = exvae.load(tmp_path / "fit", adata)
    assert repr(loaded) == repr(model)
    pd.testing.assert_frame_equal(loaded.history, model.history)
    pd.testing.assert_frame_equal(loaded.get_expression(), model.get_expression())
    bare = exvae.load(tmp_path / "fit")
    np.testing.assert_array_equal(
        bare.get_latent_representation(adata), model.get_latent_representation()
    )
    with pytest.raises(DataError, match="was loaded without cells; give adata"):
        bare.get_expression()
    bare.save(tmp_path / "again")
    assert repr(exvae.load(tmp_path / "again")) == repr(model)


def test_a_class_of_ones_own_is_saved_by_name(adata: anndata.AnnData, tmp_path: Path) -> None:
    from exvae.models.isoforms import EffectiveReadIsoforms

    model = IsoformModel(adata, model=EffectiveReadIsoforms).train(1)
    model.save(tmp_path / "fit")
    loaded = exvae.load(tmp_path / "fit", adata)
    assert loaded._trained().config["model"]["model"] == (
        "exvae.models.isoforms:EffectiveReadIsoforms"
    )


def test_labels_and_order_are_those_that_the_cells_have_now(adata: anndata.AnnData) -> None:
    own = adata.copy()
    model = IsoformModel(own, latent_size=3).train(2)
    before = model.get_latent_representation()
    own.obs["half"] = ["a", "b"] * 12
    assert set(model.group_summary("half")["group"]) == {"a", "b"}
    own.obs["number"] = [0, 1] * 12
    assert set(model.differential_expression("number", reference=1)["group"]) <= {"0"}
    own.obs["half"] = ["c", "d"] * 12
    assert set(model.group_summary("half")["group"]) == {"c", "d"}
    own._inplace_subset_obs(own.obs_names[::-1][:20])
    states = model.get_latent_representation()
    np.testing.assert_allclose(states, before[::-1][:20], rtol=1e-4, atol=1e-6)


def test_columns_of_text_may_lack_values(adata: anndata.AnnData) -> None:
    own = adata.copy()
    own.obs["note"] = np.array(["x", np.nan, None] * 8, dtype=object)
    model = IsoformModel(own, latent_size=3).train(1)
    assert set(model.group_summary("note")["group"]) == {"x"}
    assert model.get_latent_representation(own).shape == (NUM_CELLS, 3)
    assert own.obs["note"].dtype == object


def test_a_name_alone_chooses_one_gene(model: IsoformModel) -> None:
    assert model.get_expression(genes="gene3").shape == (NUM_CELLS, 3)


def test_the_truth_may_be_a_file_and_cells_are_checked(tmp_path: Path) -> None:
    simulated = draw_cells()
    simulated.layers["expected_counts"] = simulated.X.toarray()
    simulated.write_h5ad(tmp_path / "cells.h5ad")
    model = IsoformModel(tmp_path / "cells.h5ad").train(1)
    assert 0 <= model.evaluate(truth=tmp_path / "cells.h5ad")["coverage"]["0.95"] <= 1
    assert len(model.check(replicates=2).verdicts) > 3
