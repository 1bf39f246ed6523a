"""The training loop: resuming gives the same parameters, whatever stopped it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyro
import pytest
import torch

from exvae.data.corpora import write_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataError
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.fitting import fits
from exvae.experiments.fitting.training import LossNotFinite, TrainingConfig
from exvae.experiments.lda import fitting

from ...comparisons import assert_same


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.npz"
    write_corpus(simulate_corpus(600, 5, 200, 40, seed=1).corpus, path)
    return path


def command(corpus: Path, out: Path, *options: str) -> list[str]:
    """Fit of 12 epochs of 16 batches; one thread, so that sums are taken in one order."""
    settings = ["--topics", "5", "--epochs", "12", "--batch-size", "32", "--device", "cpu"]
    program = [sys.executable, "-m", "exvae", "lda", "fit", str(corpus)]
    return [*program, *settings, "--out", str(out), *options]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def wait_for_epoch(folder: Path, epoch: int, process: subprocess.Popen) -> None:
    """Wait until so many epochs are in the metrics, while the process runs."""
    deadline = time.monotonic() + 120
    while len(fits.read_metrics(folder)) < epoch:
        assert process.poll() is None, "training ended before it could be stopped"
        assert time.monotonic() < deadline, "training is too slow"
        time.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_resumed_fit_equals_an_uninterrupted_one(
    corpus_file: Path, tmp_path: Path, how: signal.Signals
) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    subprocess.run(
        command(corpus_file, straight), check=True, capture_output=True, env=environment()
    )
    process = subprocess.Popen(
        command(corpus_file, stopped), stderr=subprocess.PIPE, text=True, env=environment()
    )
    wait_for_epoch(stopped, 3, process)
    process.send_signal(how)
    _, messages = process.communicate(timeout=60)
    epoch = fits.read_checkpoint(stopped)["progress"]["epoch"]
    # The row of an epoch is written before its checkpoint; a kill can fall between the two.
    assert 2 <= epoch < 12
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted: saved epoch" in messages.splitlines()[-1]
        assert "--resume" in messages.splitlines()[-1]
    else:
        assert process.returncode == -signal.SIGKILL
    subprocess.run(
        command(corpus_file, stopped, "--resume"),
        check=True,
        capture_output=True,
        env=environment(),
    )
    assert_same(fits.read_checkpoint(straight), fits.read_checkpoint(stopped))
    columns = ["epoch", "loss_per_token", "perplexity", "perplexity_amortised"]
    assert fits.read_metrics(straight)[columns].equals(fits.read_metrics(stopped)[columns])


def fit_here(corpus_file: Path, folder: Path, resume: bool = False, **settings: object) -> None:
    """Fit in this process, two epochs unless told otherwise."""
    defaults = {"epochs": 2, "batch_size": 64, "learning_rate": 5e-3, "device": "cpu"}
    training = TrainingConfig(**{**defaults, **settings})
    fitting.fit(
        read_corpus(corpus_file), fitting.LDAConfig(num_topics=5), training, folder, resume=resume
    )


def test_more_epochs_can_be_asked_for_when_resuming(corpus_file: Path, tmp_path: Path) -> None:
    fit_here(corpus_file, tmp_path / "fit", epochs=2)
    fit_here(corpus_file, tmp_path / "fit", epochs=4, resume=True)
    fit_here(corpus_file, tmp_path / "straight", epochs=4)
    assert_same(
        fits.read_checkpoint(tmp_path / "fit")["guide"],
        fits.read_checkpoint(tmp_path / "straight")["guide"],
    )
    assert fits.read_metrics(tmp_path / "fit")["epoch"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("settings", "named"), [({"seed": 1}, "seed"), ({"batch_size": 32}, "batch_size")]
)
def test_resuming_with_other_settings_is_refused(
    corpus_file: Path, tmp_path: Path, settings: dict[str, int], named: str
) -> None:
    fit_here(corpus_file, tmp_path / "fit")
    with pytest.raises(DataError, match=named):
        fit_here(corpus_file, tmp_path / "fit", resume=True, **settings)


def test_a_fit_is_never_overwritten(corpus_file: Path, tmp_path: Path) -> None:
    fit_here(corpus_file, tmp_path / "fit")
    before = (tmp_path / "fit" / "checkpoint.pt").read_bytes()
    with pytest.raises(DataError, match="holds a fit already"):
        fit_here(corpus_file, tmp_path / "fit")
    assert (tmp_path / "fit" / "checkpoint.pt").read_bytes() == before


def test_resuming_nothing_is_refused(corpus_file: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no fit to resume"):
        fit_here(corpus_file, tmp_path / "fit", resume=True)


def test_the_seed_decides_everything(corpus_file: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        fit_here(corpus_file, tmp_path / name, seed=seed)
    one, same, other = (fits.read_checkpoint(tmp_path / name) for name in ("one", "same", "other"))
    assert_same(one, same)
    assert not torch.equal(
        one["guide"]["topics.concentration"], other["guide"]["topics.concentration"]
    )


def test_a_loss_that_is_not_finite_stops_training(corpus_file: Path, tmp_path: Path) -> None:
    with pytest.raises(LossNotFinite, match="epoch 1, batch"):
        fit_here(corpus_file, tmp_path / "fit", learning_rate=float("nan"))
    assert fits.read_checkpoint(tmp_path / "fit")["progress"]["epoch"] == 0


def test_training_leaves_nothing_in_the_parameter_store(corpus_file: Path, tmp_path: Path) -> None:
    pyro.param("mine", torch.ones(2))
    fit_here(corpus_file, tmp_path / "fit")
    assert list(pyro.get_param_store().keys()) == ["mine"]


def test_no_temporary_file_is_left(corpus_file: Path, tmp_path: Path) -> None:
    fit_here(corpus_file, tmp_path / "fit")
    assert sorted(path.name for path in (tmp_path / "fit").iterdir()) == [
        "checkpoint.pt",
        "config.json",
        "metrics.csv",
        "vocabulary.txt",
    ]
