#!/bin/sh
# Install what building, testing and the demo need on a Debian machine; does nothing, quickly, when all of it is there.
#
# A policy-rc.d that says no keeps every service from being started that a package brings: mariadb-server has one, and is asked for
# because it holds the programs by which members of a Galera cluster bring each other up to date.
set -eu

packages="gcc libc6-dev make pkg-config ca-certificates util-linux procps
mariadb-server-core mariadb-client-core libmariadb-dev mariadb-server galera-4 rsync debootstrap debian-archive-keyring
iproute2 nftables openssl libfaketime valgrind abigail-tools python3 python3-venv systemd
lua5.1 lua5.3 lua5.4 luajit liblua5.1-0-dev liblua5.3-dev liblua5.4-dev libluajit-5.1-dev luarocks
haproxy keepalived ldirectord sysbench tshark etcd-server strace resource-agents libxml2-utils"

command -v dpkg-query >/dev/null || { echo "deps: this is not a Debian machine; install by hand what these packages hold:" $packages >&2; exit 1; }

# A package counts when it is installed, or when an installed one provides it (as pkgconf does for pkg-config).
have=" $(dpkg-query -W -f '${db:Status-Abbrev}|${Package} ${Provides}\n' 2>/dev/null |
    sed -n 's/^ii *|//p' | sed 's/([^)]*)//g; s/,/ /g' | tr -s ' \n' '  ') "
missing=
for package in $packages; do
    case $have in *" $package "*) ;; *) missing="$missing $package" ;; esac
done

command -v cargo >/dev/null ||
    echo "deps: no cargo in PATH; install a stable Rust toolchain (https://rustup.rs) to build the library" >&2

[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" != 0 ]; then
    echo "deps: missing:$missing" >&2
    echo "deps: run this, then try again:" >&2
    echo "sudo sh -c 'apt-get update && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive $install'" >&2
    exit 1
fi

# Ask a policy that is already there; if it would let a service start, ours stands in for it while we install.
policy=/usr/sbin/policy-rc.d
forbids() { [ -x $policy ] && { code=0; $policy mariadb start >/dev/null 2>&1 || code=$?; [ $code = 101 ]; }; }
restore() {
    rm -f $policy
    [ ! -e $policy.primacy-saved ] || mv $policy.primacy-saved $policy
}
if ! forbids; then
    [ ! -e $policy ] || mv $policy $policy.primacy-saved
    trap restore EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi

export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
echo "deps: installing$missing" >&2
apt-get update -q >&2
$install >&2
