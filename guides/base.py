"""What all guides share."""

from __future__ import annotations

import copy
from typing import Any

from ..models.base import UniquelyNamedModule


class Guide(UniquelyNamedModule):
    """A guide with a reference to its model.

    The model is no submodule: the guide's parameters and copies do not include it.

    Parameters
    ----------
    model
        The model that this guide inverts.
    """

    def __init__(self, model: UniquelyNamedModule) -> None:
        super().__init__()
        self._model = (model,)  # in a tuple, so that torch does not register it

    @property
    def model(self) -> Any:
        """The model that this guide inverts."""
        return self._model[0]

    def initialise(self, values: Any) -> None:
        """Set parameters from the training data; by default they stay as they are."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Guide:
        """Copy the guide alone, unless the model is copied in the same call."""
        memo.setdefault(id(self.model), self.model)
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__setstate__(copy.deepcopy(self.__dict__, memo))
        return copied
