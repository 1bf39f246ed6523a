"""Drawing leaves pyplot, its figures and its backend alone."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

import exvae.experiments.drawing
import exvae.experiments.pl
from exvae.experiments.drawing.embeddings import draw_states
from exvae.experiments.drawing.saving import save
from exvae.experiments.drawing.training import draw_training
from exvae.experiments.figures.registry import FIGURES

MODULES = sorted(
    f"{package.__name__}.{path.stem}"
    for package in (exvae.experiments.drawing, exvae.experiments.pl)
    for path in Path(package.__file__).parent.glob("*.py")
    if path.stem != "__init__"
)
FIGURE_MODULES = [f"exvae.experiments.figures.{name.replace('-', '_')}" for name in FIGURES]
METRICS = pd.DataFrame({"epoch": [1], "seconds": [1.0], "loss_per_cell": [2.0]})


@pytest.mark.parametrize("backend", ["agg", "svg"])
def test_the_backend_and_open_figures_stay(backend: str, tmp_path: Path) -> None:
    before = matplotlib.get_backend()
    try:
        pyplot.switch_backend(backend)
        own = pyplot.figure()
        for name in MODULES:
            import_module(name)
        save(draw_training(METRICS), tmp_path / "training.png")
        save(draw_states(np.eye(3)).figure, tmp_path / "states.png")
        assert matplotlib.get_backend() == backend
        assert pyplot.get_fignums() == [own.number]
    finally:
        pyplot.close("all")
        pyplot.switch_backend(before)


def test_pyplot_is_never_imported(tmp_path: Path) -> None:
    program = f"""
import sys
from importlib import import_module
from pathlib import Path
import pandas as pd
for name in {MODULES + FIGURE_MODULES}:
    import_module(name)
from exvae.experiments.drawing.saving import save
from exvae.experiments.drawing.training import draw_training
metrics = pd.DataFrame({METRICS.to_dict("list")})
save(draw_training(metrics), Path({str(tmp_path / "training.png")!r}))
print("matplotlib.pyplot" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "False", ran.stderr
