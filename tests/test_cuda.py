"""What must hold on a GPU as well; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pyro
import pytest
import torch
from pyro.infer import SVI, TraceMeanField_ELBO

from exvae.data.lda_simulator import simulate_corpus
from exvae.experiments import completion, lda
from exvae.guides.lda import ExchangeableGuide
from exvae.models.lda import LDA

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def corpus():
    return simulate_corpus(200, 4, 80, 30).corpus


def test_inference_is_that_of_the_cpu(corpus) -> None:
    model = LDA(80, 4)
    guide = ExchangeableGuide(model)
    expected = completion.infer(guide, corpus, steps=5)
    model.cuda()
    guide.cuda()
    torch.testing.assert_close(
        completion.infer(guide, corpus, steps=5), expected, rtol=1e-3, atol=1e-5
    )


def test_training_steps_stay_on_the_device(corpus) -> None:
    model = LDA(80, 4).cuda()
    guide = ExchangeableGuide(model).cuda()
    svi = SVI(model, guide, pyro.optim.ClippedAdam({"lr": 5e-3}), TraceMeanField_ELBO())
    documents = corpus.tensors("cuda")
    losses = [svi.step(*documents.batch(torch.arange(200))) for _ in range(150)]
    assert losses[-1] < losses[0]
    assert guide.topics.concentration.is_cuda
    assert model.document_concentration.is_cuda


def test_a_fit_of_the_gpu_resumes_and_loads_on_the_cpu(corpus, tmp_path: Path) -> None:
    config = lda.LDAConfig(num_topics=4)
    for epochs, resume in ((1, False), (2, True)):
        training = lda.TrainingConfig(epochs, 64, 5e-3, device="cuda")
        lda.fit(corpus, config, training, tmp_path / "fit", resume=resume)
    on_cpu, on_gpu = (lda.load(tmp_path / "fit", device) for device in ("cpu", "cuda"))
    one, other = (completion.infer(fit.guide, corpus, steps=5) for fit in (on_cpu, on_gpu))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
