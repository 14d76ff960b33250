"""The accounts every test server has, made once in the data folder's template so that no server logs their creation."""

from collections import namedtuple

Account = namedtuple("Account", "user password")

ROOT = Account("root", "")
REPLICATION = Account("repl", "repl-secret")
PROBE = Account("probe", "probe-secret")
APP = Account("app", "app-secret")
APP_SCHEMA = "app"

PASSWORDS = {account.user: account.password for account in (ROOT, REPLICATION, PROBE, APP)}


def statements(identified, probe_privileges):
    """The statements that make the accounts; `identified` is the flavour's clause with `{}` for the password."""
    made = []
    for account in (REPLICATION, PROBE, APP):
        made.append(f"CREATE USER '{account.user}'@'%' {identified.format(account.password)}")
    made.append(f"CREATE DATABASE {APP_SCHEMA}")
    made.append(f"GRANT REPLICATION SLAVE ON *.* TO '{REPLICATION.user}'@'%'")
    made.append(f"GRANT {probe_privileges} ON *.* TO '{PROBE.user}'@'%'")
    made.append(f"GRANT ALL ON {APP_SCHEMA}.* TO '{APP.user}'@'%'")
    return made
