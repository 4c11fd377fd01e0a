#!/bin/bash
# The quick start image (docker/Dockerfile) on a real engine, on both platforms: it becomes healthy, answers, stops in the
# workload's own time with the workload's code, and a workload that will not stop is ended by mak-init and not by the engine.
#
#     scripts/build-static amd64 && scripts/build-static arm64 && tests/container.sh
#
# MAK_TEST_PLATFORMS="amd64": only that one. arm64 runs by emulation (binfmt).
set -euo pipefail
. "$(dirname "$0")/engine.sh"
need_engine
trap remove_all EXIT
need_binaries

# A stop takes the time of the workload. The grace period (7 s) would be seen by these limits.
stop_limit_amd64=3000
stop_limit_arm64=6000
# The engine's own patience: after it comes its KILL, and nobody's line.
engine_patience=10000

becomes_healthy_and_answers() {
    options=(-p 127.0.0.1::8080)
    start quickstart
    wait_healthy
    # The endpoint speaks of mak-init and the workload's process; the service opens its own port a little later.
    wait_log "Running on"
    local port answer
    port="$(docker port "$container" 8080 | head -1 | sed 's/.*://')"
    answer="$(python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())' \
        "http://127.0.0.1:$port/hello")" || fail "the service does not answer"
    grep -q '"path": "/hello"' <<<"$answer" || fail "the service answers $answer"
    ok "healthy after $healthy_after ms, and the service answers"
}

stops_in_the_workloads_own_time() {
    local limit=stop_limit_$platform
    stop
    [ "$took" -lt "${!limit}" ] || fail "docker stop took $took ms"
    [ "$code" -eq 0 ] || fail "docker stop: code $code and not the service's 0"
    ok "docker stop took $took ms, the service's code is 0"
}

returns_the_code_a_workload_chose_on_term() {
    options=()
    start quickstart sh -c 'trap "exit 42" TERM; echo ready; while :; do sleep 0.05; done'
    wait_log ready
    stop
    [ "$code" -eq 42 ] || fail "docker stop: code $code and not the 42 the workload ends with"
    ok "a workload that ends with 42 on TERM is code 42, after $took ms"
}

ends_a_workload_that_ignores_term() {
    options=()
    start quickstart sh -c 'trap "" TERM; echo ready; while :; do sleep 0.05; done'
    wait_log ready
    stop
    [ "$took" -lt "$engine_patience" ] || fail "docker stop took $took ms: the engine had to kill"
    [ "$code" -eq 137 ] || fail "a killed workload is code $code and not 137"
    logged "the workload .* killing it" || fail "no line of ours says that the workload was killed"
    ok "a workload that ignores TERM is killed after $took ms by us, with a line that says so"
}

returns_exit_codes() {
    options=()
    run quickstart sh -c 'exit 9'; expect_code 9 "sh -c 'exit 9'"
    run quickstart /no/such/program; expect_code 127 "a program that is not there"
    run quickstart /etc/passwd; expect_code 126 "a file that is no program"
    run quickstart sh -c 'kill -SEGV $$'; expect_code 139 "a workload that dies of signal 11"
    ok "codes 9, 127, 126 and 139 are passed on"
}

reaps_orphans() {
    options=()
    # No sleep: the shell looks at /proc until nothing there is a zombie.
    run quickstart sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do (true & exec true); done
        for try in $(seq 2000); do grep -qs "^State:.Z" /proc/[0-9]*/status || exit 0; done; exit 1'
    expect_code 0 "orphans stay as zombies"
    ok "ten orphans leave no zombie"
}

runs_without_rights() {
    options=(--user 65534:65534 --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges
        -e IPFS_KIT_DATA_DIR=/tmp/data -e IPFS_KIT_LOG_DIR=/tmp/logs -e IPFS_KIT_CONFIG_DIR=/tmp/config)
    run quickstart sh -c 'exit 5'; expect_code 5 "an unprivileged, read-only container"
    ok "runs unprivileged on a read-only root, without capabilities"
}

# dies CODE PHRASE COMMAND...: why the workload ended is said on stderr and in the termination message that Kubernetes
# mounts.
dies() {
    local expected=$1 phrase=$2 given=("${options[@]}"); shift 2
    rm -f "$work/message"; : >"$work/message"; chmod 666 "$work/message"
    options+=(-v "$work/message:/dev/termination-log" -v "$work/workload:/workload:ro")
    run quickstart "$@"
    options=("${given[@]}")
    expect_code "$expected" "$*"
    grep -q -- "$phrase" "$work/err" || fail "$*: stderr does not say \"$phrase\": $(cat "$work/err")"
    grep -q -- "$phrase" "$work/message" || fail "$*: the message does not say \"$phrase\": $(cat "$work/message")"
}

# An emulator has a processor, a memory and filters of its own: these deaths are only what they are on the real machine.
tells_why_workloads_die() {
    [ "$platform" = "$(dpkg --print-architecture)" ] || return 0
    cc -O1 -static -o "$work/workload" tests/workload/workload.c
    options=()
    dies 137 "(SIGKILL) by an unknown sender" sh -c 'kill -KILL $$'
    dies 132 "illegal instruction (SIGILL)" /workload illegal-instruction
    dies 135 "bus error (SIGBUS)" /workload bus-error /tmp/mapped
    dies 159 "a seccomp filter forbids (SIGSYS)" /workload break-a-filter
    options=(--memory 32m --memory-swap 32m)
    dies 137 "out-of-memory killer" /workload eat-memory
    local deaths="out of memory, KILL, illegal instruction, bus error, seccomp"
    if [ "$(cat /proc/sys/kernel/core_pattern)" = core ]; then
        options=(--ulimit core=-1 --workdir /tmp)
        dies 134 "a core was dumped to /tmp/core" /workload dump-core
        deaths+=", core dump"
    fi
    rm -f "$work/message"; : >"$work/message"; chmod 666 "$work/message"
    options=(-v "$work/message:/dev/termination-log")
    start quickstart sh -c 'echo ready; while :; do sleep 0.05; done'
    wait_log ready
    stop
    [ "$code" -eq 143 ] || fail "docker stop: code $code and not 143"
    local phrase="a stop was asked for: SIGTERM, sent from outside the container"
    logged "$phrase" || fail "no line says that the stop was asked for"
    grep -q "$phrase" "$work/message" || fail "the message does not say \"$phrase\": $(cat "$work/message")"
    ok "$deaths, a stop that was asked for: each told on stderr and in the termination message"
}

build quickstart -f docker/Dockerfile .
platform=; ok "docker/Dockerfile is built for $platforms, its verify --full passed"
for platform in $platforms; do
    becomes_healthy_and_answers
    stops_in_the_workloads_own_time
    returns_the_code_a_workload_chose_on_term
    ends_a_workload_that_ignores_term
    returns_exit_codes
    reaps_orphans
    runs_without_rights
    tells_why_workloads_die
done
echo "$passed passed, 0 failed"
