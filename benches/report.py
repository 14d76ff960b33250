"""What all benches share: the machine they ran on, medians and spread, and a report that is printed and kept."""

import os
import platform
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "target" / "bench"


def machine():
    """One line on processor, kernel and cores."""
    model = platform.processor() or "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    virtual = ", virtual" if "hypervisor" in Path("/proc/cpuinfo").read_text() else ""
    return f"{model}, {os.cpu_count()} cores{virtual}, Linux {platform.release()}"


def load():
    """How many processes wanted a core in the last minute."""
    return os.getloadavg()[0]


def quantile(values, share):
    """The value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -(-int(share * 100) * len(ordered) // 100) - 1))]


def spread(values):
    """Median, least and greatest."""
    return statistics.median(values), min(values), max(values)


def wait_for_quiet(most, patience):
    """Wait until the machine's other work leaves a core free, but no longer than `patience` seconds."""
    deadline = time.monotonic() + patience
    while load() > most and time.monotonic() < deadline:
        time.sleep(2)


class Report:
    """Lines that go to the terminal at once and to target/bench/NAME.txt."""

    def __init__(self, name, title):
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.path = FOLDER / f"{name}.txt"
        self._file = open(self.path, "w", encoding="utf-8")
        self.line(title)
        self.line(f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC; {machine()}; load {load():.1f} at the start")

    def line(self, text=""):
        print(text, flush=True)
        print(text, file=self._file, flush=True)

    def table(self, head, rows):
        """Rows of text; the first column to the left, all others to the right."""
        widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
        for row in [head, *rows]:
            cells = [str(cell).ljust(w) if i == 0 else str(cell).rjust(w) for i, (cell, w) in enumerate(zip(row, widths))]
            self.line("  ".join(cells).rstrip())
            if row is head:
                self.line("  ".join("-" * w for w in widths))

    def close(self):
        self.line(f"load {load():.1f} at the end")
        self._file.close()
        print(f"kept in {self.path.relative_to(ROOT)}", file=sys.stderr)
