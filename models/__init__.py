"""Generative models, each a Pyro module.

=================== ================================ ================ =============================
name                class                            guide            observes
=================== ================================ ================ =============================
``effective-reads`` isoforms.EffectiveReadIsoforms   ``cells``        number and mean of bootstraps
``reads``           reads.ReadIsoforms               ``cells``        reads by class
``paper``           paper_isoforms.BootstrapIsoforms ``paper``        statistics of bootstraps
``scvi``            scvi.SCVI                        ``cells``        rounded estimates
``lda``             lda.LDA                          ``exchangeable`` words
=================== ================================ ================ =============================

Topic models belong to ``exvae lda``, the others to ``exvae isoforms``. docs/models.md lists
likelihoods and latent variables as well.
"""

# Modules are imported when a class is asked for, so that a topic model loads no isoforms.
MODELS = {
    "effective-reads": "exvae.models.isoforms:EffectiveReadIsoforms",
    "reads": "exvae.models.reads:ReadIsoforms",
    "paper": "exvae.models.paper_isoforms:BootstrapIsoforms",
    "scvi": "exvae.models.scvi:SCVI",
}
