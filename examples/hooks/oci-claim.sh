#!/bin/sh
# on_claim for Oracle Cloud Infrastructure, where a gratuitous ARP moves nothing: the network has to be told which VNIC an
# address belongs to.
#
#     [vip.front]
#     on_claim = ["/usr/local/lib/primacy/oci-claim.sh", "ocid1.vnic.oc1..this-host"]
#     hook_timeout = "20s"
#     on_hook_failure = "release"       # no route to the address, no use in having it
#
# The argument is the VNIC of this host. What is to be done comes in the environment: PRIMACY_ADDRESSES (with prefixes, separated
# by blanks), PRIMACY_EPOCH (the number of this ownership), PRIMACY_VIP, PRIMACY_HOST, PRIMACY_REASON. Nothing else but PATH is in
# it, so that `oci` logs in as the instance: a policy has to let the hosts' dynamic group manage private-ips and ipv6s, and use
# vnics.
#
# Calling it twice does what calling it once does: an address that this VNIC has already is left alone. No on_release belongs to
# it: the next owner takes the address away from here, and a late release would undo its claim. The agent runs one program at a
# time for each VIP, and ends one that a newer ownership has overtaken.
set -u

fail() {
    echo "$*" >&2
    exit 1
}

[ $# = 1 ] || fail "usage: oci-claim.sh VNIC-OCID, as on_claim of primacy"
vnic=$1
[ "${PRIMACY_EVENT:-}" = claim ] || fail "this is for on_claim; PRIMACY_EVENT is '${PRIMACY_EVENT:-}'"
[ -n "${PRIMACY_ADDRESSES:-}" ] || fail "PRIMACY_ADDRESSES is empty"

told() {
    logger -t primacy-oci "vip $PRIMACY_VIP epoch $PRIMACY_EPOCH: $*" 2>/dev/null || :
}

for address in $PRIMACY_ADDRESSES; do
    ip=${address%/*}
    case $ip in
        fe80:* | FE80:*) continue ;; # link-local: the network does not route it
        *:*) command=assign-ipv6 ;;
        *) command=assign-private-ip ;;
    esac
    said=$(oci --auth instance_principal network vnic $command \
        --unassign-if-already-assigned --vnic-id "$vnic" --ip-address "$ip" 2>&1) || {
        # One line for the agent's event, the whole for the log.
        told "$ip not assigned to $vnic: $said"
        fail "epoch $PRIMACY_EPOCH: $ip not assigned: $(printf '%s' "$said" | tr '\n' ' ' | cut -c1-150)"
    }
    told "$ip assigned to $vnic on $PRIMACY_HOST: $PRIMACY_REASON"
done
echo "epoch $PRIMACY_EPOCH: $PRIMACY_ADDRESSES assigned to $vnic"
