"""The README's loop runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_loop_of_the_readme_runs(capsys) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.splitlines()) <= 20
    scope: dict[str, object] = {}
    exec(compile(code, str(README), "exec"), scope)
    assert len(capsys.readouterr().out.splitlines()) >= 2
    # 20 replicates of every word of the corpus, and a loss well below log 200, that of no topics.
    assert scope["replicated"].shape == (20, scope["corpus"].num_tokens)
    observed = scope["everything"].obs.bincount(minlength=200) / scope["corpus"].num_tokens
    share = scope["replicated"].flatten().bincount(minlength=200) / scope["replicated"].numel()
    assert (observed - share).abs().max() < 0.01
    assert scope["loss"] / scope["corpus"].num_tokens < 4.0
