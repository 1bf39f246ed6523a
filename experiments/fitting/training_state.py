"""The state of a training: what it takes to go on exactly as if it had not ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyro
import torch
from torch import Tensor, nn

from ...data.errors import DataError
from .fits import load_module, read_metrics
from .optimizers import root_of

if TYPE_CHECKING:
    from .training import Trainer

# Attributes of the trainer that record its progress.
PROGRESS = (
    "epoch",
    "batches_done",
    "epoch_loss",
    "seconds",
    "best_score",
    "epochs_since_best",
)


def state_of(trainer: Trainer) -> dict[str, Any]:
    """State from which training resumes: tensors, numbers and strings."""
    random = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        random["cuda"] = torch.cuda.get_rng_state()
    optimizer = trainer.optimizer.get_state()
    loose = loose_parameters(trainer.modules.values())
    return {
        **{name: module.state_dict() for name, module in trainer.modules.items()},
        "param_store": {name: own.detach() for name, own in loose.items()},
        # What was loaded for a parameter stands until its first step.
        "optimizer": trainer.loaded_optimizer | _renamed(trainer, optimizer, to_disk=True),
        "random": random,
        # What training draws with the data, such as divisions of reads.
        "data": getattr(trainer.data, "state_dict", dict)(),
        "progress": {name: getattr(trainer, name) for name in PROGRESS},
        "member_epoch": trainer.members.epoch,
        "data_order_seed": trainer.config.seed,
    }


def restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Restore a state.

    Raises
    ------
    DataError
        If it belongs to another model or seed, or is none.
    """
    try:
        _restore(trainer, state)
    except DataError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{trainer.folder}: its checkpoint is none of this training ({reason}); fit again"
        ) from error


def _restore(trainer: Trainer, state: dict[str, Any]) -> None:
    if state["data_order_seed"] != trainer.config.seed:
        raise DataError(
            f"{trainer.folder}: was fitted with seed {state['data_order_seed']}, not "
            f"{trainer.config.seed}; resume with the same seed"
        )
    for name, module in trainer.modules.items():
        load_module(module, state.get(name, {}), f"{trainer.folder}: its {name}")
    with torch.no_grad():
        for name, own in loose_parameters(trainer.modules.values()).items():
            own.copy_(state["param_store"][name])
    if state.get("data"):
        trainer.data.load_state_dict(state["data"])
    renamed = _renamed(trainer, state["optimizer"], to_disk=False)
    _check_optimizer(renamed)
    trainer.loaded_optimizer = state["optimizer"]
    # An optimiser takes its state when it is made, at the next step.
    trainer.optimizer.optim_objs.clear()
    trainer.optimizer.set_state(renamed)
    torch.set_rng_state(state["random"]["cpu"])
    if "cuda" in state["random"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["random"]["cuda"])
    for name in PROGRESS:
        setattr(trainer, name, state["progress"][name])
    trainer.members.epoch = state["member_epoch"]
    rows = trainer.metrics
    if trainer.folder is not None:
        rows = read_metrics(trainer.folder).to_dict("records")
    # An epoch whose row was written but whose checkpoint was not will be trained again.
    trainer.metrics = [row for row in rows if row["epoch"] <= trainer.epoch]


def _check_optimizer(states: dict[str, Any]) -> None:
    """Raise a ValueError unless states are of optimisers of the parameters."""
    for name, own in states.items():
        if name not in pyro.get_param_store():
            raise ValueError(f"it optimises {name}, which is no parameter")
        if not isinstance(own["state"], dict) or not isinstance(own["param_groups"], list):
            raise ValueError(f"the optimiser of {name} has no state")


def loose_parameters(modules: Iterable[nn.Module]) -> dict[str, Tensor]:
    """Parameters in Pyro's store that belong to none of some modules, unconstrained, by name."""
    owned = {id(own) for module in modules for own in module.parameters()}
    store = pyro.get_param_store()
    return {name: own for name, own in store.named_parameters() if id(own) not in owned}


def _renamed(trainer: Trainer, states: dict[str, Any], *, to_disk: bool) -> dict[str, Any]:
    """Translate parameter names between this process and the checkpoint."""
    renamed = {}
    for parameter, state in states.items():
        new_name = parameter
        for name, module in trainer.modules.items():
            if root := root_of(module):
                old, new = (root, f"{name}.") if to_disk else (f"{name}.", root)
                if parameter.startswith(old):
                    new_name = new + parameter.removeprefix(old)
        renamed[new_name] = state
    return renamed
