"""Certificates of a test's own, made by openssl: an authority, what it signs, and what it should not have."""

import shutil
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

GOOD_NAMES = "IP:127.0.0.1,DNS:localhost"


def openssl(*arguments, **options):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **options)


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder, name):
        self.folder = Path(folder)
        self.key = self.folder / f"{name}.key"
        self.certificate = self.folder / f"{name}.pem"
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self.key, "-out", self.certificate),
        )

    def issue(self, name, names=GOOD_NAMES, lifetime=timedelta(days=30)):
        """A pair of files, certificate and key, for the names given and a time from now."""
        certificate, key, request = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        key.chmod(0o600)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"basicConstraints=CA:FALSE\nsubjectAltName={names}\n")
        # Only the `ca` command takes dates, and it wants a configuration and a ledger.
        ledger = self.folder / f"{name}.ledger"
        ledger.write_text("")
        settings = self.folder / f"{name}.conf"
        settings.write_text(
            f"[ca]\ndefault_ca=x\n[x]\ndatabase={ledger}\nnew_certs_dir={self.folder}\npolicy=p\ndefault_md=sha256\n"
            "rand_serial=yes\nunique_subject=no\n[p]\ncommonName=supplied\n"
        )
        now = datetime.now(timezone.utc)
        begin, end = now - timedelta(days=30), now + lifetime
        openssl(
            *("ca", "-batch", "-notext", "-config", settings, "-in", request, "-cert", self.certificate),
            *("-keyfile", self.key, "-extfile", extensions, "-out", certificate),
            *("-startdate", begin.strftime("%Y%m%d%H%M%SZ"), "-enddate", end.strftime("%Y%m%d%H%M%SZ")),
        )
        return certificate, key


class Shown:
    """The certificates that servers show, each by files of its own, so that one can be exchanged while its server runs."""

    def __init__(self, folder, number):
        folder.mkdir()
        self.authority = Authority(folder, "authority")
        self.good = self.authority.issue("good")
        self.pairs = [(folder / f"server-{n}.pem", folder / f"server-{n}.key") for n in range(number)]
        for place in range(number):
            self._install(place, self.good)

    def options(self, place):
        """Server options for the server of a place."""
        certificate, key = self.pairs[place]
        return [f"--ssl-ca={self.authority.certificate}", f"--ssl-cert={certificate}", f"--ssl-key={key}"]

    def _install(self, place, pair):
        for source, target in zip(pair, self.pairs[place]):
            shutil.copyfile(source, target)

    def show(self, server, place, pair=None):
        """The server shows another certificate from now on, or the good one again."""
        self._install(place, pair or self.good)
        server.sql("ALTER INSTANCE RELOAD TLS" if server.flavour == "mysql" else "FLUSH SSL")

    def show_expired(self, server, place):
        """The server shows a certificate that was good when it was loaded and is so no longer; returns when that is certain."""
        self.show(server, place, self.authority.issue(f"brief-{place}", lifetime=timedelta(seconds=2)))
        # Certificates count whole seconds.
        time.sleep(3)
