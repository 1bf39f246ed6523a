"""scVI (Lopez et al., 2018; Chan, Spence & Song, appendix B), of isoforms.

::

    z_n, l_n as in exvae.models.cells
    y_ng ~ NB(l_n f_mu(z_n, s_n), theta_g)       transcripts of isoform g, captured and sequenced
    u_ng = y_ng, or 0 with probability f_h(z_n, s_n)

The inverse dispersion theta says how far y is from a Poisson: Var[y] = mu + mu^2 / theta.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..data.arguments import require
from ..data.genes import gene_codes_of
from .cells import CellModel
from .distributions.gamma_poisson import EffectiveReads, draw_rates
from .distributions.negative_binomial import ZINB

DISPERSIONS = ("constant", "batch", "cell")
DROPOUTS = ("network", "constant", "none")

# Bounds of log theta; a negative binomial is a Poisson well below the upper one.
_LOG_DISPERSION_RANGE = (-5.0, 12.0)
# Initial logit of the dropout probability: about one count in twenty.
_FIRST_DROPOUT = -3.0
# Logit of a probability that is zero for every purpose.
_NEVER = -50.0
# Draws of the rates for each draw of the latent variables.
RATES_PER_SAMPLE = 40


class Dispersion(nn.Module):
    """Inverse dispersion theta of isoforms or genes.

    Parameters
    ----------
    size
        Number of isoforms or genes.
    num_batches
        Number of batches.
    kind
        ``constant``: one learned value each; ``batch``: one for each batch; ``cell``: from the
        decoder.
    """

    def __init__(self, size: int, num_batches: int, kind: str) -> None:
        super().__init__()
        require("dispersion", kind, DISPERSIONS)
        self.kind = kind
        self.heads = {"dispersion": size} if kind == "cell" else {}
        if kind != "cell":
            rows = num_batches if kind == "batch" else 1
            self.log_inverse_dispersion = nn.Parameter(torch.zeros(rows, size))

    def forward(self, decoded: dict[str, Tensor], batches: Tensor) -> Tensor:
        """Theta, broadcasting with (..., cells, size).

        Parameters
        ----------
        decoded
            Outputs of the decoder by head, each of shape (..., cells, size of the head).
        batches
            Batch of each cell, shape (cells,), int64.
        """
        if self.kind == "cell":
            logarithm = decoded["dispersion"]
        elif self.kind == "batch":
            logarithm = self.log_inverse_dispersion[batches]
        else:
            logarithm = self.log_inverse_dispersion
        return logarithm.clamp(*_LOG_DISPERSION_RANGE).exp()


class Dropout(nn.Module):
    """Probability that isoforms or genes are set to zero.

    Parameters
    ----------
    size
        Number of isoforms or genes.
    kind
        ``network``: from the decoder; ``constant``: one learned value each; ``none``: never.
    """

    never: Tensor

    def __init__(self, size: int, kind: str) -> None:
        super().__init__()
        require("dropout", kind, DROPOUTS)
        self.kind = kind
        self.heads = {"dropout": size} if kind == "network" else {}
        if kind == "constant":
            self.dropout_logits = nn.Parameter(torch.full((size,), _FIRST_DROPOUT))
        self.register_buffer("never", torch.tensor([_NEVER]), persistent=False)

    def forward(self, decoded: dict[str, Tensor]) -> Tensor:
        """Logit of the probability, broadcasting with (..., cells, size).

        ``decoded`` holds the outputs of the decoder by head, each of shape (..., cells, size of the
        head).
        """
        if self.kind == "network":
            return decoded["dropout"]
        return self.dropout_logits if self.kind == "constant" else self.never


class ZeroInflatedCells(CellModel):
    """Cells whose isoforms (genes, if isoforms are dependent) have a dispersion and dropout.

    Parameters
    ----------
    genes, num_batches, **options
        Arguments of :class:`~exvae.models.cells.CellModel`.
    dispersion
        ``constant``, ``batch`` or ``cell``, see :class:`Dispersion`.
    dropout
        ``network``, ``constant`` or ``none``, see :class:`Dropout`.
    """

    isoform_parameters = (*CellModel.isoform_parameters, "log_inverse_dispersion", "dropout_logits")
    head_starts = {"dropout": _FIRST_DROPOUT}

    def __init__(
        self,
        genes: Tensor | int,
        num_batches: int = 1,
        *,
        dispersion: str = "constant",
        dropout: str = "network",
        **options,
    ) -> None:
        codes = gene_codes_of(genes)
        size = len(codes) if self.independent_isoforms else int(codes.max()) + 1
        of_dispersion = Dispersion(size, num_batches, dispersion)
        of_dropout = Dropout(size, dropout)
        heads = {**of_dropout.heads, **of_dispersion.heads}
        super().__init__(genes, num_batches, heads=heads, **options)
        self.dispersion, self.dropout = of_dispersion, of_dropout

    def count_parameters(
        self, latents: dict[str, Tensor], batches: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decode mu (reads), shape (..., cells, isoforms), theta and the logits of dropout.

        The last two broadcast with (..., cells, isoforms or genes); arguments as for
        :meth:`likelihood`.
        """
        decoded = self.decode(latents["z"], batches)
        mean = self.mean_of(decoded, latents["library"])
        return mean, self.dispersion(decoded, batches), self.dropout(decoded)


class SCVI(ZeroInflatedCells):
    """Zero-inflated negative binomial counts; parameters as for :class:`ZeroInflatedCells`."""

    observes = "counts"
    site = "counts"

    def likelihood(
        self, latents: dict[str, Tensor], batches: Tensor, num_bootstraps: int = 1
    ) -> ZINB:
        """Distribution of the counts u, batch shape (..., cells, isoforms)."""
        return ZINB(*self.count_parameters(latents, batches))

    def log_prob_of_counts(
        self, latents: dict[str, Tensor], batches: Tensor, counts: Tensor
    ) -> Tensor:
        """Log probability (nats) of whole counts (reads), shape (..., cells)."""
        return self.likelihood(latents, batches).log_prob(counts).sum(-1)

    def draw_expression(self, latents: dict[str, Tensor], batches: Tensor, obs: Tensor) -> Tensor:
        """Draw the rate l w behind the counts (reads), shape (draws, cells, isoforms)."""
        reads = EffectiveReads(obs, torch.ones_like(obs))
        return draw_rates(*self.count_parameters(latents, batches), reads, RATES_PER_SAMPLE)[0]
