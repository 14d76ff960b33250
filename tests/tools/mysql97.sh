#!/bin/sh
# Fetch MySQL 9.7 (server, client, router) into a cache folder and print the folder's path.
#
# Debian sid carries these packages; debootstrap unpacks them into a tree of their own which runs through its own loader, so
# nothing is installed into this machine. The mirror is the one apt already uses (PRIMACY_MIRROR overrides it). Callers that
# arrive while another one fetches wait for it. Nothing is left in place when a step fails.
#
#   tests/tools/mysql97.sh            fetch if missing, verify, print the path
#   tests/tools/mysql97.sh --path     print the path the tree has or would have
set -eu

want=9.7
cache=${PRIMACY_CACHE:-${HOME:-/root}/.cache/primacy}
root=$cache/mysql-$want

say() { echo "mysql97: $*" >&2; }
die() { say "$*"; exit 1; }

# The loader and the library folder are named after the machine's architecture.
case $(uname -m) in
x86_64) loader=usr/lib64/ld-linux-x86-64.so.2 libs=usr/lib/x86_64-linux-gnu ;;
aarch64) loader=usr/lib/ld-linux-aarch64.so.1 libs=usr/lib/aarch64-linux-gnu ;;
*) die "MySQL $want is packaged for x86_64 and aarch64 only, this machine is $(uname -m)" ;;
esac

# Print the version line of the server in tree $1.
version() { "$1/$loader" --library-path "$1/$libs" "$1/usr/sbin/mysqld" --no-defaults --version 2>&1 | head -n 1; }

verify() {
    found=$(version "$1") || true
    case $found in
    *" Ver $want."*) ;;
    *) die "expected MySQL $want in $1, found: ${found:-no answer from mysqld --version}" ;;
    esac
    [ -x "$1/usr/bin/mysqlrouter" ] || die "no MySQL Router in $1"
    [ -x "$1/usr/bin/mysql" ] || die "no mysql client in $1"
}

mirror() {
    if [ -n "${PRIMACY_MIRROR:-}" ]; then echo "$PRIMACY_MIRROR"; return; fi
    # Before the first apt-get update apt knows addresses but not origins: then take what looks like a Debian archive.
    uris=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 2>/dev/null | sort -u)
    uri=$(printf '%s\n' "$uris" | sed -n 's/^Debian|Debian|//p' | head -n 1)
    [ -n "$uri" ] || uri=$(printf '%s\n' "$uris" | sed -n 's/.*|//p' | grep '/debian/\{0,1\}$' | head -n 1)
    echo "${uri:-http://deb.debian.org/debian/}"
}

if [ "${1:-}" = --path ]; then echo "$root"; exit 0; fi
[ $# -eq 0 ] || die "usage: $0 [--path]"

# The tree appears by one rename, so a finished one needs no lock.
if [ -d "$root" ]; then verify "$root"; echo "$root"; exit 0; fi

command -v debootstrap >/dev/null || die "debootstrap is missing: run 'make deps' as root"
[ "$(id -u)" = 0 ] || die "unpacking needs root: run 'sudo PRIMACY_CACHE=$cache $0'"
mkdir -p "$cache"
exec 9>"$cache/mysql-$want.lock"
flock 9
if [ -d "$root" ]; then verify "$root"; echo "$root"; exit 0; fi

# The lock is ours: what another run left half done is rubbish.
rm -rf "$cache"/.mysql-$want.*
part=$(mktemp -d "$cache/.mysql-$want.XXXXXX")
chmod 755 "$part"
child=
give_up() {
    [ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null || true
    rm -rf "$part"
}
trap give_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

proxy=$(apt-config dump --format '%v' Acquire::http::Proxy 2>/dev/null || true)
if [ -n "$proxy" ] && [ "$proxy" != DIRECT ] && [ -z "${http_proxy:-}" ]; then export http_proxy="$proxy"; fi

from=$(mirror)
log=$cache/mysql-$want.log
try=1
while :; do
    say "fetching MySQL $want from $from (about 670 MB unpacked), try $try of 3, log in $log"
    # In the background, where a signal to this script ends it at once, and in a session of its own, so that it goes with all its
    # children. Descriptor 9 is closed: nothing it leaves behind may keep the lock.
    setsid debootstrap --variant=minbase --include=mysql-server-core,mysql-client-core,mysql-router sid "$part" "$from" \
        >"$log" 2>&1 9>&- &
    child=$!
    if wait $child; then
        child=
        break
    fi
    child=
    [ $try -lt 3 ] || { tail -n 5 "$log" >&2; die "debootstrap failed three times, see $log"; }
    try=$((try + 1))
    rm -rf "$part"
    mkdir -m 755 "$part"
    sleep 5
done

# The packages' archives and the mirror's lists are never read again.
rm -rf "$part"/var/cache/apt/archives/*.deb "$part"/var/cache/apt/*.bin "$part"/var/lib/apt/lists/* "$part"/debootstrap
verify "$part"
mv -T "$part" "$root"
trap - EXIT
say "ready: $(version "$root")"
echo "$root"
