"""Modules never share parameters by accident, copies neither."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pyro
import pytest
import torch
from pyro.infer import SVI, TraceMeanField_ELBO

from exvae.data.simulators.documents import simulate_corpus
from exvae.guides.lda import ExchangeableGuide
from exvae.models.lda import LDA

BATCH = simulate_corpus(20, 3, 30, 10).corpus.batch(torch.arange(20))


def train(model: LDA, guide: ExchangeableGuide) -> None:
    optimizer = pyro.optim.ClippedAdam({"lr": 1e-2})
    SVI(model, guide, optimizer, TraceMeanField_ELBO()).step(*BATCH)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_a_trained_guide_trains_by_itself(duplicate: Callable) -> None:
    model = LDA(30, 3)
    guide = ExchangeableGuide(model)
    train(model, guide)
    copied_model, copied_guide = duplicate((model, guide))
    before = {name: value.clone() for name, value in guide.state_dict().items()}
    train(copied_model, copied_guide)
    for name, value in guide.state_dict().items():
        assert value.equal(before[name]), name
    for name, value in copied_guide.named_parameters():
        assert not value.equal(before[name]), name


def test_every_module_has_a_name_of_its_own() -> None:
    assert LDA(5, 2).root_name != LDA(5, 2).root_name
