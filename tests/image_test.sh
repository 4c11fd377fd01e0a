#!/bin/bash
# `mak image test` on a real engine: a good image passes every category on both platforms, and for each category there is
# an image that fails it alone. JSON alone on stdout; an interrupted test leaves no container.
#
#     scripts/build-static amd64 && scripts/build-static arm64 && cargo build && tests/image_test.sh
#
# MAK_BIN: the mak that is tested (target/debug/mak).
set -euo pipefail
. "$(dirname "$0")/engine.sh"
need_engine
end() { docker ps -aq --filter "name=$tag" | xargs -r docker rm -f >/dev/null; remove_all; }
trap end EXIT
need_binaries
mak="${MAK_BIN:-$PWD/target/debug/mak}"
[ -x "$mak" ] || fail "no $mak: run cargo build"
context="$work/context"
mkdir -p "$context/other"
for name in $platforms; do mkdir -p "$context/linux_$name"; cp "dist/linux_$name/mak-init" "$context/linux_$name/"; done
other_of() { if [ "$1" = amd64 ]; then echo arm64; else echo amd64; fi; }

# image NAME PLATFORMS: from the Dockerfile on stdin.
image() {
    cat >"$context/Dockerfile.$1"
    docker buildx build --quiet --provenance=false --platform "$2" -f "$context/Dockerfile.$1" \
        --output "type=image,name=docker.io/library/$tag-$1,compression=uncompressed" "$context" >"$work/built" 2>&1 ||
        { cat "$work/built" >&2; fail "the image $1 cannot be built"; }
}

# try_it NAME OPTION...: mak image test, its code in $code, its report in $work/report.
try_it() {
    local name=$1; shift
    code=0
    timeout 200 "$mak" image test "$tag-$name" --name "$tag-$name" --platform "linux/$platform" --quick --test-only --json \
        --start-wait 3s --timeout 30s --retries 2 "$@" >"$work/report" 2>"$work/err" </dev/null || code=$?
}

# fails_only CATEGORY [OTHERS]: of the report; OTHERS is what the other categories are.
fails_only() {
    [ "$code" -eq 69 ] || { cat "$work/report" "$work/err" >&2; fail "an image that fails $1 alone: code $code and not 69"; }
    judged "$1" fail "${2:-pass}"
    ok "an image that fails $1 fails it alone"
}

# judged CATEGORY STATUS OTHERS: the whole of stdout is one JSON document, with seven categories; an empty CATEGORY is none.
judged() {
    python3 - "$work/report" "$@" <<'PYTHON' || { cat "$work/report" "$work/err" >&2; fail "the report is not as it should be"; }
import json, sys
category, status, others = sys.argv[2:5]
report = json.load(open(sys.argv[1]))
assert report["schema"] == 1
for each in report["platforms"]:
    found = {check["id"].removeprefix("trial."): check["status"] for check in each["checks"]}
    seven = ["architecture", "startup", "runtime", "process", "network", "health", "resources"]
    assert list(found)[:7] == seven, found
    for name in seven:
        # A container that does not run says nothing of the rest, but its label is known.
        wanted = status if name == category else "pass" if name == "architecture" else others
        assert found[name] == wanted, (name, found)
PYTHON
}

good='ENTRYPOINT ["/mak-init", "--listen", "0.0.0.0:8000", "--pause"]'
begin='FROM scratch
ARG TARGETARCH
COPY linux_${TARGETARCH}/mak-init /mak-init
EXPOSE 8000'
both="$(printf 'linux/%s,' $platforms | sed 's/,$//')"

# A program of 260 processes, where 256 are planned for.
cat >"$work/many.c" <<'C'
#include <unistd.h>
int main(void) {
    for (int i = 0; i < 260; i++)
        if (fork() == 0)
            for (;;) pause();
    for (;;) pause();
}
C
for name in $platforms; do
    compiler=cc
    [ "$name" != arm64 ] || [ "$(uname -m)" = aarch64 ] || compiler=aarch64-linux-gnu-gcc
    [ "$name" != amd64 ] || [ "$(uname -m)" = x86_64 ] || compiler=x86_64-linux-gnu-gcc
    $compiler -static -O1 -o "$context/linux_$name/many" "$work/many.c"
done
mkdir -p "$context/etc"
printf '%s\n' '[[check]]' 'name = "never"' 'kind = "file"' 'path = "/no/such/file"' 'interval = "1s"' >"$context/etc/unhealthy.toml"

image good "$both" <<<"$begin
$good"
image ends "$both" <<<"$begin
ENTRYPOINT [\"/mak-init\", \"platform\"]"
image stays "$both" <<<"$begin
STOPSIGNAL SIGUSR1
$good"
image broken-check "$both" <<<"$begin
HEALTHCHECK --interval=1s --timeout=5s --retries=1 CMD [\"/usr/bin/curl\", \"-f\", \"http://localhost:8000/health\"]
$good"
image inside-only "$both" <<<"$begin
ENTRYPOINT [\"/mak-init\", \"--listen\", \"127.0.0.1:8000\", \"--pause\"]"
image unhealthy "$both" <<<"$begin
COPY etc/unhealthy.toml /etc/mak-init/config.toml
$good"
image many "$both" <<<"$begin
COPY linux_\${TARGETARCH}/many /many
ENTRYPOINT [\"/mak-init\", \"--listen\", \"0.0.0.0:8000\", \"--\", \"/many\"]"

an_interrupted_test_leaves_no_container() {
    mkfifo "$work/said-$platform"
    "$mak" image test "$tag-inside-only" --name "$tag-interrupted" --platform "linux/$platform" --test-only --verbose \
        --start-wait 60s >"$work/report" 2>"$work/said-$platform" &
    local pid=$! log
    exec {log}<"$work/said-$platform"
    timeout 60 grep -qm1 'start-up' <&"$log" || fail "the test does not come to its start-up"
    kill -INT "$pid"
    code=0; wait "$pid" || code=$?
    exec {log}<&-
    [ "$code" -eq 130 ] || fail "an interrupted test: code $code and not 130"
    [ -z "$(docker ps -aq --filter "name=$tag-interrupted")" ] || fail "an interrupted test leaves a container"
    [ ! -s "$work/report" ] || fail "an interrupted test prints a report"
    ok "an interrupted test leaves no container, code 130"
}

for platform in $platforms; do
    other="$(other_of "$platform")"
    try_it good
    [ "$code" -eq 0 ] || { cat "$work/report" "$work/err" >&2; fail "a good image: code $code"; }
    judged "" "" pass
    ok "a good image passes all seven"
    if [ "$(wc -w <<<"$platforms")" -eq 2 ]; then
        # The label is wrong and the contents are right: built as the other platform's.
        image label "linux/$other" <<<"FROM scratch
COPY linux_$platform/mak-init /mak-init
EXPOSE 8000
$good"
        try_it label
        python3 - "$work/report" <<'PYTHON' || { cat "$work/report" "$work/err" >&2; fail "a wrong label"; }
import json, sys
found = {c["id"]: c["status"] for c in json.load(open(sys.argv[1]))["platforms"][0]["checks"]}
assert found.pop("trial.architecture") == "fail" and set(found.values()) == {"pass"}, found
PYTHON
        [ "$code" -eq 69 ] || fail "a wrong label: code $code"
        ok "an image that fails architecture fails it alone"
        # The label is right and the contents are the other platform's.
        image contents "linux/$platform" <<<"FROM scratch
COPY linux_$other/mak-init /mak-init
EXPOSE 8000
$good"
        try_it contents; fails_only runtime
    fi
    try_it ends; fails_only startup skip
    try_it stays; fails_only startup
    try_it broken-check; fails_only process
    try_it inside-only; fails_only network
    try_it unhealthy; fails_only health
    try_it many; fails_only resources
    an_interrupted_test_leaves_no_container
done
platform=
[ -z "$(docker ps -aq --filter "name=$tag")" ] || fail "containers are left"
code=0; "$mak" image test "$tag-none" --test-only >"$work/out" 2>"$work/err" || code=$?
[ "$code" -eq 125 ] && [ ! -s "$work/out" ] && grep -q "there is no image $tag-none" "$work/err" || fail "an image that is not there: code $code"
ok "an image that is not there is no verdict: code 125, nothing on stdout"
echo "$passed passed, 0 failed"
