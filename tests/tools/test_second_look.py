"""The runner itself: what a second look forgives, what it does not, and that a bad end stays one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent
# Of the pytest-xdist around this test its own child must know nothing.
BARE = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}

# Passes only if it is not the first to come; the mark outlives the run.
FLAKY = """
import pathlib
def test_flaky{n}():
    mark = pathlib.Path(__file__ + ".mark{n}")
    seen = mark.exists()
    mark.touch()
    assert seen, "a neighbour disturbed it"
"""
GOOD = "def test_good():\n    pass\n"
BAD = "def test_bad():\n    assert False, 'broken for good'\n"
DIES = "import os\ndef test_dies():\n    os._exit(3)\n" + FLAKY.format(n=0)
# The fixture fails at the end of the first run.
ERROR = """
import pathlib, pytest
@pytest.fixture
def shaky():
    yield
    mark = pathlib.Path(__file__ + ".mark")
    seen = mark.exists()
    mark.touch()
    assert seen, "not tidy"
def test_error(shaky):
    pass
"""


def look(tmp_path, *arguments, **files):
    for name, text in files.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    command = [sys.executable, TOOLS / "second_look.py", "--save", tmp_path / "first.log", "--", "-q", "-n", "1", tmp_path]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=BARE, cwd=tmp_path, timeout=600)


def flaky(number):
    return "".join(FLAKY.format(n=n) for n in range(number))


def test_what_passes_alone_has_passed_and_is_named(tmp_path):
    done = look(tmp_path, good=GOOD, flaky=flaky(2), error=ERROR)
    assert done.returncode == 0, done.stdout + done.stderr
    (named,) = [line for line in done.stdout.splitlines() if "passed only when run alone" in line]
    assert named.startswith("3 passed only when run alone: ")
    assert all(f"test_flaky.py::test_flaky{n}" in named for n in (0, 1)) and "test_error.py::test_error" in named, named
    first = (tmp_path / "first.log").read_text()
    assert "a neighbour disturbed it" in first and "not tidy" in first, "its first failure stays on record"
    # Nothing to forgive, nothing said.
    done = look(tmp_path)
    assert done.returncode == 0 and "alone" not in done.stdout, done.stdout


@pytest.mark.parametrize(
    "files, said",
    [
        ({"bad": BAD}, "== second look"),
        ({"bad": BAD, "flaky": flaky(1)}, "1 passed only when run alone: "),
        ({"flaky": flaky(4)}, "no second look: 4 tests failed, which are more than 3"),
        ({"dies": DIES}, "no second look: a worker process died"),
        ({"wrong": "def test_("}, "error"),
        ({"none": "x = 1\n"}, "no tests ran"),
    ],
    ids=["fails alone", "one of two fails alone", "too many", "a worker died", "cannot be read", "no tests"],
)
def test_a_bad_end_stays_one(tmp_path, files, said):
    done = look(tmp_path, **files)
    assert done.returncode != 0, done.stdout
    assert said in done.stdout, done.stdout + done.stderr


def test_a_death_in_the_second_look_is_a_failure(tmp_path):
    text = FLAKY.format(n=0).replace("    assert seen", "    if seen: import os; os._exit(0)\n    assert seen")
    done = look(tmp_path, dies=text)
    assert done.returncode != 0, "pytest ended with 0 and has run nothing:\n" + done.stdout


PARTS = """
part_rust() { echo 'test result: ok. 7 passed; 0 failed; 0 ignored'; }
part_c() { echo 'ok one'; echo 'not ok two'; return %(c)d; }
part_lua() { echo 'ok three'; }
part_python() { echo 'Ran 5 tests in 0.1s'; echo; echo 'OK (skipped=1)'; return %(python)d; }
part_real() { %(python_path)s %(tools)s/second_look.py --save "$PRIMACY_LOGS/first.log" -- -q -n 1 %(tests)s; }
"""


def run(tmp_path, *parts, c=1, python=0, **files):
    for name, text in files.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    (tmp_path / "parts").write_text(PARTS % {"c": c, "python": python, "python_path": sys.executable, "tools": TOOLS, "tests": tmp_path})
    env = {**BARE, "PRIMACY_PARTS": str(tmp_path / "parts"), "PRIMACY_LOGS": str(tmp_path), "PRIMACY_DEPS": "no"}
    done = subprocess.run([TOOLS / "run", *parts], capture_output=True, text=True, env=env, timeout=600)
    return done.returncode, done.stdout.splitlines()


def test_the_sum_of_all_runners(tmp_path):
    code, lines = run(tmp_path, "rust", "real", good=GOOD, flaky=flaky(2))
    assert code == 0, lines
    assert lines[-1] == "10 passed, 0 failed"
    assert lines[-2].startswith("2 passed only when run alone: "), lines[-3:]
    assert lines[-3].startswith("== real: 3 passed, 0 failed; 2 passed only when run alone: "), lines[-3:]
    code, lines = run(tmp_path, "all", bad=BAD)
    assert (code, lines[-1]) == (1, "16 passed, 2 failed"), lines[-5:]
    assert "== c: 1 passed, 1 failed" in lines and "== real: 3 passed, 1 failed" in lines, lines
    # A part that ends badly, whatever it says.
    code, lines = run(tmp_path, "rust", "python", python=4)
    assert (code, lines[-1]) == (1, "11 passed, 1 failed"), lines
    assert "not ok python: ended with 4" in lines
    code, lines = run(tmp_path, "nothing")
    assert code == 2
