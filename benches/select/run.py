#!/usr/bin/env python3
"""What a selection costs, by strategy, size and threads, with and without tables that are published meanwhile; beside the least that it
could cost and a lock with a scan over all nodes, measured in the same run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import report  # noqa: E402

STRATEGIES = ("first-available", "next-available", "round-robin", "round-robin-with-fallback", "weighted", "least-connections", "two-choices")
AIMS = {"first-available": 6, "round-robin": 6, "weighted": 12, "two-choices": 20}
SIZES = (2, 10, 1000)
SECONDS = float(os.environ.get("PRIMACY_BENCH_SELECT_SECONDS", "1"))


def run(program, nodes, threads, publish_us, strategy):
    """Contender: (median, tenth, nine tenths) in nanoseconds."""
    command = [program, str(nodes), str(threads), str(publish_us), strategy, str(SECONDS)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    return {name: tuple(float(n) for n in numbers[:3]) for name, *numbers in rows}


BLOCK = 20000  # as in select.c


def instructions(program, strategy):
    """Instructions of one selection, as callgrind counts them inside of primacy_select; None without valgrind."""
    if not shutil.which("valgrind"):
        return None
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=primacy_select", "--callgrind-out-file=/dev/null",
               program, "2", "1", "0", strategy, "0.2"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    total = next(int(line.rsplit(":", 1)[1]) for line in done.stderr.splitlines() if "Collected" in line)
    blocks = next(int(line.split("\t")[4]) for line in done.stdout.splitlines() if line.startswith("select\t"))
    # The first block is not among those that are told, and one selection comes before all.
    return total / ((blocks + 1) * BLOCK + 1)


def main():
    program = str(report.FOLDER / "select")
    out = report.Report("select", "The cost of a selection through the shared object, nanoseconds a call: median (tenth to nine tenths of the blocks)")
    report.wait_for_quiet(1.0, 60)
    missed = []
    for threads in (1, 2):
        for publish in (0, 1000):
            out.line()
            out.line(f"{threads} thread{'s' if threads > 1 else ''}, {'a table published every millisecond' if publish else 'nothing published'}")
            out.line(f"{'strategy':<28}{'nodes':>6}{'select':>24}{'floor':>20}{'lock and scan':>26}")
            for strategy in STRATEGIES:
                for nodes in SIZES:
                    figures = run(program, nodes, threads, publish, strategy)
                    cells = ["{:.1f} ({:.1f} to {:.1f})".format(*figures[name]) for name in ("select", "floor", "lock+scan")]
                    out.line(f"{strategy:<28}{nodes:>6}{cells[0]:>24}{cells[1]:>20}{cells[2]:>26}")
                    aim = AIMS.get(strategy)
                    if threads == 1 and not publish and aim and figures["select"][0] > aim:
                        missed.append(f"{strategy} with {nodes} nodes: {figures['select'][0]:.1f} ns, aim {aim}")
    out.line()
    out.line("the other calls, one thread")
    for nodes in SIZES:
        figures = run(program, nodes, 1, 0, "calls")
        out.line(f"{nodes:>6} nodes: " + ", ".join("{} {:.1f}".format(name, numbers[0]) for name, numbers in figures.items()))
    out.line()
    for strategy in STRATEGIES:
        count = instructions(program, strategy)
        out.line(f"{strategy:<28}" + (f"{count:.1f} instructions a selection (2 nodes)" if count else "no valgrind, no instructions"))
    out.line()
    out.line("aims missed: " + "; ".join(missed) if missed else "aims met: first-available and round-robin 6 ns, weighted 12, two-choices 20, at any size")


if __name__ == "__main__":
    main()
