"""Helpers that lie beside the tests, as fixtures: test modules are not importable by name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str) -> ModuleType:
    """Load a module that lies in this folder, once."""
    if name not in sys.modules:
        path = Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def brute_force() -> ModuleType:
    """Give the reference likelihood of bootstraps."""
    return load("brute_force")


@pytest.fixture(scope="session")
def stress_points() -> ModuleType:
    """Give the points at which the likelihood is compared with the reference."""
    return load("stress_points")


@pytest.fixture(scope="session")
def examples() -> ModuleType:
    """Give distributions of bootstraps that tests vary."""
    return load("examples")


@pytest.fixture(scope="session")
def generation() -> ModuleType:
    """Give what compares draws of models with their densities."""
    return load("generation")


@pytest.fixture(scope="session")
def small_models() -> ModuleType:
    """Give small models of isoforms, and minibatches for them."""
    return load("small_models")


@pytest.fixture(scope="session")
def kinds(brute_force: ModuleType) -> list[tuple[str, str]]:
    """Give all combinations of error and noise, as named tuples."""
    return brute_force.KINDS


@pytest.fixture(params=load("brute_force").KINDS, ids="-".join)
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Give one combination after another."""
    return request.param
