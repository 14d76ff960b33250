#!/usr/bin/env python3
"""Builds the wheel: a zip of the package with the shared object in it. Needs nothing but Python, so it works offline.

A PEP 517 backend (`pip wheel bindings/python`), and a command:

    build_backend.py wheel   --library libprimacy.so.0.1.0 --to DIRECTORY
    build_backend.py install --library libprimacy.so.0.1.0            into the Python that runs it
"""

import argparse
import base64
import hashlib
import os
import re
import shutil
import sys
import sysconfig
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(HERE, "primacy")
BUNDLED = "primacy/libprimacy.so.0"


def _field(name):
    with open(os.path.join(HERE, "pyproject.toml"), encoding="utf-8") as file:
        return re.search(rf'^{name} = "(.*)"', file.read(), re.M).group(1)


def _library():
    """The shared object to bundle: named, else the one that `make` built beside this folder."""
    path = os.environ.get("PRIMACY_BUNDLE") or os.path.join(
        HERE, "..", "..", "target", "dist", f"libprimacy.so.{_field('version')}")
    if not os.path.exists(path):
        raise SystemExit(f"{path} is not built; run make first")
    return path


def _tag():
    return "py3-none-" + re.sub(r"[-.]", "_", sysconfig.get_platform())


def _files(library):
    """Everything in the wheel, as (name, bytes, mode)."""
    version = _field("version")
    info = f"primacy-{version}.dist-info"
    files = []
    for name in sorted(os.listdir(PACKAGE)):
        if name.endswith(".py") or name == "py.typed":
            with open(os.path.join(PACKAGE, name), "rb") as file:
                files.append((f"primacy/{name}", file.read(), 0o644))
    with open(library, "rb") as file:
        files.append((BUNDLED, file.read(), 0o755))
    metadata = (f"Metadata-Version: 2.1\nName: primacy\nVersion: {version}\nSummary: {_field('description')}\n"
                f"Requires-Python: {_field('requires-python')}\nLicense: MIT OR Apache-2.0\n")
    wheel = f"Wheel-Version: 1.0\nGenerator: primacy\nRoot-Is-Purelib: false\nTag: {_tag()}\n"
    files.append((f"{info}/METADATA", metadata.encode(), 0o644))
    files.append((f"{info}/WHEEL", wheel.encode(), 0o644))
    record = ""
    for name, data, _ in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    record += f"{info}/RECORD,,\n"
    files.append((f"{info}/RECORD", record.encode(), 0o644))
    return files


def _wheel(directory, library):
    name = f"primacy-{_field('version')}-{_tag()}.whl"
    os.makedirs(directory, exist_ok=True)
    with zipfile.ZipFile(os.path.join(directory, name), "w", zipfile.ZIP_DEFLATED) as out:
        for path, data, mode in _files(library):
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(entry, data)
    return name


def _install(library):
    """Lays the wheel's files out as an installer does."""
    site = sysconfig.get_paths()["platlib"]
    for old in os.listdir(site):
        if old == "primacy" or re.fullmatch(r"primacy-.*\.dist-info", old):
            shutil.rmtree(os.path.join(site, old))
    for path, data, mode in _files(library):
        target = os.path.join(site, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(data)
        os.chmod(target, mode)
    print(f"installed into {site}")


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory, _library())


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_sdist(sdist_directory, config_settings=None):
    raise SystemExit("primacy has no source distribution of its own: build the wheel in the project's tree")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["wheel", "install"])
    parser.add_argument("--library", default=None)
    parser.add_argument("--to", default=".")
    given = parser.parse_args()
    library = given.library or _library()
    if given.what == "wheel":
        print(_wheel(given.to, library))
    else:
        _install(library)


if __name__ == "__main__":
    sys.exit(main())
