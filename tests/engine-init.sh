#!/bin/bash
# mak-init as the init of a container engine (`docker run --init`), and under its other names inside containers: an
# engine of its own with `init-path` set to the binary, so that nobody else's engine is changed.
#
#     scripts/build-static amd64 && tests/engine-init.sh
#
# Needs root, and dockerd, containerd and runc in PATH (or those tests/engine.sh finds). MAK_INIT_BIN: another binary.
set -euo pipefail
. "$(dirname "$0")/engine.sh"
need_engine
binary="$(realpath "${MAK_INIT_BIN:-dist/linux_amd64/mak-init}")"
[ -x "$binary" ] || fail "no $binary: run scripts/build-static amd64"
[ ! -d /opt/mak-engine/root ] || PATH="/opt/mak-engine/root/usr/sbin:$PATH"
PATH="$PATH:/usr/sbin:/sbin"
command -v dockerd >/dev/null || fail "no dockerd in PATH"
base="$work/engine"
bridge="mak$$"

end() {
    [ ! -e "$base/docker.pid" ] || { kill "$(cat "$base/docker.pid")"; wait "$engine" || true; }
    ip link delete "$bridge" 2>/dev/null || true
    rm -rf "$work" 2>/dev/null || true
}
trap end EXIT

start_engine() {
    mkdir -p "$base"
    # The name under which an engine looks for its init, and which says whose contract is kept.
    cp "$binary" "$base/docker-init"
    ip link add "$bridge" type bridge
    ip addr add 172.29.99.1/24 dev "$bridge"
    ip link set "$bridge" up
    dockerd --config-file /dev/null --host "unix://$base/docker.sock" --bridge "$bridge" --iptables=false \
        --ip6tables=false --ip-masq=false --data-root "$base/data" --exec-root "$base/run" --pidfile "$base/docker.pid" \
        --storage-driver vfs --init-path "$base/docker-init" >"$base/log" 2>&1 </dev/null &
    engine=$!
    export DOCKER_HOST="unix://$base/docker.sock"
    local followed
    exec {followed}< <(exec timeout 90 tail -n +1 --pid="$engine" -F "$base/log" 2>/dev/null)
    grep -q -m1 "API listen on" <&"$followed" || { cat "$base/log" >&2; fail "a second engine does not start"; }
    exec {followed}<&-
}

# An image of three static programs: nothing but what the tests themselves bring.
make_image() {
    mkdir -p "$work/root/bin" "$work/root/tmp"
    cc -static -O1 -o "$work/root/bin/workload" tests/workload/workload.c
    cp "$binary" "$work/root/bin/mak-init"
    ln -s mak-init "$work/root/bin/tini"
    ln -s mak-init "$work/root/bin/dumb-init"
    ln -s mak-init "$work/root/bin/catatonit"
    tar -C "$work/root" -c . | docker import - "$tag" >/dev/null
}

in_engine() { code=0; timeout 60 docker run --rm "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?; }

shows_a_version() {
    # Where an engine cannot read it, it shows nothing.
    local shown
    shown="$(docker info --format '{{.InitBinary}} {{.InitCommit.ID}}')"
    grep -qE "docker-init [0-9a-f]{7,}$|docker-init unknown$" <<<"$shown" || fail "docker info shows: $shown"
    ! grep -q "failed to parse .*version\|failed to retrieve .*version" "$base/log" || fail "the engine cannot read the version"
    shown="$(docker version --format '{{json .Server.Components}}')"
    grep -q '"Name":"docker-init"[^}]*"Version":"0.19.0"' <<<"$shown" || fail "docker version shows: $shown"
    ok "docker info and docker version show this binary as the engine's init"
}

runs_as_the_engines_init() {
    in_engine --init "$tag" /bin/workload exit 9; expect_code 9 "a code"
    in_engine --init "$tag" /bin/workload die-by 11; expect_code 139 "a signal"
    in_engine --init "$tag" /no/such/program; expect_code 127 "a program that is not there"
    in_engine --init --read-only --user 61234:61234 --cap-drop ALL --security-opt no-new-privileges "$tag" /bin/workload exit 5
    expect_code 5 "unprivileged on a read-only root"
    ok "docker run --init: codes, signals, no program, no rights, a read-only root"
}

stops_and_forwards() {
    container="$(docker run -d --init "$tag" /bin/workload print-signals 10)"
    wait_log ready
    docker kill -s HUP "$container" >/dev/null; wait_log "sig 1 "
    docker kill -s RTMIN+3 "$container" >/dev/null; wait_log "sig 37 "
    docker kill -s USR1 "$container" >/dev/null
    [ "$(timeout 60 docker wait "$container")" -eq 0 ] || fail "the workload's end is not its own"
    container="$(docker run -d --init "$tag" /bin/workload die-by 15)"
    [ "$(timeout 60 docker wait "$container")" -eq 143 ] || fail "a death by TERM is not 143"
    ok "docker kill reaches the workload through the engine's init"
}

keeps_the_peers_names() {
    local name
    for name in tini dumb-init catatonit; do
        in_engine --entrypoint "/bin/$name" "$tag" -- /bin/workload exit 6
        expect_code 6 "/bin/$name"
    done
    in_engine --entrypoint /bin/tini "$tag" -z; expect_code 1 "tini -z"
    in_engine --entrypoint /bin/tini "$tag" -h; expect_code 0 "tini -h"
    in_engine --entrypoint /bin/tini "$tag" zzzz; expect_code 127 "tini zzzz"
    ok "tini, dumb-init and catatonit as entry points"
}

options=()
start_engine
make_image
shows_a_version
runs_as_the_engines_init
stops_and_forwards
keeps_the_peers_names
echo "$passed passed, 0 failed"
