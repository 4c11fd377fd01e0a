#!/bin/bash
# A Docker HEALTHCHECK on a real engine: starting, healthy, unhealthy, healthy again, and what a paused container makes of
# its checks. The image holds mak-init and nothing else.
#
#     scripts/build-static amd64 && tests/healthcheck.sh
set -euo pipefail
MAK_TEST_PLATFORMS="${MAK_TEST_PLATFORMS:-amd64}"
. "$(dirname "$0")/engine.sh"
need_engine
trap remove_all EXIT
need_binaries
platform=${platforms%% *}

# The file that the check looks at lies in a folder of this machine.
prepare() {
    mkdir -p "$work/health/flag"
    chmod 755 "$work" "$work/health" "$work/health/flag"
    cat >"$work/health/config.toml" <<'END'
[health]
listen = "127.0.0.1:8080"
[[check]]
name = "flag"
kind = "file"
path = "/flag/up"
interval = "100ms"
failures = 1
[[check]]
name = "pulse"
kind = "file"
path = "/flag"
interval = "1s"
failures = 1
level = "alive"
on_failure = "restart"
END
    cat >"$work/health/Dockerfile" <<END
FROM scratch
COPY --from=mak-init linux_$platform/mak-init /mak-init
COPY config.toml /etc/mak-init/config.toml
HEALTHCHECK --interval=1s --timeout=5s --start-period=2s --start-interval=1s --retries=2 CMD ["/mak-init", "healthcheck"]
ENTRYPOINT ["/mak-init"]
CMD ["--pause"]
END
    build health "$work/health"
}

health_of() { docker inspect -f '{{.State.Health.Status}}' "$container"; }
last_words() { docker inspect -f '{{(index .State.Health.Log 0).Output}}' "$container"; }

# Waits for the engine's own event.
becomes() {
    local began
    began=$(now)
    until [ "$(health_of)" = "$1" ]; do
        [ $(($(now) - began)) -lt $((start_limit * 1000)) ] || fail "never $1: $(docker inspect -f '{{json .State.Health}}' "$container")"
        timeout 1 docker events --filter "container=$container" --filter event=health_status --since 1s >/dev/null || true
    done
}

goes_through_all_states() {
    options=(-v "$work/health/flag:/flag:ro")
    start health
    [ "$(health_of)" = starting ] || fail "it begins as $(health_of)"
    # Longer than the start period, without the file.
    becomes unhealthy
    touch "$work/health/flag/up"; becomes healthy
    rm "$work/health/flag/up"; becomes unhealthy
    touch "$work/health/flag/up"; becomes healthy
    ok "HEALTHCHECK goes from starting to unhealthy, healthy, unhealthy and healthy with the file it looks at"
    docker inspect -f '{{range .State.Health.Log}}{{.ExitCode}} {{.Output}}{{"\n"}}{{end}}' "$container" >"$work/words"
    grep -q '^1 mak-init: .*status 503: running, failed: flag' "$work/words" || { cat "$work/words"; fail "the engine's log says not why"; }
    ok "the engine's log holds the probe's one line"
}

outlives_a_pause() {
    local before after
    docker exec "$container" /mak-init status >"$work/status" || fail "status: $(cat "$work/status")"
    grep -q '^workload .* 0 restarts' "$work/status" || fail "status: $(cat "$work/status")"
    docker exec "$container" /mak-init status --format json >"$work/before"
    docker pause "$container" >/dev/null
    # Longer than three intervals of the check; there is no event to wait for while nothing runs.
    sleep 4
    docker unpause "$container" >/dev/null
    becomes healthy
    docker exec "$container" /mak-init status --format json >"$work/after"
    before="$(grep -c '"failures": 0' "$work/before" || true)"
    after="$(grep -c '"failures": 0' "$work/after" || true)"
    [ "$before" = "$after" ] || fail "a pause counts as a failure: $(cat "$work/after")"
    grep -q '"restarts": 0' "$work/after" || fail "a pause restarts the workload: $(cat "$work/after")"
    ok "a paused container counts no failure and restarts nothing; docker exec mak-init status tells"
}

comes_back_on_the_same_port() {
    local health
    health="$(docker top "$container" -eo pid,comm | awk '$2 ~ /mak-init:health/ {print $1; exit}')"
    [ -n "$health" ] || fail "no health process: $(docker top "$container")"
    kill -KILL "$health"
    # The connection waits in the queue of the socket that PID 1 has kept.
    docker exec "$container" /mak-init healthcheck || fail "not healthy after a kill -9 of health"
    ok "the next probe after a kill -9 of health is answered"
}

prepare
ok "an image of mak-init alone is built"
goes_through_all_states
outlives_a_pause
comes_back_on_the_same_port
echo "$passed passed, 0 failed"
