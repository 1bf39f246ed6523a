"""The likelihood of bootstraps with the count summed out, and the posterior of the count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ..data.bootstraps import BootstrapSummary
from .bootstrap_likelihood import (
    BootstrapParameters,
    BootstrapSetting,
    breakpoints,
    log_joint,
    log_likelihood,
    log_prior,
)
from .compilation import can_compile, compiled
from .distributions.count_posterior import CountPosterior
from .distributions.negative_binomial import log_negative_binomial
from .fixed_nodes import (
    PANELS,
    InterpolatedBump,
    Window,
    find_window,
    interpolate_bump,
    log_sum,
    split_likelihood,
    window_nodes,
)
from .native_driver import PlacedNodes, place_nodes, sum_entries, uses_native
from .quadrature import Nodes, adaptive_nodes, segment_logsumexp
from .zero_factor import Zeros
from .zero_table import GRIDS, TabulatedBump, coarsest_grid

# Entries summed at once; bounds the memory that the nodes take.
_CHUNK = 8192
_ADAPTIVE_CHUNK = 2048
# Panels for a posterior, whose quantiles need more nodes than a sum.
_POSTERIOR_PANELS = 10
# By how many nats the nodes of a posterior may miss the likelihood.
_LARGEST_MISS = 0.03
# Entries of one call from which on it is worth compiling: a minibatch of a fit.
_WORTH_COMPILING = 20_000


def marginal_log_prob(
    parameters: BootstrapParameters, summary: BootstrapSummary, setting: BootstrapSetting
) -> Tensor:
    """Log of sum_u P(u) p(bootstraps | u) in nats, differentiable once in the parameters.

    Parameters
    ----------
    parameters, summary
        Of the entries, all of one shape, which the result has too.
    setting
        Which likelihood.
    """
    shape = parameters.mean.shape
    flat = [part.reshape(-1) for part in (*parameters, *summary)]
    return _Marginal.apply(setting, *flat).view(shape)


class _Marginal(torch.autograd.Function):
    """Value and gradient from the same nodes: a derivative is a posterior expectation."""

    @staticmethod
    def forward(ctx, setting: BootstrapSetting, *parts: Tensor) -> Tensor:
        parts = tuple(part.detach() for part in parts)
        value = torch.empty_like(parts[0])
        slopes = [torch.empty_like(value) for _ in BootstrapParameters._fields]
        for chosen, own_value, own_slopes in _sums(parts, setting):
            value[chosen] = own_value
            for whole, own in zip(slopes, own_slopes, strict=True):
                whole[chosen] = own
        ctx.save_for_backward(*slopes)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        gradients = [
            cotangent * slope if needed else None
            for slope, needed in zip(ctx.saved_tensors, ctx.needs_input_grad[1:], strict=False)
        ]
        return (None, *gradients, *[None] * len(BootstrapSummary._fields))


def _sums(
    parts: tuple[Tensor, ...], setting: BootstrapSetting
) -> Iterator[tuple[Tensor, Tensor, tuple[Tensor, ...]]]:
    """Sum groups of entries; gives their positions, values and slopes in all parameters.

    float64 asks for accuracy: then all are summed adaptively.
    """
    left = [torch.arange(len(parts[0]), device=parts[0].device)]
    if uses_native(parts[0]):
        value, slopes, unfit = sum_entries(parts, setting)
        yield slice(None), value, slopes
        left = [unfit]
    elif parts[0].dtype != torch.float64:
        transformed = _transformed(parts[0])
        groups, unfit = _groups(parts, setting, transformed)
        left = [unfit]
        worth = transformed is compiled
        sums = compiled(_fixed_by_slopes) if worth else _fixed_by_autograd
        for positions, group in groups:
            value, slopes = sums(group, setting)
            # Where float32 has overflowed the adaptive quadrature has another try.
            finite = torch.stack([value, *slopes]).isfinite().all(0)
            if not bool(finite.all()):
                left.append(positions[~finite])
                value, slopes = value[finite], _select(slopes, finite)
            yield positions[finite], value, slopes
    for positions in torch.cat(left).split(_ADAPTIVE_CHUNK):
        if len(positions):
            sums = partial(_adaptive_sum, setting=setting)
            yield positions, *_by_autograd(sums, *_parted(_select(parts, positions)))


class Group(NamedTuple):
    """Entries that are summed alike.

    Attributes
    ----------
    window
        Where their counts are summed.
    panels
        On how many panels.
    bump
        Their zero factor, as for :func:`~.fixed_nodes.split_likelihood`.
    parameters, summary
        Of the entries.
    """

    window: Window
    panels: int
    bump: InterpolatedBump | int | None
    parameters: BootstrapParameters
    summary: BootstrapSummary


def _groups(
    parts: tuple[Tensor, ...],
    setting: BootstrapSetting,
    transformed: Callable[[Callable], Callable],
    *,
    before_dropout: bool = False,
) -> tuple[Iterator[tuple[Tensor, Group]], Tensor]:
    """Sort the entries for which fixed nodes will do into groups, with their positions.

    Gives the positions of the others, too.

    ``transformed`` is what to do to functions that are worth compiling.
    """
    with torch.no_grad():
        window = find_window(*_parted(parts), setting, transformed)
        if before_dropout:
            window = window.with_prior(*_parted(parts), setting)
    level = window.level()
    grid = _grid_of_entry(*_parted(parts), setting)
    left = ((level == len(PANELS)) | (grid == len(GRIDS))).nonzero().squeeze(-1)

    def groups() -> Iterator[tuple[Tensor, Group]]:
        for (index, panels), grid_index in product(enumerate(PANELS), range(-1, len(GRIDS))):
            chosen = ((level == index) & (grid == grid_index)).nonzero().squeeze(-1)
            for positions in chosen.split(_CHUNK):
                if len(positions):
                    own = Window(*_select(window, positions))
                    inputs = _parted(_select(parts, positions))
                    bump = _bump_of(own, grid_index, *inputs, setting, transformed)
                    yield positions, Group(own, panels, bump, *inputs)

    return groups(), left


def _grid_of_entry(
    parameters: BootstrapParameters, summary: BootstrapSummary, setting: BootstrapSetting
) -> Tensor:
    """Which grid an entry's zero factor needs, -1 where it has none."""
    concentration = 0.5 * summary.positives
    if setting.noise == "adaptive":
        concentration = concentration + 0.5 * parameters.noise_concentration
    grid = coarsest_grid(concentration, parameters.bootstrap_dropout_logits)
    if setting.noise == "adaptive" and setting.error == "independent":
        resolved = summary.zeros.new_tensor([*(own.zeros for own in GRIDS), torch.inf])
        grid = torch.where(summary.zeros > resolved[grid], len(GRIDS), grid)
    without = (summary.zeros == 0) | (setting.zeros == "atom")
    return torch.where(without, -1, grid)


def _bump_of(
    window: Window,
    grid_index: int,
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
    transformed: Callable[[Callable], Callable],
) -> InterpolatedBump | int | None:
    if grid_index < 0:
        return None
    grid = GRIDS[grid_index]
    if setting.noise != "adaptive":
        return grid.noise_nodes
    zeros = Zeros(summary.zeros, parameters.bootstrap_dropout_logits)
    with torch.no_grad():
        tabulated = TabulatedBump.of(
            zeros, summary.positives, grid, shared=setting.error == "shared"
        )
        return transformed(interpolate_bump)(tabulated, window, parameters, summary, setting)


def _transformed(entries: Tensor) -> Callable[[Callable], Callable]:
    """Tell what to do to the functions that work on so many entries: compile them, or nothing."""
    worth = len(entries) >= _WORTH_COMPILING and can_compile(entries.device.type)
    return compiled if worth else lambda function: function


def _fixed_sum(
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    *,
    group: Group,
    setting: BootstrapSetting,
) -> Tensor:
    return log_sum(group.window, group.panels, group.bump, parameters, summary, setting)


def _select(parts: Sequence[Tensor], chosen: Tensor) -> tuple[Tensor, ...]:
    return tuple(part[chosen] for part in parts)


def _parted(parts: tuple[Tensor, ...]) -> tuple[BootstrapParameters, BootstrapSummary]:
    count = len(BootstrapParameters._fields)
    return BootstrapParameters(*parts[:count]), BootstrapSummary(*parts[count:])


def _fixed_by_slopes(group: Group, setting: BootstrapSetting) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Value and slopes in all parameters in one graph, to be compiled."""

    def sums(*parts: Tensor) -> Tensor:
        return _fixed_sum(BootstrapParameters(*parts), group.summary, group=group, setting=setting)

    value, pull_back = torch.func.vjp(sums, *group.parameters)
    return value, pull_back(torch.ones_like(value))


def _fixed_by_autograd(
    group: Group, setting: BootstrapSetting
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Do the same without compiling."""
    sums = partial(_fixed_sum, group=group, setting=setting)
    return _by_autograd(sums, group.parameters, group.summary)


def _by_autograd(
    sums: Callable[[BootstrapParameters, BootstrapSummary], Tensor],
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Value and slopes in all parameters."""
    leaves = [part.requires_grad_() for part in parameters]
    with torch.enable_grad():
        value = sums(BootstrapParameters(*leaves), summary)
        slopes = torch.autograd.grad(value.sum(), leaves, materialize_grads=True)
    return value.detach(), slopes


def _adaptive_sum(
    parameters: BootstrapParameters, summary: BootstrapSummary, *, setting: BootstrapSetting
) -> Tensor:
    nodes = _place_nodes(
        BootstrapParameters(*(part.detach() for part in parameters)), summary, setting
    )
    chosen, seen = _gather(parameters, summary, nodes.entry, nodes.u)
    terms = log_joint(nodes.u, chosen, seen, setting) + nodes.weight.log()
    return segment_logsumexp(terms, nodes.entry, len(parameters.mean))


def _place_nodes(
    parameters: BootstrapParameters, summary: BootstrapSummary, setting: BootstrapSetting
) -> Nodes:
    def log_function(u: Tensor, entry: Tensor) -> Tensor:
        return log_joint(u, *_gather(parameters, summary, entry, u), setting)

    with torch.no_grad():
        return adaptive_nodes(log_function, breakpoints(parameters, summary, setting))


def _gather(
    parameters: BootstrapParameters, summary: BootstrapSummary, entry: Tensor, u: Tensor
) -> tuple[BootstrapParameters, BootstrapSummary]:
    """Parameters and statistics of entries, beside counts of shape (n,) or (n, nodes)."""
    shape = (-1,) + (1,) * (u.dim() - 1)
    return (
        BootstrapParameters(*(part[entry].view(shape) for part in parameters)),
        BootstrapSummary(*(part[entry].view(shape) for part in summary)),
    )


def grid_log_prob(
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
    grid_size: int,
) -> Tensor:
    """Log of the sum over u = 0, ..., grid_size - 1, the paper's approximation (section 4)."""
    grid = torch.arange(grid_size, dtype=parameters.mean.dtype, device=parameters.mean.device)
    parameters = BootstrapParameters(*(part.unsqueeze(-1) for part in parameters))
    summary = BootstrapSummary(*(part.unsqueeze(-1) for part in summary))
    return log_joint(grid, parameters, summary, setting).logsumexp(-1)


def count_posterior(
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
    *,
    before_dropout: bool,
) -> CountPosterior:
    """Posterior of the count u, or of y, the count before dropout.

    p(y | x) is proportional to NB(y) [P(h = 0) p(x | y) + P(h = 1) p(x | 0)].
    """
    shape = parameters.mean.shape
    parts = tuple(part.detach().reshape(-1) for part in (*parameters, *summary))
    with torch.no_grad():
        pieces = [
            (positions[nodes.entry], nodes.u, nodes.weight, probability)
            for positions, nodes, probability in _posteriors(parts, setting, before_dropout)
        ]
    return CountPosterior(shape, *(torch.cat(fields) for fields in zip(*pieces, strict=True)))


def _posteriors(
    parts: tuple[Tensor, ...], setting: BootstrapSetting, before_dropout: bool
) -> Iterator[tuple[Tensor, Nodes, Tensor]]:
    """Give groups of entries, as positions, with their nodes and the probabilities of these."""
    left = [torch.arange(len(parts[0]), device=parts[0].device)]
    if uses_native(parts[0]):
        nodes, probability, unfit = _native_posterior(parts, setting, before_dropout)
        yield left[0], nodes, probability
        left = [unfit]
    elif parts[0].dtype != torch.float64:
        transformed = _transformed(parts[0])
        groups, unfit = _groups(parts, setting, transformed, before_dropout=before_dropout)
        left = [unfit]
        for positions, group in groups:
            on_window = transformed(_posterior_on_window)(group, setting, before_dropout)
            u, weight, probability = on_window
            finite = probability.isfinite().all(0)
            left.append(positions[~finite])
            used = (weight > 0) & finite
            entry = torch.arange(u.shape[1], device=u.device).expand_as(u)
            yield positions, Nodes(entry[used], u[used], weight[used]), probability[used]
    for positions in torch.cat(left).split(_ADAPTIVE_CHUNK):
        if len(positions):
            inputs = _parted(_select(parts, positions))
            yield positions, *_adaptive_posterior(*inputs, setting, before_dropout)


def _native_posterior(
    parts: tuple[Tensor, ...], setting: BootstrapSetting, before_dropout: bool
) -> tuple[Nodes, Tensor, Tensor]:
    """Nodes, their probabilities, and the positions of entries that have none."""
    placed, unfit = place_nodes(parts, setting)
    missing = _miss_the_likelihood(placed, parts, setting)
    missing[unfit] = True
    used = ~missing[placed.entry]
    placed, unfit = PlacedNodes(*(part[used] for part in placed)), missing.nonzero().squeeze(-1)
    chosen, _ = _gather(*_parted(parts), placed.entry, placed.u)
    if before_dropout:
        at_zero = torch.zeros_like(parts[0])
        zero = placed.u == 0
        at_zero[placed.entry[zero]] = placed.log_likelihood[zero]
        terms = _log_joint_before_dropout(
            placed.u, placed.log_likelihood, at_zero[placed.entry], chosen
        )
    else:
        terms = log_prior(placed.u, chosen) + placed.log_likelihood
    terms = terms + placed.weight.log()
    total = segment_logsumexp(terms, placed.entry, len(parts[0]))
    nodes = Nodes(placed.entry, placed.u, placed.weight)
    return nodes, (terms - total[placed.entry]).exp(), unfit


def _miss_the_likelihood(
    placed: PlacedNodes, parts: tuple[Tensor, ...], setting: BootstrapSetting
) -> Tensor:
    """Tell whether an entry's nodes do not sum to its likelihood, shape (entries,).

    Nodes are placed around the peak of the summand without its zero factor, which may lie
    elsewhere. Where the likelihood needs the adaptive quadrature there is nothing to compare with.
    """
    value, _, unfit = sum_entries(parts, setting)
    chosen, _ = _gather(*_parted(parts), placed.entry, placed.u)
    terms = log_prior(placed.u, chosen) + placed.log_likelihood + placed.weight.log()
    total = segment_logsumexp(terms, placed.entry, len(value))
    missing = (total - value).abs() > _LARGEST_MISS + 1e-5 * value.abs()
    missing[unfit] = True
    return missing


def _posterior_on_window(
    group: Group, setting: BootstrapSetting, before_dropout: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Give nodes, their weights and probabilities, each of shape (nodes, entries)."""
    u, weight = window_nodes(group.window, max(group.panels, _POSTERIOR_PANELS))
    parameters, zero = group.parameters, torch.zeros_like(u[0])
    split = split_likelihood(u, group.bump, parameters, group.summary, setting)
    at_zero = split_likelihood(zero, group.bump, parameters, group.summary, setting)
    u = torch.cat([zero.unsqueeze(0), u])
    weight = torch.cat([zero.unsqueeze(0) + 1, weight])
    likelihood = torch.cat([at_zero.varying.unsqueeze(0), split.varying])
    if before_dropout:
        terms = _log_joint_before_dropout(u, likelihood, likelihood[0], parameters)
    else:
        terms = log_prior(u, parameters) + likelihood
    return u, weight, (terms + weight.log()).softmax(0)


def _adaptive_posterior(
    parameters: BootstrapParameters,
    summary: BootstrapSummary,
    setting: BootstrapSetting,
    before_dropout: bool,
) -> tuple[Nodes, Tensor]:
    if before_dropout:
        at_zero = log_likelihood(torch.zeros_like(parameters.mean), parameters, summary, setting)

    def log_function(u: Tensor, entry: Tensor) -> Tensor:
        chosen, seen = _gather(parameters, summary, entry, u)
        if not before_dropout:
            return log_joint(u, chosen, seen, setting)
        likelihood = log_likelihood(u, chosen, seen, setting)
        own_zero = at_zero[entry].view(chosen.mean.shape)
        return _log_joint_before_dropout(u, likelihood, own_zero, chosen)

    nodes = adaptive_nodes(
        log_function, breakpoints(parameters, summary, setting), largest_share=0.05
    )
    terms = log_function(nodes.u, nodes.entry) + nodes.weight.log()
    total = segment_logsumexp(terms, nodes.entry, len(parameters.mean))
    return nodes, (terms - total[nodes.entry]).exp()


def _log_joint_before_dropout(
    y: Tensor, likelihood: Tensor, likelihood_at_zero: Tensor, parameters: BootstrapParameters
) -> Tensor:
    """Log of NB(y) [P(h = 0) p(x | y) + P(h = 1) p(x | 0)]."""
    kept = functional.logsigmoid(-parameters.dropout_logits) + likelihood
    dropped = functional.logsigmoid(parameters.dropout_logits) + likelihood_at_zero
    prior = log_negative_binomial(y, parameters.mean, parameters.inverse_dispersion)
    return prior + torch.logaddexp(kept, dropped)
