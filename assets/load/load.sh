#!/bin/sh
# Puts as much load on the cluster as /load/rate says, in operations a second; 0 is none. Looks at
# the file every second and begins anew when it says something else.
set -u

records=${RECORDS:-10000}
common="-p workload=core -p tikv.pd=${PD} -p tikv.type=raw -p recordcount=${records}
  -p fieldcount=1 -p fieldlength=100 -p readproportion=0.5 -p updateproportion=0.5 -p threadcount=8"

rate() {
    cat /load/rate 2>/dev/null || echo "${LOAD_RATE:-0}"
}

# shellcheck disable=SC2086 -- words on purpose
until go-ycsb load tikv $common >/dev/null; do
    echo "the cluster does not take the records yet"
    sleep 2
done

now=0
pid=
trap '[ -z "$pid" ] || kill "$pid"; exit 0' TERM INT
while :; do
    want=$(rate)
    gone=
    [ -z "$pid" ] || kill -0 "$pid" 2>/dev/null || gone=yes
    if [ "$want" != "$now" ] || { [ "$want" != 0 ] && [ -n "$gone" ]; }; then
        if [ -n "$pid" ]; then
            kill "$pid" 2>/dev/null
            wait "$pid" 2>/dev/null
            pid=
        fi
        if [ "$want" != 0 ]; then
            echo "load: $want/s"
            # shellcheck disable=SC2086 -- words on purpose
            go-ycsb run tikv $common -p operationcount=2000000000 -p target="$want" \
                -p measurement.interval=10 &
            pid=$!
        fi
        now=$want
    fi
    sleep 1
done
