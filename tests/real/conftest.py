"""Fixtures: the servers' folder, rings kept over tests, instances over them, and figures printed at the end."""

import os
import random
from pathlib import Path

import pytest

from servers import PROBE, Workspace

from .rings import Ring
from .watch import Watch, configuration

figures = pytest.StashKey()


@pytest.fixture(scope="session")
def space(request):
    with Workspace() as made:
        yield made
        if request.session.testsfailed:
            made.keep()


@pytest.fixture(scope="session")
def rings(space):
    """Rings by flavour and size, made when first asked for."""
    made = {}

    def get(flavour, number=2):
        if (flavour, number) not in made:
            made[flavour, number] = Ring(space, flavour, number)
        return made[flavour, number]

    return get


@pytest.fixture(params=["mariadb", "mysql"])
def flavour(request):
    return request.param


@pytest.fixture
def ring(rings, flavour):
    """Two servers in good order."""
    return rings(flavour).mend()


@pytest.fixture(scope="session")
def secret(space):
    """The probe's password in a file of its own."""
    return write_secret(space.path / "probe.password", PROBE.password)


def write_secret(path, text):
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def watch(secret):
    """Make instances that end with the test: `watch(nodes, probe={…}, pool={…}, run="no")`."""
    made = []

    def make(nodes, run="thread", **settings):
        settings.setdefault("password_file", secret)
        made.append(Watch(configuration(nodes, **settings), run))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def dice(request):
    """Randomness with its seed in the output; PRIMACY_SEED repeats a run."""
    seed = int(os.environ.get("PRIMACY_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"PRIMACY_SEED={seed} for {request.node.name}")
    return random.Random(seed)


def pytest_configure(config):
    config.stash[figures] = []


@pytest.fixture
def figure(request):
    """Note a measured figure; all are printed after the run."""
    return request.config.stash[figures].append


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    # Under pytest-xdist the tests ran in a worker.
    node.config.stash[figures].extend(getattr(node, "workeroutput", {}).get("figures", []))


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = session.config.stash[figures]


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[figures]:
        terminalreporter.section("measured")
        for line in sorted(config.stash[figures]):
            terminalreporter.write_line(line)
        if os.environ.get("PRIMACY_SOAK"):
            Path(os.environ["PRIMACY_SOAK"]).write_text("".join(f"{line}\n" for line in sorted(config.stash[figures])))
