"""Faults that leave a server alive: each has its cause, its words and its healing, and none moves the role."""

import time

import pytest

from servers import PROBE, REPLICATION, wait_converged, wait_until
from servers.faults import heal_duplicate_key, kill_probe_sessions, rotate_password, spike, stop_sql_thread_by_duplicate_key

from .rings import bar_replicas, insert, make_table, set_read_only, warm

OK_CRITICAL = ("OK", "OK_INFO", "OK_WARN", "OK_CRITICAL")


def test_sql_thread_stopped_by_a_duplicate_key(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    key = stop_sql_thread_by_duplicate_key(b, a)
    failed = w.event("state", b, timeout=6, new_state="FAILED_ONLINE")
    assert failed.old_state == "STANDBY" and failed.cause == "replication_stopped" and failed.rule == 222
    node = w.node(b)
    assert (node.state, node.status, node.error_number) == ("FAILED_ONLINE", "FAIL", 1062), w.story()
    assert "1062" in node.message and "SQL" in node.message, node.message
    assert "1062" in failed.message, "whoever reads the event's log wants the number"
    assert node.channels[0].sql == "stopped" and node.channels[0].sql_error == 1062
    assert not node.waits_for_recover
    # The ladder is walked a step at a time.
    steps = [str(event.new_status) for event in w.found("status", b)]
    assert steps == ["OK_INFO", "OK_WARN", "OK_CRITICAL"]
    assert "1062" in w.pool.explain()

    # No candidate: the ACTIVE is the last node as long as this lasts.
    heal_duplicate_key(b, key)
    healed = w.event("state", b, timeout=8, new_state="STANDBY")
    assert healed.old_state == "FAILED_ONLINE" and healed.rule == 227
    w.until(lambda: w.node(b).status == "OK" and w.node(b).cause == "ok", 5, "all is well")
    assert not w.switches() and w.active() == a.address


def test_a_standby_with_a_stopped_sql_thread_does_not_take_over(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    key = stop_sql_thread_by_duplicate_key(b, a)
    a.kill9()
    last = w.event("last_node", a, timeout=5)
    assert last.rule == 247 and b.address in last.message
    assert not w.switches()
    a.restart()
    w.until(lambda: w.node(a).status in OK_CRITICAL, 10, "the last node heals")
    heal_duplicate_key(b, key)
    w.settled(a)


def test_sql_thread_stopped_under_mpp(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes, pool={"policy": "mpp"}, probe={"interval": "100ms", "timeout": "50ms"})
    w.until(lambda: w.active() == a.address and w.node(b).state == "STANDBY", 10, "the start")
    w.forget()
    key = stop_sql_thread_by_duplicate_key(b, a)
    w.event("state", b, timeout=5, new_state="FAILED_ONLINE")
    assert w.node(b).cause == "replication_stopped" and w.node(b).error_number == 1062
    heal_duplicate_key(b, key)
    w.until(lambda: w.node(b).cause == "ok", 5, "replication runs")
    w.holds(lambda: w.node(b).state == "FAILED_ONLINE", 0.5, "as in the original, an operator must recover it")
    w.pool.recover(b.address)
    w.until(lambda: w.node(b).state == "STANDBY", 5, "recovered")
    assert not w.switches()


def test_a_rotated_password(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes, probe={"login_interval": "3s", "interval": "200ms"}).settled(a)
    rotate_password(a, "rotated")
    rotated = time.monotonic()
    # The kept connection goes on; the next login is refused.
    denied = w.event("status", a, timeout=6, cause="auth_denied")
    assert denied.rule == 207 and denied.mono_ns / 1e9 > rotated
    assert w.node(a).error_number == 1045 and PROBE.user in w.node(a).message
    w.until(lambda: w.node(a).status == "OK_CRITICAL", 5, "OK_CRITICAL")
    w.holds(lambda: w.node(a).status == "OK_CRITICAL" and w.node(a).state == "ACTIVE", 2, "OK_CRITICAL and ACTIVE")
    assert w.pool.active.name == a.address and w.pool.status == "OK"
    assert not w.found("doubt") and not w.switches(), "alive: no doubt begins"
    rotate_password(a, PROBE.password)
    warm(a)
    w.settled(a)


def test_a_rotated_password_shows_only_at_the_next_login(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes, probe={"login_interval": "1d", "interval": "100ms"}).settled(a)
    rotate_password(a, "rotated")
    w.holds(lambda: w.node(a).cause == "ok", 1.5, "the kept connection goes on")
    # A session that the server ends: at once a fresh login, which is refused. That is no failure.
    assert kill_probe_sessions(a) >= 1
    w.event("status", a, timeout=3, cause="auth_denied")
    rotate_password(a, PROBE.password)
    warm(a)
    w.settled(a)


def test_max_connections_reached_after_the_probe_has_connected(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes, probe={"login_interval": "1d", "interval": "200ms"}).settled(a)
    with a.connect() as root, spike(a, 12) as crowd:
        assert len(crowd) == 12
        # Fewer places than are taken: whoever leaves does not get in again.
        root.cursor().execute("SET GLOBAL max_connections = 10")
        w.holds(lambda: w.node(a).cause == "ok", 0.7, "the kept connection goes on")
        with root.cursor() as cursor:
            cursor.execute("SHOW PROCESSLIST")
            for number in [row[0] for row in cursor.fetchall() if row[1] == PROBE.user]:
                cursor.execute(f"KILL CONNECTION {number}")
        refused = w.event("status", a, timeout=3, cause="too_many_connections")
        assert refused.rule == 207
        w.until(lambda: w.node(a).status == "OK_CRITICAL", 5, "OK_CRITICAL")
        assert w.node(a).error_number == 1040
        w.holds(lambda: w.node(a).status == "OK_CRITICAL" and w.node(a).state == "ACTIVE", 1, "OK_CRITICAL and ACTIVE")
        assert not w.found("doubt") and not w.switches()
        root.cursor().execute("SET GLOBAL max_connections = 60")
        w.settled(a)


def test_a_standby_whose_source_rejects_it(ring, watch):
    """Its IO thread says Connecting, as when the source is dead; but the source is in order, so the fault is the standby's own."""
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    bar_replicas(a)
    failed = w.event("state", b, timeout=8, new_state="FAILED_ONLINE")
    assert failed.rule == 222
    assert "reject" in w.node(b).message and REPLICATION.password not in w.node(b).message, w.node(b).message
    rotate_password(a, REPLICATION.password, REPLICATION.user)
    b.stop_replication()
    b.start_replication()
    healed = w.event("state", b, timeout=8, new_state="STANDBY")
    assert healed.rule == 227
    w.settled(a)


def test_a_standby_that_replicates_from_nobody(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    b.stop_replication()
    w.event("state", b, timeout=6, new_state="FAILED_ONLINE", rule=222)
    assert w.node(b).cause == "replication_stopped"
    b.start_replication()
    w.event("state", b, timeout=8, new_state="STANDBY", rule=227)


def test_a_read_only_standby_is_no_candidate(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    set_read_only(b, True)
    w.until(lambda: w.node(b).read_only is True, 5, "read_only is seen")
    assert w.node(b).state == "STANDBY" and w.node(b).status == "OK"
    assert "read" in w.pool.explain().split("may not take over")[-1], w.pool.explain()
    a.kill9()
    last = w.event("last_node", a, timeout=5, rule=247)
    assert b.address in last.message and "read" in last.message, last.message
    w.holds(lambda: w.active() == a.address and w.node(a).status == "FAIL", 1, "the last node keeps the role")
    # Writable again: now it may, at once and by itself.
    set_read_only(b, False)
    switch = w.event("switch", b, timeout=3)
    assert switch.rule == 245


def test_a_read_only_primary_is_not_the_first_choice(ring, watch):
    a, b = ring.nodes
    set_read_only(a, True)
    w = watch(ring.nodes)
    w.event("switch", timeout=5)
    w.holds(lambda: w.active() == b.address, 1, "the writable node has the role, whatever the types say")


def test_lag(ring, watch):
    """A number for selection and take-over; it walks nobody down the ladder."""
    a, b = ring.nodes
    make_table(ring)
    w = watch(ring.nodes, pool={"max_lag": "1s", "max_takeover_lag": "2s"}).settled(a)
    lock = b.connect()
    lock.cursor().execute("FLUSH TABLES WITH READ LOCK")
    try:
        insert(a, 2)
        w.until(lambda: w.node(b).cause == "replication_lag", 8, "the lag is seen")
        assert w.node(b).channels[0].lag >= 2
        w.until(lambda: w.node(b).channels[0].lag >= 4, 8, "too late to take over")
        assert w.node(b).state == "STANDBY" and w.node(b).status in ("OK_INFO", "OK_WARN")
        assert "behind" in w.node(b).message
        a.kill9()
        last = w.event("last_node", a, timeout=5, rule=247)
        assert b.address in last.message and "behind" in last.message, last.message
        assert not w.switches()
    finally:
        lock.cursor().execute("UNLOCK TABLES")
        lock.close()
    # It applies what it had received, and may take over then.
    w.event("switch", b, timeout=6, rule=245)
    assert b.sql("SELECT COUNT(*) FROM app.t")[0][0] >= 2


def test_missing_grants_name_themselves(ring, watch):
    a, b = ring.nodes
    a.sql_unlogged(f"REVOKE {a.probe_privileges} ON *.* FROM '{PROBE.user}'@'%'")
    w = watch(ring.nodes, probe={"interval": "100ms", "login_interval": "1s"})
    w.until(lambda: w.node(a).cause == "query_failed", 5, "the cause")
    node = w.node(a)
    assert node.error_number == 1227 and a.probe_privileges in node.message, node.message
    w.until(lambda: w.active() == b.address, 5, "who can be judged is chosen")
    # A session keeps the grants of its login; the next one has the new ones.
    a.sql_unlogged(f"GRANT {a.probe_privileges} ON *.* TO '{PROBE.user}'@'%'")
    w.until(lambda: w.node(a).cause == "ok", 5, "the grant is seen")


def test_grants_lost_while_active(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes, probe={"interval": "100ms", "login_interval": "1s"}).settled(a)
    a.sql_unlogged(f"REVOKE {a.probe_privileges} ON *.* FROM '{PROBE.user}'@'%'")
    w.event("status", a, timeout=5, cause="query_failed")
    w.until(lambda: w.node(a).status == "OK_CRITICAL", 5, "OK_CRITICAL")
    w.holds(lambda: w.node(a).status == "OK_CRITICAL" and w.active() == a.address, 1, "OK_CRITICAL and ACTIVE")
    # A session keeps the grants of its login; the next one has the new ones.
    a.sql_unlogged(f"GRANT {a.probe_privileges} ON *.* TO '{PROBE.user}'@'%'")
    w.settled(a)
    assert not w.switches()


@pytest.mark.parametrize("flavour", ["mysql"])
def test_offline_mode(ring, watch):
    """MySQL can turn every ordinary account away (3032): such a server serves nobody, so it counts as gone."""
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    a.sql("SET GLOBAL offline_mode = 1")
    w.event("switch", b, timeout=5)
    assert w.node(a).cause == "offline_mode" and w.node(a).error_number == 3032, w.story()
    a.sql("SET GLOBAL offline_mode = 0")
    w.until(lambda: w.node(a).cause == "ok", 5, "it serves again")
    w.holds(lambda: w.active() == b.address, 0.5, "it waits for recover")


def test_faults_come_and_go_without_a_trace(ring, watch):
    """After a fault is repaired and the ring has converged, nothing of it is left in the pool's state."""
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    b.shutdown()
    w.event("state", b, timeout=6, new_state="FAILED_OFFLINE")
    b.restart()
    w.event("state", b, timeout=10, new_state="STANDBY", rule=227)
    w.settled(a)
    wait_converged(ring.nodes)
    wait_until(lambda: w.node(b).gtids == w.node(a).gtids, 5, "the same transactions on both")
    assert [node.count for node in w.pool.nodes()] == [0, 0]
