"""Seconds that the check of a fit takes beside the fit itself, in one run.

    python experiments/benchmarks/isoform_check.py cells.h5ad

Fit and check run with their defaults, each in a process of its own, from the start of Python to the
last picture. Further options of ``fit`` follow ``--``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from processes import Cost, run_python


def exvae(*arguments: object) -> Cost:
    """Run a command of exvae."""
    return run_python(["-m", "exvae", "isoforms", *arguments])


def main() -> None:
    """Fit, check and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path, help="from exvae isoforms import")
    parser.add_argument("options", nargs="*", help="further options of fit")
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        costs = {
            "fit": exvae("fit", options.cells, "--out", folder / "fit", *options.options),
            "check": exvae("check", folder / "fit", options.cells, "--out", folder / "check"),
        }
    for name, cost in costs.items():
        print(
            f"{name}: {cost.seconds:.1f} s ({cost.computing:.1f} s of computing), "
            f"{cost.memory_mib / 2**10:.2f} GiB at the peak"
        )
    print(costs["check"].printed, end="")
    print(f"check / fit: {costs['check'].seconds / costs['fit'].seconds:.2f}")


if __name__ == "__main__":
    main()
