#!/bin/sh
# `make bench`: fail-over times, the cost of a probe, the time of a check, the watching of thousands of nodes and the cost of a
# selection, and the outage when a floating address moves, as tables on the terminal and in target/bench/*.txt.
#
#   PRIMACY_BENCH_SERVER="mariadb mysql"   flavours for the fail-over times (default: mariadb)
#   PRIMACY_BENCH_RUNS=20                  faults of each kind
#   PRIMACY_BENCH_BLOCKS=9                 blocks of each contender in the cost of a probe
#   PRIMACY_BENCH_LANES=5                  sets of namespaces side by side, for tier
#   PRIMACY_BENCH_SEED=N                   the moments of the faults again
#   PRIMACY_BENCH="select"                 which benches: failover probe_cost command fleet select tier
#
# Called by make, which has built the shared library and .venv.
set -eu
cd "$(dirname "$0")/.."

out=target/bench
servers=${PRIMACY_BENCH_SERVER:-mariadb}
flavour=${servers%% *}
mkdir -p "$out"
python=.venv/bin/python

# shellcheck disable=SC2046 # the flags are several words
build() { # PROGRAM SOURCE FLAGS...
    program=$1 source=$2
    shift 2
    ${CC:-cc} -std=c11 -Wall -Wextra -O2 -g -Iinclude "$source" -o "$out/$program" \
        -Ltarget/dist -lprimacy -Wl,-rpath,'$ORIGIN/../dist' "$@"
}
build watcher benches/failover/watcher.c
build probe_cost benches/probe_cost/probe_cost.c $(pkg-config --cflags --libs libmariadb)
build spawn benches/command/spawn.c

build fleet benches/fleet/fleet.c
build select benches/select/select.c -D_GNU_SOURCE -lpthread -Wl,-z,now
build stand_in benches/fleet/stand_in.c

for bench in ${PRIMACY_BENCH:-failover probe_cost command fleet select tier}; do
    echo
    if [ "$bench" = probe_cost ] || [ "$bench" = command ]; then
        # Its numbers are of one flavour: the first.
        PRIMACY_BENCH_SERVER=$flavour "$python" "benches/$bench/run.py"
    else
        "$python" "benches/$bench/run.py"
    fi
done
