"""What all models and guides share."""

from __future__ import annotations

import itertools
from typing import Any

from pyro.nn import PyroModule

_instances = itertools.count()


class UniquelyNamedModule(PyroModule):
    """A Pyro module whose parameters no other module in the process can be given.

    Pyro's parameter store is global and goes by names: of two modules of one name the second would
    silently train the parameters of the first.
    """

    def __init__(self) -> None:
        super().__init__(self._new_name())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Give a copied or unpickled module a name of its own."""
        super().__setstate__(state)
        self._pyro_set_supermodule(self._new_name(), self._pyro_context)

    def _new_name(self) -> str:
        return f"{type(self).__name__}_{next(_instances)}"

    def learning_rate_factor(self, parameter: str) -> float:
        """How many times the learning rate is right for a parameter, by its name in the module."""
        return 1.0

    @property
    def root_name(self) -> str:
        """First part of the names of this module's parameters in Pyro's parameter store."""
        return self._pyro_name
