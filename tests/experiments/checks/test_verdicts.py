"""Verdicts follow p-value and size of the difference, and give advice that can be followed."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from exvae.data.h5ad.reading import read_cells
from exvae.experiments.checks import cell_readings, document_readings
from exvae.experiments.checks.verdicts import Advice, Finding, Judge, Reading
from exvae.experiments.isoforms.settings import EPOCHS
from exvae.experiments.lda.fitting import LDAConfig, LDAFit, build
from exvae.models import MODELS

from ...small_data import draw_cells

FEWER = Finding("fewer zeros", "some are missed", (Advice("dropout", "network"),))
MORE = Finding("more zeros", "some are made up", step="count them")
JUDGE = Judge(
    "cells",
    {
        "share": Reading("zeros", 0.02, False, MORE, FEWER),
        "ratio": Reading("noise", 0.1, True, MORE, FEWER),
    },
    {"dropout": "none"},
)


@pytest.mark.parametrize(
    ("name", "observed", "replicated", "p", "level"),
    [
        ("share", 0.66, 0.61, 0.02, "misfit"),
        ("share", 0.61, 0.66, 0.98, "misfit"),
        # Many cells tell apart what hardly matters, and few cells tell nothing.
        ("share", 0.66, 0.65, 0.005, "close enough"),
        ("share", 0.66, 0.67, 0.995, "close enough"),
        ("share", 0.66, 0.11, 0.03, "fits"),
        ("share", 0.11, 0.66, 0.97, "fits"),
        ("ratio", 50.0, 54.0, 0.98, "close enough"),
        ("ratio", 50.0, 56.0, 0.98, "misfit"),
        ("ratio", 50.0, 46.0, 0.02, "close enough"),
        ("ratio", 50.0, 44.0, 0.02, "misfit"),
        ("ratio", 50.0, np.nan, 0.5, "fits"),
    ],
)
def test_the_level(name: str, observed: float, replicated: float, p: float, level: str) -> None:
    assert JUDGE.verdict(name, observed, replicated, p, 20).level == level


def test_few_replicates_can_still_tell_a_misfit() -> None:
    beyond_all = 0.5 / 5
    assert JUDGE.verdict("share", 0.6, 0.3, beyond_all, 4).level == "misfit"
    assert JUDGE.verdict("share", 0.6, 0.9, 1 - beyond_all, 4).level == "misfit"
    assert JUDGE.verdict("share", 0.6, 0.3, beyond_all, 20).level == "fits"


def test_the_words() -> None:
    found = JUDGE.verdict("share", 0.66, 0.61, 0.02, 20)
    assert found.short == "model gives fewer zeros"
    assert found.verdict == (
        "the model gives fewer zeros than the cells (0.61 against 0.66, p = 0.02): some are "
        "missed; try --set dropout=network"
    )
    found = JUDGE.verdict("ratio", 50.0, 56.0, 0.98, 20)
    assert found.verdict.endswith("(56 against 50, p = 0.98): some are made up; count them")
    found = JUDGE.verdict("ratio", 50.0, 54.0, 0.98, 20)
    assert found.verdict == (
        "close enough: 54 against 50 (p = 0.98); the difference is 8.0%, and up to 10% hardly "
        "matters"
    )
    found = JUDGE.verdict("share", 0.66, 0.65, 0.02, 20)
    assert found.verdict.endswith("the difference is 0.01, and up to 0.02 hardly matters")
    assert JUDGE.verdict("ratio", 50.0, 54.0, 0.43, 20).verdict == "fits (p = 0.43)"


def test_only_options_that_the_fit_can_change_are_advised() -> None:
    advice = Advice("dropout", "network")
    assert advice.applies({"dropout": "none"})
    assert not advice.applies({"dropout": "network"})
    assert not advice.applies({"latent_size": 3})
    of_paper = Advice("noise", "relative", "--noise relative", ("paper",))
    assert of_paper.text == "--noise relative"
    assert of_paper.applies({"noise": "absolute", "model": "paper"})
    assert not of_paper.applies({"noise": "absolute", "model": "module:Other"})
    longer = Advice("epochs", 60, at_least=True)
    assert [longer.applies({"epochs": number}) for number in (59, 60, 200)] == [True, False, False]


def test_every_finding_has_a_next_step() -> None:
    for reading in cell_readings.READINGS.values():
        assert reading.more.step and reading.fewer.step
    for reading in document_readings.READINGS.values():
        for finding in (reading.more, reading.fewer):
            # The value of these options can always be changed.
            assert any(advice.value is None for advice in finding.advice)


def test_options_that_the_fit_has_give_way_to_the_step() -> None:
    finding = FEWER._replace(step="look again")
    judge = replace(
        JUDGE,
        readings={"share": Reading("zeros", 0.02, False, MORE, finding)},
        options={"dropout": "network"},
    )
    assert judge.verdict("share", 0.66, 0.61, 0.02, 20).verdict.endswith("missed; look again")


@pytest.mark.parametrize("readings", [cell_readings.READINGS, document_readings.READINGS])
def test_verdicts_have_room_above_a_panel(readings: dict[str, Reading]) -> None:
    for reading in readings.values():
        assert reading.more.words != reading.fewer.words
        for finding in (reading.more, reading.fewer):
            assert len(f"model gives {finding.words}") < 60


@pytest.mark.parametrize("model", MODELS)
def test_advised_options_of_cell_models_exist(fit_cells, model: str) -> None:
    """A fit with the advice taken can be made, and the advice is not given again."""
    cells = {"cells": read_cells(draw_cells())} if model == "reads" else {}
    fit = fit_cells(model=model, training={"epochs": 0}, latent_size=2, **cells)
    findings = [f for r in cell_readings.READINGS.values() for f in (r.more, r.fewer)]
    every = {advice for finding in findings for advice in finding.advice}
    known = fit.options
    assert known["model"] == model
    assert known["latent_size"] == 2
    assert known["dropout"] == ("none" if model == "paper" else "network")
    assert [a.value for a in every if a.applies({"epochs": 2} | known) and a.at_least] == [EPOCHS]
    applying = [advice for advice in every if advice.applies(known)]
    assert len(applying) == (model == "paper")
    for advice in applying:
        taken = fit_cells("taken", training={"epochs": 0}, **{advice.option: advice.value})
        assert not advice.applies(taken.options)
    # Without dropout it is advised, where it was seen to help.
    bare = fit_cells("bare", model=model, training={"epochs": 0}, dropout="none", **cells)
    helped = [advice for advice in every if advice.option == "dropout"]
    assert (
        sum(advice.applies(bare.options) for advice in helped)
        == {
            "paper": 0,
            "scvi": 2,
            "effective-reads": 1,
            "reads": 0,
        }[model]
    )


def test_advised_options_of_topic_models_exist() -> None:
    config = LDAConfig(num_topics=3, options={"warm_up": 7})
    _, guide = build(config, 20)
    described = {"model": asdict(config), "data": {}}
    known = LDAFit(guide, np.arange(20).astype(str), described, torch.device("cpu")).options
    assert (known["num_topics"], known["warm_up"]) == (3, 7)
    assert known["topic_concentration"] == 0.1
    findings = [f for r in document_readings.READINGS.values() for f in (r.more, r.fewer)]
    every = {advice for finding in findings for advice in finding.advice}
    assert every
    assert all(advice.applies({"epochs": 2} | known) for advice in every)
    assert not all(advice.applies({"epochs": 30} | known) for advice in every)
