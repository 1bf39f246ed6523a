"""Sums over the count for the paper's likelihood of bootstraps; private to ``BootstrapZINB``.

Nothing else should import from here:
:class:`~exvae.models.distributions.bootstrap_zinb.BootstrapZINB` is the interface.
"""
