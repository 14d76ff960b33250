"""Probes over TLS: five modes against good, expired and foreign certificates, and accounts that ask for more than a password."""

import shutil
import time
from datetime import timedelta

import pytest

from servers import PROBE, Server

from .certificates import Authority
from .conftest import write_secret
from .watch import Watch, configuration

MODES = ("disabled", "preferred", "required", "verify-ca", "verify-identity")
VERIFIES = ("verify-ca", "verify-identity")


class Encrypted:
    """A server with TLS whose certificate can be exchanged while it runs, and the means to probe it."""

    def __init__(self, space, flavour, options=()):
        folder = space.path / f"tls-{flavour}{len(options)}"
        folder.mkdir()
        self.ours = Authority(folder, "ours")
        self.other = Authority(folder, "other")
        self.good = self.ours.issue("good")
        self.pair = folder / "server.pem", folder / "server.key"
        self.flavour = flavour
        self.passwords = {PROBE.user: write_secret(folder / "probe.password", PROBE.password)}
        self.folder = folder
        self.install(self.good)
        # MySQL loads no certificate that it cannot verify itself, so it trusts both; the probes trust ours.
        both = folder / "both.pem"
        both.write_text(self.ours.certificate.read_text() + self.other.certificate.read_text())
        tls = [f"--ssl-ca={both}", f"--ssl-cert={self.pair[0]}", f"--ssl-key={self.pair[1]}"]
        self.server = Server.create(flavour, folder, options=[*tls, *options]).start().wait_ready()

    def install(self, pair):
        for source, target in zip(pair, self.pair):
            shutil.copyfile(source, target)

    def show(self, pair):
        """The server shows another certificate from now on."""
        self.install(pair)
        self.server.sql("ALTER INSTANCE RELOAD TLS" if self.flavour == "mysql" else "FLUSH SSL")

    def show_expired(self):
        """The server shows a certificate that was good when it was loaded."""
        self.show(self.ours.issue("expired", lifetime=timedelta(seconds=2)))
        time.sleep(3)

    def account(self, name, identified, requires=""):
        self.passwords[name] = write_secret(self.folder / f"{name}.password", f"{name}-secret")
        self.server.sql_unlogged(
            f"CREATE USER '{name}'@'%' {identified.format(f'{name}-secret')} {requires}",
            f"GRANT {self.server.probe_privileges} ON *.* TO '{name}'@'%'",
        )

    def watch(self, mode, host="127.0.0.1", user=PROBE.user, **probe):
        settings = {"tls": mode, "rsa_public_key": "refuse", "timeout": "1s", "interval": "50ms", **probe}
        if mode in VERIFIES:
            settings.setdefault("tls_ca", self.ours.certificate)
        return Watch(
            configuration([f"{host}:{self.server.port}"], probe=settings, user=user, password_file=self.passwords[user])
        )

    def verdict(self, mode, host="127.0.0.1", **probe):
        """Cause and text of the first probe."""
        watch = self.watch(mode, host, **probe)
        try:
            node = watch.until(lambda: seen(watch), 10, "a first observation")
            story = watch.story()
            for secret in self.passwords.values():
                assert secret.read_text().strip() not in story
            # A good node's text is about its role.
            return node.cause, "" if node.cause == "ok" else node.message
        finally:
            watch.close()


def seen(watch):
    node = watch.pool.nodes()[0]
    return node if node.status != "OK" or node.cause == "ok" and node.state != "UNKNOWN" else None


@pytest.fixture(scope="module")
def encrypted(space):
    made = {}

    def get(flavour):
        if flavour not in made:
            made[flavour] = Encrypted(space, flavour)
            server = made[flavour].server
            made[flavour].account("onlytls", server.identified, "REQUIRE SSL")
            made[flavour].account("onlyx509", server.identified, "REQUIRE X509")
        made[flavour].show(made[flavour].good)
        return made[flavour]

    yield get
    for each in made.values():
        each.server.discard()


@pytest.fixture
def site(encrypted, flavour):
    return encrypted(flavour)


@pytest.mark.parametrize("mode", MODES)
def test_a_good_certificate(site, mode):
    user = PROBE.user if mode == "disabled" else "onlytls"
    if mode == "disabled" and site.flavour == "mysql":
        # Without TLS the password goes out by RSA or not at all.
        cause, message = site.verdict(mode)
        assert (cause, "rsa_public_key" in message) == ("auth_denied", True) or cause == "ok"
        return
    assert site.verdict(mode, user=user) == ("ok", "")
    if mode == "verify-identity":
        assert site.verdict(mode, host="localhost", user=user) == ("ok", "")


@pytest.mark.parametrize("mode", MODES[1:])
def test_bad_certificates(site, mode):
    cases = {
        "expired": (site.show_expired, VERIFIES, "expired"),
        "foreign": (lambda: site.show(site.other.issue("foreign")), VERIFIES, "tls_ca"),
        "elsewhere": (
            lambda: site.show(site.ours.issue("elsewhere", names="DNS:elsewhere.example")),
            VERIFIES[1:],
            "elsewhere.example",
        ),
    }
    for name, (show, refused, word) in cases.items():
        show()
        cause, message = site.verdict(mode, user="onlytls")
        if mode in refused:
            assert cause == "tls_error", (name, message)
            assert word in message and "TLS with server " in message, (name, message)
        else:
            assert (cause, message) == ("ok", ""), name


def test_a_certificate_that_expires_under_a_running_probe(site):
    watch = site.watch("verify-ca", user="onlytls", login_interval="300ms")
    try:
        node = lambda: watch.pool.nodes()[0]
        watch.until(lambda: node().cause == "ok", 10, "a good start")
        site.show_expired()
        watch.until(lambda: node().cause == "tls_error", 10, "the expiry seen")
        watch.holds(lambda: node().state == "ACTIVE" and node().status != "FAIL", 1, "refusing fails nobody")
        site.show(site.good)
        watch.until(lambda: node().cause == "ok" and node().status == "OK", 10, "healed")
    finally:
        watch.close()


def test_client_certificates(site):
    stranger = Authority(site.folder, f"stranger-{site.flavour}")
    ours, others = site.ours.issue("client", names="DNS:client"), stranger.issue("stranger", names="DNS:client")
    mine = {"tls_cert": ours[0], "tls_key": ours[1]}
    assert site.verdict("verify-identity", user="onlyx509", **mine) == ("ok", "")
    assert site.verdict("preferred", user="onlyx509", **mine) == ("ok", "")
    assert site.verdict("required", user="onlyx509")[0] == "auth_denied"
    cause, message = site.verdict("required", user="onlyx509", tls_cert=others[0], tls_key=others[1])
    assert cause in ("tls_error", "auth_denied"), message
    if cause == "tls_error":
        assert "certificate" in message and "tls_cert" in message, message


def test_a_server_without_tls(space, flavour):
    folder = space.path / f"plain-{flavour}"
    folder.mkdir()
    off = ["--tls-version="] if flavour == "mysql" else ["--skip-ssl"]
    server = Server.create(flavour, folder, options=off).start().wait_ready()
    password = write_secret(folder / "password", PROBE.password)
    authority = Authority(folder, "ca").certificate
    try:
        for mode in MODES:
            probe = {"tls": mode, "timeout": "1s", **({"tls_ca": authority} if mode in VERIFIES else {})}
            watch = Watch(configuration([server], probe=probe, password_file=password))
            try:
                node = watch.until(lambda: seen(watch), 10, "a first observation")
                if mode in ("disabled", "preferred"):
                    assert node.cause == "ok", node.message
                else:
                    assert node.cause == "tls_error"
                    assert "does not offer TLS" in node.message and "TLS with server " in node.message
            finally:
                watch.close()
    finally:
        server.discard()


def test_old_tls_is_named(space):
    site = Encrypted(space, "mariadb", ["--tls-version=TLSv1.1", "--ssl-cipher=ALL:@SECLEVEL=0"])
    try:
        for mode in MODES[1:]:
            cause, message = site.verdict(mode)
            assert cause == "tls_error", message
            assert "TLS 1.2" in message and "tls_version" in message and site.server.value("@@version") in message, message
        assert site.verdict("disabled") == ("ok", "")
    finally:
        site.server.discard()


def test_tls_1_2_alone(encrypted):
    site = encrypted("mysql")
    site.server.sql("SET GLOBAL tls_version = 'TLSv1.2'")
    try:
        site.show(site.good)
        for mode in MODES[1:]:
            assert site.verdict(mode, user="onlytls") == ("ok", "")
        site.show(site.other.issue("foreign"))
        assert site.verdict("verify-ca")[0] == "tls_error"
    finally:
        site.server.sql("SET GLOBAL tls_version = 'TLSv1.2,TLSv1.3'")


def test_whole_passwords_go_inside_tls_only(encrypted):
    site = encrypted("mysql")
    site.account("sha256", "IDENTIFIED WITH sha256_password BY '{}'")
    for user, plugin in ((PROBE.user, "caching_sha2_password"), ("sha256", "sha256_password")):
        for mode in ("preferred", "verify-identity"):
            site.server.sql("FLUSH PRIVILEGES")
            assert site.verdict(mode, user=user) == ("ok", "")
        site.server.sql("FLUSH PRIVILEGES")
        cause, message = site.verdict("disabled", user=user)
        assert cause == "auth_denied" and plugin in message and "rsa_public_key" in message, message
        site.server.sql("FLUSH PRIVILEGES")
        assert site.verdict("disabled", user=user, rsa_public_key="from-server") == ("ok", "")


def test_ed25519(encrypted):
    site = encrypted("mariadb")
    site.server.sql("INSTALL SONAME 'auth_ed25519'")
    site.account("signer", "IDENTIFIED VIA ed25519 USING PASSWORD('{}')")
    for mode in ("disabled", "preferred", "verify-identity"):
        assert site.verdict(mode, user="signer") == ("ok", "")
    site.passwords["signer"].write_text("wrong\n")
    assert site.verdict("disabled", user="signer")[0] == "auth_denied"


def test_side_entrances_let_a_probe_in_when_all_connections_are_taken(space, flavour):
    from servers.workspace import free_port

    port = free_port("127.0.0.1")
    folder = space.path / f"side-{flavour}"
    folder.mkdir()
    if flavour == "mysql":
        key, options = "admin_port", ["--admin-address=127.0.0.1", f"--admin-port={port}"]
    else:
        key, options = "extra_port", [f"--extra-port={port}", "--extra-max-connections=2"]
    server = Server.create(flavour, folder, options=[*options, "--max-connections=10"]).start().wait_ready()
    if flavour == "mysql":
        server.sql_unlogged(f"GRANT SERVICE_CONNECTION_ADMIN ON *.* TO '{PROBE.user}'@'%'")
    password = write_secret(folder / "password", PROBE.password)
    taken = []
    try:
        while len(taken) < 15:
            try:
                taken.append(server.connect())
            except Exception:
                break
        for probe, cause in (({}, "too_many_connections"), ({key: port}, "ok")):
            watch = Watch(configuration([server], probe={"timeout": "1s", **probe}, password_file=password))
            try:
                assert watch.until(lambda: seen(watch), 10, "a first observation").cause == cause
            finally:
                watch.close()
    finally:
        for each in taken:
            each.close()
        server.discard()
