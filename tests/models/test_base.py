"""Modules never share parameters by accident, copies neither."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from pathlib import Path

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


def pair() -> tuple[LDA, ExchangeableGuide]:
    model = LDA(30, 3)
    return model, ExchangeableGuide(model)


def test_a_loaded_parameter_store_is_not_ignored(tmp_path: Path) -> None:
    model, guide = pair()
    train(model, guide)
    pyro.get_param_store().save(tmp_path / "store.pt")
    pyro.clear_param_store()
    other_model, other_guide = pair()
    pyro.get_param_store().load(tmp_path / "store.pt")
    with pytest.raises(RuntimeError, match=r"of ExchangeableGuide_\d+.*state_dict"):
        other_guide(*BATCH)
    # The module that was saved takes its own back.
    saved = pyro.get_param_store()[f"{guide.root_name}.encoder$$$readout.2.bias"].detach().clone()
    guide.eval()(*BATCH)
    assert torch.equal(guide.encoder.readout[2].bias, saved)
    pyro.clear_param_store()
    train(other_model, other_guide)


def test_modules_that_are_gone_leave_nothing_in_the_parameter_store() -> None:
    for _ in range(3):
        train(*pair())
    gc.collect()
    assert len(pyro.get_param_store()) == 0


def test_a_copied_guide_shares_its_model_unless_that_is_copied_too() -> None:
    model, guide = pair()
    alone = copy.deepcopy(guide)
    assert alone.model is model
    assert alone.root_name != guide.root_name
    assert alone.encoder is not guide.encoder
    other_model, other_guide = copy.deepcopy((model, guide))
    assert other_guide.model is other_model
    assert other_model is not model
    for name, value in guide.state_dict().items():
        assert torch.equal(other_guide.state_dict()[name], value)


def test_a_loaded_parameter_store_of_another_process_is_not_ignored() -> None:
    """No module here has ever had these names."""
    pyro.param("ExchangeableGuide_123456.encoder$$$readout.2.bias", torch.zeros(4))
    _, guide = pair()
    with pytest.raises(RuntimeError, match="of ExchangeableGuide_123456"):
        guide(*BATCH)
