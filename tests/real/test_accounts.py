"""How probes log in, by both authentication methods. That no secret ever shows is test_secrets.py's matter."""

import os
from pathlib import Path

import primacy
import pytest

from servers import PROBE
from servers.faults import rotate_password
from servers.topology import wait_until

from .conftest import write_secret
from .rings import warm

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


# --- a password that is handed over open ------------------------------------------------------------------------------------------


def instance_by_descriptor(server, number):
    text = f"""
        [probe]
        user = "{PROBE.user}"
        password_fd = {number}
        interval = "50ms"
        tls = "disabled"
        [pool.p]
        nodes = [ {{ address = "{server.address}", type = "primary" }} ]
    """
    return primacy.Instance(primacy.Config(text))


@pytest.mark.parametrize("source", ["pipe", "file"])
def test_a_descriptor_brings_the_password(mariadb, tmp_path, source):
    if source == "pipe":
        number, end = os.pipe()
        os.write(end, PROBE.password.encode())
        os.close(end)
    else:
        path = tmp_path / "password"
        path.write_text(PROBE.password + "\n")
        number = os.open(path, os.O_RDONLY)
    try:
        with instance_by_descriptor(mariadb, number) as instance:
            os.fstat(number)  # It stays the host's.
            instance.start()
            wait_until(lambda: instance.snapshot().pools[0].nodes[0].cause == "ok", 5, "the login")
            assert PROBE.password not in str(instance.snapshot().as_dict()) + instance.pool("p").explain()
    finally:
        os.close(number)


def test_a_descriptor_that_brings_none_is_named(mariadb):
    number, end = os.pipe()
    os.close(end)
    with pytest.raises(primacy.PrimacyError, match=f"password_fd {number}: it is empty"):
        instance_by_descriptor(mariadb, number)
    os.close(number)
    with pytest.raises(primacy.PrimacyError, match=f"password_fd {number}: it is no open descriptor"):
        instance_by_descriptor(mariadb, number)
