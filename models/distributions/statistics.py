"""Statistics of bootstraps as observations: one tensor, whatever the number of bootstraps."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor


class _AnyValues(constraints.Constraint):
    """Takes all values, and looks at none: they are many.

    Parameters
    ----------
    event_dim
        Number of dimensions of an event.
    """

    is_discrete = False

    def __init__(self, event_dim: int) -> None:
        self._event_dim = event_dim

    @property
    def event_dim(self) -> int:
        """Number of dimensions of an event."""
        return self._event_dim

    def check(self, value: Tensor) -> Tensor:
        """Give true for each event, shape (...)."""
        return value.new_ones(value.shape[: value.dim() - self.event_dim], dtype=torch.bool)


class StatisticsOfBootstraps(TorchDistribution):
    """Distribution of the sufficient statistics of bootstraps.

    ``log_prob`` is the log density of bootstraps with these statistics. The statistics of an entry
    contain its number of bootstraps.

    Parameters
    ----------
    bootstraps
        Distribution of bootstraps, event shape (..., bootstraps). Its ``statistics`` is
        :class:`~exvae.data.bootstraps.BootstrapMean` or ``BootstrapSummary``.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, bootstraps: Any, *, validate_args: bool | None = None) -> None:
        self.bootstraps = bootstraps
        event_shape = (*bootstraps.event_shape[:-1], len(bootstraps.statistics._fields))
        super().__init__(
            bootstraps.batch_shape, torch.Size(event_shape), validate_args=validate_args
        )

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> constraints.Constraint:
        """Whatever has the shape; ``log_prob`` refuses impossible statistics."""
        return _AnyValues(len(self.event_shape))

    def expand(
        self, batch_shape: torch.Size, _instance: StatisticsOfBootstraps | None = None
    ) -> StatisticsOfBootstraps:
        """Repeat the distribution over a larger batch."""
        new = self._get_checked_instance(StatisticsOfBootstraps, _instance)
        expanded = self.bootstraps.expand(batch_shape)
        StatisticsOfBootstraps.__init__(new, expanded, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density (nats) of statistics (reads), shape (..., statistics); shape batch_shape.

        Raises
        ------
        ValueError
            If validation is on and no bootstraps can have these statistics.
        """
        if self._validate_args:
            self._validate_sample(value)  # shapes alone
        statistics = self.bootstraps.statistics.unstacked(value)
        if self._validate_args:
            statistics.check()
        return self.bootstraps.log_prob(statistics)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw statistics of bootstraps (reads), shape sample_shape + batch_shape + event_shape."""
        return self.bootstraps.statistics.of(self.bootstraps.sample(sample_shape)).stacked()
