"""The benchmark of all parts, the profile of commands and the comparison with a GPU."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from exvae.experiments.demo import simulate_isoforms

from .test_benchmarks import SCRIPTS, run

ROW = re.compile(r"^\| (.+) \| (\S+) \| (\S+) \| (.+) \| (\S+) \((\S+) to (\S+)\) \|$", re.M)


def script(name: str) -> ModuleType:
    """Load a module of the benchmarks, which stand in no package."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look here
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_ratios_and_a_page(tmp_path: Path) -> None:
    page, pictures = tmp_path / "page.md", tmp_path / "pictures"
    page.write_text(
        "# Page\n\n<!-- bench.py: begin -->\nold\n<!-- bench.py: end -->\n\nThe rest.\n"
    )
    written = ("--out", str(page), "--pictures", str(pictures))
    parts = ("likelihood", "sweeps")
    printed = run("bench.py", "--repeats", "2", "--parts", *parts, *written)
    text = page.read_text()
    assert text.startswith("# Page\n")
    assert text.endswith("\nThe rest.\n")
    assert "old" not in text
    assert "(pictures/benchmarks.png)" in text
    assert (pictures / "benchmarks.png").read_bytes().startswith(b"\x89PNG")
    rows = ROW.findall(text)
    assert len(rows) >= 5
    for name, ours, theirs, peer, middle, low, high in rows:
        assert 0 < float(low) <= float(middle) <= float(high), name
        assert float(ours) > 0 < float(theirs), name
        assert f"| {peer} |" in printed
    grid = next(row for row in rows if row[3] == "the paper's grid")
    assert float(grid[4]) < 0.1


@pytest.mark.slow
@pytest.mark.peers
def test_all_parts_beside_their_peers() -> None:
    for package in ("scvi", "sklearn", "gensim", "tomotopy", "pytximport"):
        pytest.importorskip(package, reason='needs the extra "peers"')
    rows = ROW.findall(run("bench.py"))
    peers = {peer for *_, peer, _, _, _ in rows}
    assert {"SCVI of scvi-tools", "ZINB of scvi-tools", "pytximport", "its fit"} < peers
    assert {"scikit-learn online", "gensim", "tomotopy", "one process", "in memory"} < peers
    assert all(float(row[4]) > 0 for row in rows)


def test_a_part_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    bench = script("bench")

    def run_part(part: str, repeat: int, options: object) -> list:
        if part == "sweeps":
            raise RuntimeError("no")
        return [bench.Figure("time (s)", "peer", 2.0 + repeat, 4.0)]

    monkeypatch.setattr(bench, "run_part", run_part)
    monkeypatch.setattr(sys, "argv", ["bench.py", "--parts", "sweeps", "topics", "--repeats", "3"])
    assert bench.main() == 1


def test_medians_and_ranges_of_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    bench = script("bench")
    runs = [
        bench.Figure("time (s)", "peer", ours, theirs)
        for ours, theirs in ((1, 4), (2, 4), (30.126, 10))
    ]
    assert bench.row(runs) == ("time (s)", "2", "4", "peer", "0.5 (0.25 to 3.01)")


def test_a_part_of_a_page_is_replaced(tmp_path: Path) -> None:
    pages = script("pages")
    page = tmp_path / "page.md"
    for text in ("one", "two"):
        for name in ("a", "b"):
            pages.replace_part(page, name, f"{text} {name}")
    parts = [f"<!-- {own}: begin -->\n\ntwo {own}\n\n<!-- {own}: end -->\n" for own in "ab"]
    assert page.read_text() == "\n".join(parts)
    assert [pages.digits(value) for value in (0, 0.00012345, 1.5, 123.4)] == [
        *("0", "0.000123", "1.5", "123")
    ]


def test_seconds_count_for_the_innermost_part(monkeypatch: pytest.MonkeyPatch) -> None:
    sections = script("sections")
    now = iter(range(100))
    monkeypatch.setattr(sections.time, "process_time", lambda: float(next(now)))
    clock = sections.Sections()
    inner = clock.counted("inner", lambda: None)

    def both() -> None:
        inner()
        inner()

    clock.counted("outer", both)()
    clock.tick()
    assert clock.seconds == {sections.REST: 2.0, "outer": 3.0, "inner": 2.0}


@pytest.mark.slow
def test_where_the_seconds_of_commands_go(tmp_path: Path) -> None:
    path, page = tmp_path / "cells.h5ad", tmp_path / "page.md"
    simulate_isoforms(path, 40, 12, 4, num_types=2, depth=240.0, seed=0)
    printed = run("profile_commands.py", "--out", str(page), "--", str(path))
    assert "40 × 12: extrapolated from 1 and twice as many epochs, of 60, and 8" in printed
    table = page.read_text()
    assert "| 40 × 12, seconds | fit | export | check | evaluate |" in table
    parts = {
        name: [float(cell.strip() or 0) for cell in cells.split("|")]
        for name, cells in re.findall(
            r"^\| ([A-Za-z*][^|]*?) \| ((?:[\d.]*\s*\|\s*){3}[\d.]*) \|$", table, re.M
        )
    }
    whole = parts.pop("**all**")
    for column, own in enumerate(whole):
        assert own > 1
        added = sum(seconds[column] for seconds in parts.values())
        assert added == pytest.approx(own, abs=0.1 * len(parts))
    for part in ("start of Python, libraries", "encoder", "likelihood", "Pyro"):
        assert parts[part][0] > 0
    floor = re.search(r"^\| measured / floor \| (\S+) \|$", table, re.M)
    assert float(floor[1]) > 1


@pytest.mark.slow
def test_a_device_beside_the_cpu() -> None:
    printed = run("gpu.py")
    for model in ("effective-reads, cells, max", "reads, cells", "paper, paper", "scvi, cells"):
        assert f"| {model}" in printed
    assert printed.count("| same |") == 4 * 4 + 5 + 4
    assert "differs" not in printed
    assert re.search(r"^\| step, data on the device \(s\) \| \S+ \| \S+ \| \S+ \|$", printed, re.M)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    gpu = script("gpu")
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 2
    assert capsys.readouterr().err == ("torch sees no CUDA device; --device cpu tries the script\n")


def test_steps_that_differ_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The steps of one device are changed behind the comparison's back."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    gpu = script("gpu")
    own_run, seen = gpu.run, []

    def run_changed(case: object, device: str) -> tuple:
        losses, gradients = own_run(case, device)
        seen.append(device)
        return losses, [own * (1 + 1e-4 * (len(seen) % 2)) for own in gradients]

    cases = list(gpu.topic_cases(20))[:2]
    assert all(good for *_, good in gpu.compare_steps(iter(cases), "cpu"))
    monkeypatch.setattr(gpu, "run", run_changed)
    rows = gpu.compare_steps(iter(cases), "cpu")
    assert not any(good for *_, good in rows)
    assert all(losses == 0 and gradients > 1e-5 for _, losses, gradients, _ in rows)
