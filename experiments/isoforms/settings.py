"""Which model of isoforms, how it is fitted, and what is asked of it, where nothing else is said.

Kept apart from what needs torch, so that the command line can tell its defaults at once.
"""

from __future__ import annotations

from dataclasses import dataclass

MODELS = ("bootstrap", "scvi")
# Where nothing else is said, by noise, or for scVI. Dropout of latent counts behind normal noise is
# not identified: learned, it takes isoforms that are hard to tell apart for absent, and loses
# accuracy. The reads of genes are known well enough to see which genes are off.
DROPOUT = {
    "poisson": "network",
    "scvi": "network",
    **dict.fromkeys(("adaptive", "relative", "absolute"), "none"),
}
# Error and zeros that Poisson noise implies.
POISSON_ONLY_WITH = ("shared", "rectified")
SUBSETS = ("all", "train", "held-out")

# How to train where nothing else is said.
EPOCHS, BATCH_SIZE, LEARNING_RATE = 60, 32, 5e-3

# Draws of the latent variables behind a bound on a likelihood, and behind a posterior.
LIKELIHOOD_SAMPLES = 100
POSTERIOR_SAMPLES = 10
# Of the posterior of expression, exported.
QUANTILES = (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)


@dataclass(frozen=True)
class IsoformConfig:
    """Which model of isoforms and which guide; what the fields mean stands with their classes.

    Attributes
    ----------
    model
        ``bootstrap`` or ``scvi``.
    error, zeros, noise
        Of :class:`~exvae.models.paper_isoforms.BootstrapIsoforms`, as is
        ``noise_latent_size``. Noise is also ``poisson``, that of
        :class:`~exvae.models.isoforms.EffectiveReadIsoforms`,
        which has no noise latent; see :meth:`chosen_noise` for None.
    latent_size, noise_latent_size
        Z and A.
    dispersion, dropout
        Of :class:`~exvae.models.scvi.SCVI`; dropout is ``none`` for normal noise and by the
        ``network`` otherwise unless it is told.
    pooling, input_dropout
        Of :class:`~exvae.guides.cells.SCVIGuide`.
    encoder_bootstraps
        How many bootstraps of a cell, drawn anew each time, the guide reads in training; 0 for
        all.
    """

    model: str = "bootstrap"
    error: str = "shared"
    zeros: str = "rectified"
    noise: str | None = None
    latent_size: int = 10
    noise_latent_size: int = 5
    dispersion: str = "isoform"
    dropout: str | None = None
    pooling: str = "mean"
    input_dropout: float = 0.7
    encoder_bootstraps: int = 5

    def chosen_noise(self) -> str:
        """Name the noise: where it is not told Poisson, but with a paper's option adaptive."""
        if self.noise is not None:
            return self.noise
        return "poisson" if (self.error, self.zeros) == POISSON_ONLY_WITH else "adaptive"
