"""Runs pytest over tests that disturb each other's clocks, and looks once more, alone, at what failed.

    second_look.py --save FILE [--most N] -- PYTEST_ARGUMENT...

Servers and observers of several tests share the machine's cores, so that a test may fail by its neighbours. What failed in
the first run is run again by itself, one test at a time (`--last-failed -n 0`): what passes then counts as passed, but is
named at the end. A failure alone is a failure; so are more than N (3) first failures, a worker process that died, and any
end of the first run that is not "tests failed". What the first run printed is kept in FILE.

Exit code: 0 only if every test has passed in one run or the other.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MOST = 3
TESTS_FAILED = 1
DIED = re.compile(r"worker '\w+' crashed while running|^\[gw\d+\] node down", re.MULTILINE)


def run(arguments, cache, kept=None):
    """Run pytest, show what it prints and write it to `kept` too; its exit code and its output."""
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = []
    with open(kept, "w") if kept else tempfile.TemporaryFile("w") as file:
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            file.write(line)
            lines.append(line)
    return process.wait(), "".join(lines)


def failed(cache):
    """The tests that failed in the last run, by pytest's own record."""
    try:
        return sorted(json.loads((Path(cache) / "v/cache/lastfailed").read_text()))
    except FileNotFoundError:
        return []


def look(arguments, save, most, cache):
    code, output = run(arguments, cache, save)
    if code != TESTS_FAILED:
        return code
    first = failed(cache)
    if not first:
        print("no second look: pytest names no test that failed")
        return code
    if DIED.search(output):
        print("no second look: a worker process died, which is no matter of clocks")
        return code
    if len(first) > most:
        print(f"no second look: {len(first)} tests failed, which are more than {most}")
        return code
    # From this line on `run` counts the first failures no more.
    print(f"== second look, alone: {', '.join(first)}", flush=True)
    code, output = run([*arguments, "--last-failed", "--last-failed-no-failures", "none", "-n", "0"], cache)
    alone = failed(cache)
    passed = [test for test in first if test not in alone]
    if code == 0 and (alone or not re.search(rf"^(=+ )?{len(first)} passed", output, re.MULTILINE)):
        print("the second look did not run every test that had failed")
        return TESTS_FAILED
    if code in (0, TESTS_FAILED) and passed:
        print(f"{len(passed)} passed only when run alone: {', '.join(passed)}")
    return code


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--save", required=True, type=Path)
    parser.add_argument("--most", type=int, default=MOST)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    options.save.parent.mkdir(parents=True, exist_ok=True)
    # Of this run alone: another one's failures are not ours.
    cache = tempfile.mkdtemp(prefix="primacy-second-look-")
    try:
        return look(options.arguments, options.save, options.most, cache)
    finally:
        shutil.rmtree(cache, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
