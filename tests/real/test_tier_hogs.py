"""Four CPU hogs for a minute (PRIMACY_TIER_HOG_SECONDS; ten in `make soak`) at adverts of 100 ms: nobody moves. A stage of its own:
nothing else runs beside it."""

import os
import subprocess
import time

import pytest

from servers.tier import VIP, Tier, wait_until

SECONDS = int(os.environ.get("PRIMACY_TIER_HOG_SECONDS", "60"))
HOGS = 4
LOCATIONS = {"h1": 150, "h2": 100, "h3": 50}


@pytest.fixture
def hogs():
    made = []
    yield made
    for each in made:
        each.kill()
        each.wait()


def test_four_hogs_and_no_move(tmp_path, hogs, figure):
    with Tier(tmp_path) as tier:
        for host in tier.hosts:
            host.agent(advert_interval="100ms", locations=LOCATIONS)
            if host is tier.hosts[0]:
                tier.until_owner(host)
        since = time.time_ns()
        hogs += [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(HOGS)]
        wait_until(lambda: time.time_ns() > since + SECONDS * 1e9, SECONDS + 60, "the time passes", every=0.5)
        moved = tier.addresses.since(since, VIP)
        adverts = [p.at for p in tier.capture.adverts("h1", since)]
        # It was looked at: an agent that says nothing does not move either.
        assert len(adverts) > SECONDS * 5, tier.story()
        worst = max(b - a for a, b in zip(adverts, adverts[1:]))
        figure(f"tier: {HOGS} hogs for {SECONDS} s at 100 ms adverts: {len(moved)} moves, longest pause between adverts {worst / 1e6:.0f} ms")
        assert not moved and tier.owner() is tier.hosts[0], tier.story()
