"""How probes log in, by both authentication methods, and that no secret ever shows."""

import json
import time
from pathlib import Path

import primacy
import pytest

from servers import PROBE
from servers.faults import kill_probe_sessions, rotate_password

from .conftest import write_secret
from .rings import warm
from .watch import Watch, configuration

OTHER_KEY = Path(__file__).resolve().parent.parent / "data" / "wire" / "rsa-2048-pkcs8.pem"
# What TLS changes about logins is test_tls.py's matter.
FAST = {"interval": "50ms", "tls": "disabled"}


@pytest.fixture(scope="module")
def mysql(space):
    server = space.create("mysql").start().wait_ready()
    yield server
    server.discard()


@pytest.fixture(scope="module")
def mariadb(space):
    server = space.create("mariadb").start().wait_ready()
    yield server
    server.discard()


def forget_account(server):
    """Empty the cache of caching_sha2_password: the next login must bring the whole password."""
    server.sql("FLUSH PRIVILEGES")


def cause_of(w, server, wanted, timeout=5):
    w.until(lambda: w.pool.nodes()[0].cause == wanted, timeout, wanted)
    return w.pool.nodes()[0]


# --- caching_sha2_password ----------------------------------------------------------------------------------------------------


def test_the_fast_path_needs_nothing(mysql, watch):
    warm(mysql)
    w = watch([mysql], probe={"rsa_public_key": None, **FAST})
    node = cause_of(w, mysql, "ok")
    assert node.flavour == "mysql" and node.version[:2] == (9, 7)
    assert node.server_uuid == mysql.value("@@server_uuid") and node.server_id == mysql.server_id


def test_a_whole_password_does_not_go_over_plain_tcp(mysql, watch):
    forget_account(mysql)
    w = watch([mysql], probe={"rsa_public_key": None, **FAST})
    node = cause_of(w, mysql, "auth_denied")
    # The message names the setting, and the values that the setting takes.
    assert "rsa_public_key" in node.message and "from-server" in node.message, node.message
    assert PROBE.password not in node.message
    warm(mysql)
    cause_of(w, mysql, "ok")


def test_full_authentication_over_a_unix_socket(mysql, watch):
    forget_account(mysql)
    w = watch([f"unix:{mysql.socket}"], probe={"rsa_public_key": None, **FAST})
    assert cause_of(w, mysql, "ok").flavour == "mysql"
    # It fills the server's cache for everybody.
    w = watch([mysql], probe={"rsa_public_key": None, **FAST})
    cause_of(w, mysql, "ok")


def test_full_authentication_with_the_servers_key(mysql, watch):
    forget_account(mysql)
    w = watch([mysql], probe={"rsa_public_key": "from-server", **FAST})
    cause_of(w, mysql, "ok")


def test_full_authentication_with_a_key_file(mysql, watch):
    forget_account(mysql)
    w = watch([mysql], probe={"rsa_public_key": mysql.data / "public_key.pem", **FAST})
    cause_of(w, mysql, "ok")
    w.close()
    # The key of another server: the password stays safe, the login fails, and the words say why.
    forget_account(mysql)
    w = watch([mysql], probe={"rsa_public_key": OTHER_KEY, **FAST})
    node = cause_of(w, mysql, "auth_denied")
    assert "rsa_public_key" in node.message or "1045" in node.message or "Access denied" in node.message, node.message


def test_a_key_file_that_is_none(mysql, watch, tmp_path):
    wrong = write_secret(tmp_path / "wrong.pem", "not a key")
    forget_account(mysql)
    try:
        w = watch([mysql], probe={"rsa_public_key": wrong, **FAST})
    except primacy.PrimacyError as error:
        assert "wrong.pem" in str(error) and error.code in ("CONFIG", "SECRET"), error
        return
    node = cause_of(w, mysql, "auth_denied")
    assert "rsa_public_key" in node.message, node.message


def test_a_long_password(mysql, watch, tmp_path):
    """Longer than a scramble, with every kind of character; RSA pads it, a mask hides it."""
    password = "lö'ng\\ \"" + "x" * 120
    mysql.sql_unlogged("CREATE USER IF NOT EXISTS 'long'@'%' IDENTIFIED WITH caching_sha2_password BY 'x'")
    connection = mysql.connect()
    connection.cursor().execute("ALTER USER 'long'@'%%' IDENTIFIED WITH caching_sha2_password BY %s", (password,))
    connection.cursor().execute("GRANT REPLICATION CLIENT ON *.* TO 'long'@'%'")
    connection.close()
    w = watch([mysql], probe=FAST, user="long", password_file=write_secret(tmp_path / "long.password", password))
    cause_of(w, mysql, "ok")


def test_an_account_without_a_password(mysql, watch):
    mysql.sql_unlogged("CREATE USER IF NOT EXISTS 'empty'@'%' IDENTIFIED WITH caching_sha2_password BY ''")
    mysql.sql_unlogged("GRANT REPLICATION CLIENT ON *.* TO 'empty'@'%'")
    w = watch([mysql], probe={"rsa_public_key": None, **FAST}, user="empty", password_file=None)
    cause_of(w, mysql, "ok")


@pytest.mark.parametrize(
    ("change", "undo", "number"),
    [
        ("ALTER USER 'probe'@'%' ACCOUNT LOCK", "ALTER USER 'probe'@'%' ACCOUNT UNLOCK", 3118),
        ("ALTER USER 'probe'@'%' PASSWORD EXPIRE", None, None),
        ("RENAME USER 'probe'@'%' TO 'elsewhere'@'%'", "RENAME USER 'elsewhere'@'%' TO 'probe'@'%'", None),
    ],
    ids=["locked", "expired", "gone"],
)
def test_an_account_that_may_not_log_in(mysql, watch, change, undo, number):
    mysql.sql_unlogged(change)
    try:
        w = watch([mysql], probe=FAST)
        node = cause_of(w, mysql, "auth_denied")
        assert number is None or node.error_number == number, node.message
        # For an account that does not exist MySQL asks for a plugin at random; of one that we lack there is no number.
        assert node.error_number in (0, 1045, 1820, 1862, 3118), node.message
        assert node.error_number or "unknown account" in node.message
    finally:
        if undo:
            mysql.sql_unlogged(undo)
        rotate_password(mysql, PROBE.password)
        warm(mysql)
    w.until(lambda: w.pool.nodes()[0].cause == "ok", 5, "it may again")


# --- mysql_native_password ----------------------------------------------------------------------------------------------------


def test_native_password(mariadb, watch):
    w = watch([mariadb], probe={"rsa_public_key": None, **FAST})
    node = cause_of(w, mariadb, "ok")
    assert node.flavour == "mariadb" and node.version[:2] == (10, 11) and node.server_uuid is None
    w = watch([f"unix:{mariadb.socket}"], probe=FAST)
    cause_of(w, mariadb, "ok")


def test_no_password_where_one_is_needed(mariadb, watch):
    w = watch([mariadb], probe=FAST, password_file=None)
    node = cause_of(w, mariadb, "auth_denied")
    assert node.error_number == 1045 and "using password: NO" in node.message


# --- secrets ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_no_secret_shows_anywhere(ring, space, tmp_path, capfd):
    """Passwords that are planted where they work and where they do not: in no event, error, snapshot, explanation or file."""
    a, b = ring.nodes
    secrets = ["pl4nted-good-s3cret", "pl4nted-wrong-s3cret"]
    rotate_password(a, secrets[0])
    rotate_password(b, secrets[0])
    cache = tmp_path / "cache"
    good = write_secret(tmp_path / "good", secrets[0])
    wrong = write_secret(tmp_path / "wrong", secrets[1])
    seen = []
    for file in (good, wrong):
        text = configuration(ring.nodes, probe=FAST, top={"cache_file": cache}, password_file=file)
        with Watch(text) as w:
            if file is good:
                w.settled(a)
                rotate_password(a, "pl4nted-third-s3cret")
                kill_probe_sessions(a)
                w.event("status", a, cause="auth_denied")
                b.sql_unlogged(f"REVOKE {b.probe_privileges} ON *.* FROM '{PROBE.user}'@'%'")
                kill_probe_sessions(b)
                w.until(lambda w=w: w.node(b).cause == "query_failed", 5, "query_failed")
            else:
                for node in (a, b):
                    w.until(lambda w=w, node=node: w.node(node).cause == "auth_denied", 5, "auth_denied")
            for call in (lambda: w.pool.recover("1.2.3.4"), lambda: w.pool.recover(a.address), w.pool.activate_primary):
                try:
                    seen.append(call())
                except primacy.PrimacyError as error:
                    seen.append(str(error))
            time.sleep(0.2)
            seen += [repr(event) for event in w.drain()]
            seen += [w.pool.explain(), str(w.pool.budget()), w.instance.snapshot().text, repr(w.instance.snapshot().pools)]
            json.loads(w.instance.snapshot().text)
        seen.append(cache.read_text())
        cache.unlink()
    # What stands in the configuration instead of a file name.
    for key, value in (("probe.password", secrets[0]), ("probe.password_file", "/no/such/file"), ("probe.passwrd", secrets[0])):
        try:
            config = primacy.Config(configuration(ring.nodes))
            config.set(key, value)
            primacy.Instance(config)
        except primacy.PrimacyError as error:
            seen.append(str(error))
        else:
            raise AssertionError(f"{key} was taken")
    out, err = capfd.readouterr()
    seen += [out, err]
    everything = "\n".join(seen)
    assert "auth_denied" in everything and "query_failed" in everything and "1045" in everything
    assert "s3cret" not in everything
