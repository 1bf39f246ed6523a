"""Run the command line as ``python -m exvae``."""

from .experiments.cli import main

if __name__ == "__main__":
    main()
