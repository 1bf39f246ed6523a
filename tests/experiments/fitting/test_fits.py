"""A fit on disk: what is refused, what must not change, and what checkpoints must hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from exvae.data.errors import DataError, DataWarning
from exvae.data.files import UNFINISHED
from exvae.experiments.fitting import fits
from exvae.experiments.isoforms.settings import IsoformConfig

# What must not change when a fit goes on

DESCRIPTION = {
    "kind": "lda",
    "model": {"num_topics": 4, "guide": "exchangeable", "pooling": "mean", "options": {}},
    "training": {
        **{"epochs": 2, "batch_size": 8, "device": "cpu", "learning_rate": 0.1, "seed": 0},
        "patience": 0,
    },
    "split": {"seed": 1, "test_fraction": 0.1, "val_fraction": 0.1},
    "data": {
        **{"source": "here", "fingerprint": "abc"},
        **{"training_documents": 9, "vocabulary_size": 2},
    },
}


def changed(part: str, key: str) -> dict:
    value = DESCRIPTION[part][key]
    another = "another" if isinstance(value, str) else value + 1
    return {**DESCRIPTION, part: {**DESCRIPTION[part], key: another}}


@pytest.mark.parametrize(
    ("part", "key"),
    [("model", "pooling"), ("model", "num_topics"), ("training", "learning_rate")]
    + [("training", "seed"), ("split", "seed"), ("data", "fingerprint")],
)
def test_a_fit_goes_on_as_it_was_begun(tmp_path: Path, part: str, key: str) -> None:
    fits.write_config(tmp_path, DESCRIPTION)
    fits.check_same_fit(tmp_path, DESCRIPTION)
    with pytest.raises(DataError, match=f"begun with {key}"):
        fits.check_same_fit(tmp_path, changed(part, key))


@pytest.mark.parametrize(
    ("part", "key"), [("training", "epochs"), ("training", "device"), ("data", "source")]
)
def test_where_and_how_long_may_change(tmp_path: Path, part: str, key: str) -> None:
    fits.write_config(tmp_path, DESCRIPTION)
    fits.check_same_fit(tmp_path, changed(part, key))


def test_a_fit_of_another_kind_is_refused(tmp_path: Path) -> None:
    fits.write_config(tmp_path, DESCRIPTION)
    assert fits.read_config(tmp_path) == fits.read_config(tmp_path, "lda") == DESCRIPTION
    with pytest.raises(DataError, match="fit of 'lda', not of 'isoforms'"):
        fits.read_config(tmp_path, "isoforms")


def test_words_are_read_as_they_were_written(tmp_path: Path) -> None:
    words = ["a b", "", "é", ""]
    fits.write_vocabulary(tmp_path, words, "words.txt")
    assert fits.read_vocabulary(tmp_path, "words.txt") == words


def test_metrics_are_read_as_they_were_written(tmp_path: Path) -> None:
    losses = np.random.default_rng(0).uniform(1, 50, 100).tolist()
    fits.write_metrics(tmp_path, [{"epoch": i, "loss": loss} for i, loss in enumerate(losses)])
    assert fits.read_metrics(tmp_path)["loss"].tolist() == losses


# Folders


def begin(
    folder: Path,
    description: dict = DESCRIPTION,
    *,
    words: dict[str, list[str]] | None = None,
    resume: bool = False,
) -> None:
    with fits.begun(folder, description, words or {}, resume=resume):
        pass


def test_a_folder_is_free_or_holds_the_fit_to_resume(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "fit"
    fits.check_folder(folder, resume=False)
    with pytest.raises(DataError, match="holds no fit to resume"):
        fits.check_folder(folder, resume=True)
    begin(folder, words={"words.txt": ["a", "b"]})
    assert fits.read_config(folder) == DESCRIPTION
    assert fits.read_vocabulary(folder, "words.txt") == ["a", "b"]
    # Nothing was trained yet, so that the fit can be begun again, as another one.
    with pytest.raises(DataError, match="holds no fit to resume"):
        fits.check_folder(folder, resume=True)
    begin(folder, changed("model", "num_topics"))
    fits.write_checkpoint(folder, {})
    fits.check_folder(folder, resume=True)
    with pytest.raises(DataError, match="holds a fit already"):
        fits.check_folder(folder, resume=False)


def test_a_folder_with_a_configuration_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(DataError, match="config.json that is not of a fit"):
        begin(tmp_path)
    assert (tmp_path / "config.json").read_text() == '{"model_type": "bert"}'


def test_two_fits_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    with fits.begun(tmp_path, DESCRIPTION, {}, resume=False):
        before = (tmp_path / "config.json").read_bytes()
        with pytest.raises(DataError, match="another process writes to it"):
            begin(tmp_path, changed("model", "num_topics"))
        assert (tmp_path / "config.json").read_bytes() == before
    begin(tmp_path)


def test_what_goes_on_is_described_anew_if_it_is_the_same(tmp_path: Path) -> None:
    begin(tmp_path)
    fits.write_checkpoint(tmp_path, {})
    with pytest.raises(DataError, match="begun with num_topics 4, not 5"):
        begin(tmp_path, changed("model", "num_topics"), resume=True)
    assert fits.read_config(tmp_path) == DESCRIPTION
    begin(tmp_path, changed("training", "epochs"), resume=True)
    assert fits.read_config(tmp_path) == changed("training", "epochs")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file/fit: cannot be made"):
        begin(tmp_path / "file" / "fit")


# Configurations and checkpoints


def test_a_configuration_is_made_of_what_was_written(tmp_path: Path) -> None:
    config = {"model": {"model": "scvi", "options": {"latent_size": 3}}}
    found = fits.config_of(IsoformConfig, tmp_path, config)
    assert found == IsoformConfig("scvi", options={"latent_size": 3})


@pytest.mark.parametrize(
    ("versions", "named"),
    [({"versions": {"exvae": "0.0.9"}}, "exvae 0.0.9"), ({}, "exvae another version")],
)
def test_a_configuration_of_another_version_is_refused(
    tmp_path: Path, versions: dict, named: str
) -> None:
    config = {"model": {"model": "scvi", "zeros": "atom"}, **versions}
    with pytest.raises(DataError, match=f"{tmp_path}: .* of {named} .*'zeros'.*; fit again"):
        fits.config_of(IsoformConfig, tmp_path, config)


def modules() -> dict[str, nn.Module]:
    return {"model": nn.Linear(3, 2), "guide": nn.LayerNorm(4)}


def test_modules_are_loaded_as_they_were_saved(tmp_path: Path) -> None:
    saved, loaded = modules(), modules()
    for parameter in [own for module in saved.values() for own in module.parameters()]:
        nn.init.normal_(parameter)
    fits.write_checkpoint(tmp_path, {name: own.state_dict() for name, own in saved.items()})
    fits.load_modules(tmp_path, torch.device("cpu"), loaded)
    for name, module in loaded.items():
        assert not module.training
        for key, value in saved[name].state_dict().items():
            assert torch.equal(module.state_dict()[key], value)


@pytest.mark.parametrize(
    ("part", "change", "reason"),
    [
        ("model", {"weight": None}, "weight is not in the checkpoint"),
        ("model", {"bias": torch.ones(5)}, r"bias has shape \(5,\), not \(2,\)"),
        ("guide", {"scale": torch.ones(4)}, "scale is no longer there"),
        ("guide", {"weight": None, "bias": None}, "weight is not in the checkpoint"),
    ],
)
def test_a_checkpoint_of_other_modules_is_refused(
    tmp_path: Path, part: str, change: dict, reason: str
) -> None:
    state = {name: dict(module.state_dict()) for name, module in modules().items()}
    state[part] |= change
    state[part] = {name: value for name, value in state[part].items() if value is not None}
    fits.write_checkpoint(tmp_path, state)
    fresh = modules()
    kind = type(fresh[part]).__name__
    message = rf"{tmp_path}: its {part} does not fit {kind} as it is now \({reason}\); restore"
    with pytest.raises(DataError, match=message):
        fits.load_modules(tmp_path, torch.device("cpu"), fresh)


def test_a_checkpoint_without_a_guide_is_refused(tmp_path: Path) -> None:
    fits.write_checkpoint(tmp_path, {"model": modules()["model"].state_dict()})
    with pytest.raises(DataError, match="its guide does not fit LayerNorm"):
        fits.load_modules(tmp_path, torch.device("cpu"), modules())


@pytest.mark.parametrize("name", [fits.CHECKPOINT, fits.METRICS])
def test_a_fit_that_goes_on_clears_what_a_killed_one_left(name: str, tmp_path: Path) -> None:
    """It may have no more to write, as the last checkpoint was whole."""
    fits.save(tmp_path, DESCRIPTION, {}, [], {"progress": {}}, overwrite=False)
    left = tmp_path / f".{name}.{'0' * 16}{UNFINISHED}"
    left.mkdir()
    with (
        pytest.warns(DataWarning, match="was left by a process that was killed; it is removed"),
        fits.begun(tmp_path, DESCRIPTION, {}, resume=True),
    ):
        assert not left.exists()
