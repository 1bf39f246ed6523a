"""What must hold on a GPU as well; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pyro
import pytest
import torch
from pyro.infer import SVI, TraceMeanField_ELBO

from exvae.data.genes import Genes
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.lda import completion, fitting
from exvae.experiments.lda.uncertainty import topic_uncertainty
from exvae.guides.document_posterior import draw_topics
from exvae.guides.lda import ExchangeableGuide
from exvae.models.distributions.bootstrap_zinb import BootstrapZINB
from exvae.models.distributions.gamma_poisson import BootstrapGammaPoisson
from exvae.models.distributions.gene_reads import BootstrapGeneReads, Division
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


def test_uncertainty_is_that_of_the_cpu(corpus) -> None:
    model = LDA(80, 4)
    guide = ExchangeableGuide(model)
    expected = topic_uncertainty(guide, corpus, num_samples=2000)
    words, offsets, *_ = corpus.batch(range(200), device="cuda")
    model.cuda()
    guide.cuda()
    assert draw_topics(guide, words, offsets, 3).is_cuda
    found = topic_uncertainty(guide, corpus, num_samples=2000)
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0.1)


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
    config = fitting.LDAConfig(num_topics=4)
    for epochs, resume in ((1, False), (2, True)):
        training = TrainingConfig(epochs, 64, 5e-3, device="cuda")
        fitting.fit(corpus, config, training, tmp_path / "fit", resume=resume)
    on_cpu, on_gpu = (fitting.load(tmp_path / "fit", device) for device in ("cpu", "cuda"))
    one, other = (completion.infer(fit.guide, corpus, steps=5) for fit in (on_cpu, on_gpu))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("error", ["shared", "independent"])
@pytest.mark.parametrize("noise", ["relative", "absolute"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_likelihood_of_bootstraps_is_that_of_the_cpu(error, noise, dtype) -> None:
    # mean, inverse dispersion, dropout logits, noise scale, bootstrap dropout logits
    ranges = torch.tensor([[-3.0, 9.0], [-2.0, 6.0], [-3.0, 1.0], [-2.0, 1.0], [-4.0, 1.0]])
    drawn = ranges[:, :1] + (ranges[:, 1:] - ranges[:, :1]) * torch.rand(5, 40)
    drawn[[0, 1, 3]] = drawn[[0, 1, 3]].exp()

    def build(device: str) -> tuple[BootstrapZINB, torch.Tensor]:
        parameters = drawn.to(device, dtype, copy=True).requires_grad_()
        bootstraps = BootstrapZINB(*parameters, num_bootstraps=6, error=error, noise=noise)
        return bootstraps, parameters

    value = build("cpu")[0].sample()
    value[:8] = 0.0
    results = []
    for device in ("cpu", "cuda"):
        bootstraps, parameters = build(device)
        assert bootstraps.sample((2,)).device.type == device
        here = value.to(device)
        log_prob = bootstraps.log_prob(here)
        log_prob.sum().backward()
        posterior = bootstraps.posterior(here, of="y")
        bins = bootstraps.log_prob_of_bin(here[..., 0].round())
        found = (log_prob.detach(), parameters.grad * drawn.to(device, dtype), bins.detach())
        found += (bootstraps.mean, bootstraps.variance, posterior.mean, posterior.log1p_mean)
        assert all(tensor.device.type == device for tensor in found)
        results.append([tensor.detach().cpu() for tensor in found])
        assert posterior.quantile([0.1, 0.9]).device.type == device
    for on_cpu, on_gpu in zip(*results, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-3)


def test_the_likelihood_of_genes_is_that_of_the_cpu() -> None:
    torch.manual_seed(0)
    parameters = torch.rand(5, 4, 6) * 5 + 0.2
    bootstraps = torch.poisson(4 * torch.rand(4, 6, 3))
    results = []
    for device in ("cpu", "cuda"):
        mean, theta, logits, concentration, dispersion = parameters.to(device)
        genes = Genes(torch.tensor([0, 1, 1, 2, 2, 2], device=device), 3)
        few = (theta[:, :3], -logits[:, :3], dispersion[0, :3], 2 * dispersion[0, :3])
        totals = BootstrapGammaPoisson(genes.sums(mean), *few, num_bootstraps=3)
        division = Division(genes.shares(mean), concentration[:, :3], *few[2:])
        distribution = BootstrapGeneReads(totals, division, genes)
        here = bootstraps.to(device)
        assert distribution.sample((2,)).device.type == device
        assert all(part.device.type == device for part in distribution.draw_rates(here, 2))
        found = distribution.log_prob(here), distribution.log_prob_of_whole(here[..., 0])
        results.append([tensor.cpu() for tensor in found])
    for on_cpu, on_gpu in zip(*results, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-3)
