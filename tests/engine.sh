# Sourced by tests/container.sh and tests/acceptance.sh: an engine, the images, and how a container is looked at.
# Everything made here carries $tag in its name and is removed at the end.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
platforms="${MAK_TEST_PLATFORMS:-amd64 arm64}"
tag="mak-init-test-$$"
work="$(mktemp -d)"
passed=0
platform=
python_image="${PYTHON_IMAGE:-python:3.13-slim}"
# An emulated Python starts in seconds where a native one takes 0.1 s, more on a busy machine.
start_limit=90

ok() { passed=$((passed + 1)); echo "ok: ${platform:+$platform: }$*"; }
fail() {
    echo "not ok: ${platform:+$platform: }$*" >&2
    if [ -n "${container:-}" ]; then docker logs "$container" 2>&1 | tail -20 >&2 || true; fi
    echo "$passed passed, 1 failed"
    exit 1
}

remove_all() {
    local left
    left="$(docker ps -aq --filter "label=$tag")"
    [ -z "$left" ] || docker rm -f $left >/dev/null
    left="$(docker images -q "$tag-*" | sort -u)"
    [ -z "$left" ] || docker rmi -f $left >/dev/null 2>&1
    rm -rf "$work"
}

# The engine that answers, or the one a fresh Debian machine can set up for itself. None: no containers were tested, and
# that is a failure wherever a failure is looked at.
need_engine() {
    # An engine set up earlier is known by its environment file only.
    docker version >/dev/null 2>&1 || [ ! -e /opt/mak-engine/env ] || . /opt/mak-engine/env
    if ! docker version >/dev/null 2>&1 && [ -e ../shared/tools/engine.sh ]; then
        bash ../shared/tools/engine.sh
        . /opt/mak-engine/env
    fi
    docker version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 && return
    echo "these tests need a container engine with buildx, and arm64 by emulation: none answers \`docker version\`" >&2
    [ -z "${CI:-}" ] || { echo "0 passed, 1 failed"; exit 1; }
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

need_binaries() {
    local name
    for name in $platforms; do
        [ -x "dist/linux_$name/mak-init" ] || fail "no dist/linux_$name/mak-init: run scripts/build-static $name"
    done
}

# from_trixie PACKAGE: what Debian 13 has of it, unpacked into $trixie and kept there; nothing is installed.
trixie="$PWD/target/trixie"
from_trixie() {
    [ ! -e "$trixie/$1.complete" ] || return 0
    local state="$trixie/state" mirror options
    mirror="$( (cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true) |
        grep -m1 -oE 'https?://[^ ]+/debian/?( |$)' | tr -d ' ')" || fail "no Debian mirror in /etc/apt"
    mkdir -p "$state"/lists/partial "$state"/cache/archives/partial "$state/debs"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$state/sources.list"
    : >"$state/status"
    options=(-qq -o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$state/lists"
        -o "Dir::Cache=$state/cache" -o "Dir::State::status=$state/status" -o Acquire::Languages=none -o APT::Sandbox::User=root)
    [ -n "$(ls "$state"/lists/*_Packages* 2>/dev/null)" ] || apt-get "${options[@]}" update || fail "the lists of Debian 13 cannot be fetched"
    (cd "$state/debs" && apt-get "${options[@]}" download "$1") || fail "Debian 13 gives no $1"
    dpkg -x "$state/debs/$1"_*.deb "$trixie"
    touch "$trixie/$1.complete"
}

# build NAME ARG...: an image for all platforms under test, from the binaries in dist/.
build() {
    local name=$1; shift
    mkdir -p dist    # a stage that takes no binary is built before there is one
    docker buildx build --quiet --provenance=false --platform "$(printf 'linux/%s,' $platforms | sed 's/,$//')" \
        --build-context mak-init=dist --build-arg PYTHON_IMAGE="$python_image" \
        --output "type=image,name=docker.io/library/$tag-$name,compression=uncompressed,unpack=true" "$@" \
        >"$work/build-$name" 2>&1 || { cat "$work/build-$name" >&2; fail "the image $name cannot be built"; }
}

# start IMAGE ARG...: a container in the background, its id in $container. Options for the engine: the array options.
options=()
start() {
    local image=$1; shift
    container="$(docker run -d --label "$tag" --platform "linux/$platform" "${options[@]}" "$tag-$image" "$@")" ||
        fail "the container cannot be started"
}

# run IMAGE ARG...: a container until its end, its code in $code, its two streams in $work/out and $work/err.
run() {
    local image=$1; shift
    code=0; container=
    timeout "$start_limit" docker run --rm --label "$tag" --platform "linux/$platform" "${options[@]}" "$tag-$image" "$@" \
        >"$work/out" 2>"$work/err" </dev/null || code=$?
}

expect_code() { [ "$code" -eq "$1" ] || { cat "$work/out" "$work/err" >&2; fail "$2: code $code and not $1"; }; }

# Waits on the engine's own events; a container that ends before it is healthy is a failure at once.
wait_healthy() {
    local began status
    began=$(now)
    while :; do
        status="$(docker inspect -f '{{.State.Running}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$container")"
        case "$status" in
        "true healthy") healthy_after=$(($(now) - began)); return ;;
        "false "*) fail "the container ended before it was healthy" ;;
        "true unhealthy") fail "the container is unhealthy: $(docker inspect -f '{{json .State.Health.Log}}' "$container")" ;;
        esac
        [ $(($(now) - began)) -lt $((start_limit * 1000)) ] || fail "the container is not healthy after $start_limit s"
        timeout 1 docker events --filter "container=$container" --filter event=health_status --since 1s >/dev/null || true
    done
}

# All of the log first: a `grep -q` that has seen enough would break the pipe, and that counts as a failure here.
logged() { grep -q -- "$1" <<<"$(docker logs "$container" 2>&1)"; }

# Reads the log as it is written; a container that ends closes it.
wait_log() {
    local log follower found=0
    exec {log}< <(exec timeout "$start_limit" docker logs -f "$container" 2>&1)
    follower=$!
    grep -q -m1 -- "$1" <&"$log" || found=$?
    exec {log}<&-
    kill "$follower" 2>/dev/null || true
    [ "$found" -eq 0 ] || fail "the log does not show: $1"
}

exit_code() { docker inspect -f '{{.State.ExitCode}}' "$container"; }
now() { date +%s%3N; }

# stop: what `docker stop` took in $took (ms) and the code in $code.
stop() {
    local began
    began=$(now)
    docker stop "$container" >/dev/null
    took=$(($(now) - began))
    code="$(exit_code)"
}
