#!/usr/bin/env bash
# A node of the embedded lab behind the command line of PD, TiKV or the load, as compose.yaml has it:
# `node pd --name=...`. A flag that is not known is an error, as it is for the real ones.
set -euo pipefail

role=$1
shift

fail() { echo "standin: $*" >&2; exit 1; }

declare -A given=()
for argument in "$@"; do
    [[ $argument == --*=* ]] || fail "unknown argument: $argument"
    flag=${argument%%=*}
    given[${flag#--}]=${argument#*=}
done

want() { # want FLAG VALUE
    [ "${given[$1]-}" = "$2" ] || fail "--$1 is ${given[$1]-not given}, not $2"
    unset "given[$1]"
}

case $role in
pd)
    name=${given[name]:?--name is not given}
    dir=${given[data-dir]:?--data-dir is not given}
    unset 'given[name]' 'given[data-dir]'
    want client-urls http://0.0.0.0:2379
    want advertise-client-urls "http://$name:2379"
    want peer-urls http://0.0.0.0:2380
    want advertise-peer-urls "http://$name:2380"
    want initial-cluster pd0=http://pd0:2380,pd1=http://pd1:2380,pd2=http://pd2:2380
    ;;
tikv)
    name=${given[advertise-addr]%:20160}
    dir=${given[data-dir]:?--data-dir is not given}
    config=${given[config]:?--config is not given}
    [ -r "$config" ] || fail "cannot read $config"
    unset 'given[data-dir]' 'given[config]'
    want pd pd0:2379,pd1:2379,pd2:2379
    want addr 0.0.0.0:20160
    want advertise-addr "$name:20160"
    want status-addr 0.0.0.0:20180
    want advertise-status-addr "$name:20180"
    ;;
load)
    name=load
    dir=/tmp/load
    [ "$PD" = pd0:2379 ] || fail "PD is $PD"
    ;;
*) fail "no role $role" ;;
esac
[ ${#given[@]} = 0 ] || fail "unknown flags: ${!given[*]}"

mkdir -p "$dir"
{
    printf '{"version":1,"cluster_id":7400000000000000007,"default_rate":0,"rate":0,"fsync_us":1000,"nodes":['
    for id in 1 2 3; do
        printf '{"name":"pd%s","role":"pd","id":%s,"host":"pd%s","port":2379,"second_port":2380},' \
            $((id - 1)) $id $((id - 1))
        printf '{"name":"tikv%s","role":"store","id":%s,"host":"tikv%s","port":20160,"second_port":20180},' \
            $((id - 1)) $id $((id - 1))
    done
    printf '{"name":"load","role":"load","id":0,"host":"load","port":20200,"second_port":null}]}\n'
} >"$dir/lab.json"

# A node of the lab ends when its stdin does: here it has one that nobody closes.
pipe=/tmp/standin.stdin
[ -p "$pipe" ] || mkfifo "$pipe"

if [ "$role" = load ]; then
    # As assets/load/load.sh: what the file says, looked at every second. A stand-in on two cores
    # carries less than TiKV.
    {
        now=
        while sleep 1; do
            want=$(cat /load/rate 2>/dev/null || echo "${LOAD_RATE:-0}")
            [ "$want" -le 60 ] 2>/dev/null || want=60
            [ "$want" != "$now" ] || continue
            curl -sf -X POST "http://localhost:20200/rate/$want" >/dev/null && now=$want
        done
    } &
fi

exec operator-tui lab node "$name" --dir "$dir" <>"$pipe"
