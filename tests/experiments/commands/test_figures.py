"""Every figure runs with tiny sizes, as users draw it; its numbers are enough to draw it again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import exvae.experiments.figures
from exvae.data.corpora import write_corpus
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.figures.registry import FIGURES, GROUPS, chosen, module_of
from exvae.experiments.figures.workshop import Workshop

MODULES = Path(exvae.experiments.figures.__file__).parent


def test_no_figure_escapes() -> None:
    runnable = {path.stem for path in MODULES.glob("*.py") if "def measure(" in path.read_text()}
    assert {name.replace("-", "_") for name in FIGURES} == runnable
    assert all(name.split("-")[0] in GROUPS for name in FIGURES)
    assert chosen("all") == list(FIGURES)
    assert sorted(sum(map(chosen, GROUPS), [])) == sorted(FIGURES)
    assert chosen("lda-pooling") == ["lda-pooling"]
    assert chosen("nothing") == []


@pytest.mark.parametrize("group", GROUPS)
def test_quick_figures(exvae, tmp_path: Path, group: str) -> None:
    out = tmp_path / "figures"
    made = exvae("figures", group, "--out", out, "--quick", "--json").json
    assert list(made) == chosen(group)
    assert {path.name for path in out.iterdir()} == {
        f"{name}{ending}" for name in made for ending in (".png", ".csv")
    }
    for name, told in made.items():
        module = module_of(name)
        assert Path(told["picture"]).read_bytes().startswith(b"\x89PNG")
        table = pd.read_csv(told["numbers"], float_precision="round_trip")
        summary = {key: told[key] for key in module.summarise(table)}
        assert summary == module.summarise(table)
        assert summary
        figure = module.draw(table)
        for axis in figure.axes:
            if axis.axison and axis.get_label() != "<colorbar>":
                assert axis.get_title()
                assert axis.get_ylabel()


def test_other_corpora_are_shown_beside(exvae, tmp_path: Path) -> None:
    path = tmp_path / "news" / "corpus.npz"
    path.parent.mkdir()
    write_corpus(simulate_corpus(60, 3, 40, 12, lengths="heavy-tailed").corpus, path)
    out = tmp_path / "figures"
    options = ["--out", out, "--quick", "--corpus", path]
    assert exvae("figures", "lda-likelihood", *options).status == 0
    table = pd.read_csv(out / "lda-likelihood.csv")
    assert set(table["corpus"]) == {"simulated", "news"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nothing", "--out", "{out}"], "lda-pooling"),
        (["lda"], "--out"),
        (["lda", "--out", "{out}/a/b"], "folder"),
        (["lda", "--out", "{file}"], "is a file"),
        (["lda", "--out", "{out}", "--corpus", "{out}/no.npz"], "no.npz"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    exvae, tmp_path: Path, arguments: list, named: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    places = {"out": tmp_path / "out", "file": file}
    result = exvae("figures", *[argument.format(**places) for argument in arguments])
    assert result.status == 2
    assert len(result.err.splitlines()) == 1
    assert named in result.err
    assert list(tmp_path.iterdir()) == [file]


def test_list_names_all(exvae) -> None:
    assert exvae("figures", "list", "--json").json == FIGURES


def test_the_registry_loads_nothing_heavy() -> None:
    program = "import sys, exvae.experiments.figures.registry; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "False"


def test_what_is_made_once_is_kept(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    made = [workshop.once("a", lambda: object()) for _ in range(2)]
    assert made[0] is made[1]
    assert len(workshop.seeds) == 5
    assert Workshop(tmp_path, quick=True, seed=3).seeds == [3, 4]
