"""Finds the packages: the root of the repository is the package itself."""

from setuptools import find_packages, setup

FOLDERS = find_packages(include=["models*", "guides*", "data*", "experiments*"])

setup(packages=["exvae", *(f"exvae.{folder}" for folder in FOLDERS)])
