"""Base classes of all models and guides."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import pyro
from pyro.nn import PyroModule

_instances = itertools.count()
_living: weakref.WeakValueDictionary[str, UniquelyNamedModule] = weakref.WeakValueDictionary()


class UniquelyNamedModule(PyroModule):
    """A Pyro module with a name that no other module in the process has.

    Pyro's parameter store is global and finds parameters by name: if two modules had one name, the
    second would silently train the parameters of the first. Save and load modules by
    ``state_dict``.
    """

    def __init__(self) -> None:
        super().__init__(self._new_name())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Give a copied or unpickled module a name of its own."""
        super().__setstate__(state)
        self._pyro_set_supermodule(self._new_name(), self._pyro_context)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``.

        Raises
        ------
        RuntimeError
            If Pyro's parameter store was loaded from a file: it holds parameters of another
            instance of this class, which would be ignored.
        """
        self._refuse_loaded_parameters()
        return super().__call__(*args, **kwargs)

    def _new_name(self) -> str:
        name = f"{type(self).__name__}_{next(_instances)}"
        _living[name] = self
        # Parameters that a deleted module left in the store would look like loaded ones.
        weakref.finalize(self, _forget, name)
        return name

    def _refuse_loaded_parameters(self) -> None:
        """Raise if the parameter store was loaded: it holds names that belong to no module."""
        prefix = f"{type(self).__name__}_"
        others = []
        for full_name, value in pyro.get_param_store().named_parameters():
            root, _, parameter = full_name.partition(".")
            if root == self.root_name:
                return
            if root.removeprefix(prefix).isdigit():
                others.append((root, parameter.replace("$$$", "."), value))
        for root, parameter, value in others:
            owned = dict(_living[root].named_parameters()) if root in _living else {}
            if owned.get(parameter) is not value:
                raise RuntimeError(
                    f"Pyro's parameter store holds parameters of {root}, not of this "
                    f"{type(self).__name__}; save modules with state_dict() and load them with "
                    "load_state_dict(), or call pyro.clear_param_store()"
                )

    def learning_rate_factor(self, parameter: str) -> float:
        """Learning-rate multiplier for a parameter, by its name in the module."""
        return 1.0

    @property
    def root_name(self) -> str:
        """First part of the names of this module's parameters in Pyro's parameter store."""
        return self._pyro_name


def _forget(root: str) -> None:
    store = pyro.get_param_store()
    for name in [name for name in store if name.startswith(f"{root}.")]:
        del store[name]
