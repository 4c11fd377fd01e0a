#!/bin/bash
# Every image of docker/ built, verified and tried out, for every platform that can be built here; the table of it goes into
# docs/images.md.
#
#     scripts/build-static amd64 && scripts/build-static arm64 && cargo build && tests/examples.sh [EXAMPLE...]
#
# build: docker buildx build. verify: mak image verify of what came out. test: what the image is for: it serves under
# mak image test with its seven categories, answers Lambda's runtime interface, runs its tests or refuses to start.
# A base image that is not on this machine cannot be pulled here: something of Debian's stands in for it, by a build
# argument or a named context, and the table says what was not run. UPDATE_DOCS=1 writes the rows that were run into the
# table; without it they have to stand there already.
set -euo pipefail
. "$(dirname "$0")/engine.sh"
need_engine
server=
end() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    docker ps -aq --filter "name=$tag" | xargs -r docker rm -f >/dev/null
    remove_all
}
trap end EXIT
need_binaries
mak="${MAK_BIN:-$PWD/target/debug/mak}"
[ -x "$mak" ] || fail "no $mak: run cargo build"
rows="$work/rows"
: >"$rows"

# image NAME OPTION...: the image $tag-NAME for $platform; false where it cannot be built.
image() {
    local name=$1; shift
    docker buildx build --quiet --provenance=false --platform "linux/$platform" --build-context mak-init=dist \
        --build-arg PYTHON_IMAGE="$python_image" \
        --output "type=image,name=docker.io/library/$tag-$name,compression=uncompressed,unpack=true" "$@" \
        >"$work/built" 2>&1 || { cat "$work/built" >&2; fail "the image $name cannot be built"; }
}

# verified NAME OPTION...: mak image verify finds nothing wrong.
verified() {
    local name=$1; shift
    "$mak" image verify "docker:$tag-$name" --platform "linux/$platform" "$@" >"$work/verified" 2>&1 ||
        { cat "$work/verified" >&2; fail "$name: mak image verify"; }
}

# serves NAME OPTION...: all seven categories of mak image test.
serves() {
    local name=$1; shift
    timeout 400 "$mak" image test "$tag-$name" --name "$tag-$name" --platform "linux/$platform" --quick --test-only \
        --start-wait 10s --timeout 60s "$@" >"$work/tried" 2>&1 </dev/null || { cat "$work/tried" >&2; fail "$name: mak image test"; }
}

# answers PORT: waits until the container answers on it. Healthy is the process; the service comes a little later.
answers() {
    python3 - "http://$(docker port "$container" "$1" | head -1)/health" "$start_limit" <<'PYTHON' || fail "port $1 does not answer"
import select, sys, time, urllib.request
until = time.monotonic() + float(sys.argv[2])
while True:
    try:
        if urllib.request.urlopen(sys.argv[1], timeout=30).status == 200: break
    except OSError:
        if time.monotonic() > until: raise
        select.select([], [], [], 0.1)
PYTHON
}

# row EXAMPLE BUILD VERIFY TEST NOTE
row() { echo "| $1 | $platform | $2 | $3 | $4 | $5 |" >>"$rows"; ok "$1: build $2, verify $3, test $4${5:+ ($5)}"; }

ipfs_kit() {
    image "$1" --file docker/ipfs-kit/Dockerfile --target "$1" --build-arg RUNTIME_PACKAGES= --build-arg BUILD_PACKAGES= .
}

scratch() {
    image scratch --file docker/scratch/Dockerfile .
    verified scratch
    options=(); run scratch --version; expect_code 0 "mak-init --version"
    row "docker/scratch" yes yes yes "its test is \`--version\`"
}

production() {
    ipfs_kit production
    verified production --profile ipfs-kit
    serves production --port 8000 --option=--read-only --option=--tmpfs=/tmp --option=--cap-drop=ALL
    row "docker/ipfs-kit, production" yes yes yes "read-only, no capabilities"
}

development() {
    ipfs_kit development
    # Its debugger carries the library by which it attaches to others for amd64, on every platform.
    verified development --profile ipfs-kit --foreign /opt/venv/lib/python3.13/site-packages/debugpy/_vendored
    local note="with \`BUILD_PACKAGES=\`: compilers and git come by apt, which this base has for amd64 only; \`--foreign\` for what debugpy carries along for amd64"
    options=(-p 127.0.0.1::5678 -p 127.0.0.1::8000)
    if [ "$platform" = "$(dpkg --print-architecture)" ]; then
        serves development --port 8000
        start development; wait_healthy; answers 8000
    else
        note="$note; service and debugger asked without \`mak image test\`: an emulated debugger takes longer than a HEALTHCHECK waits"
        local start_limit=240
        start development; answers 8000
    fi
    # The debugger answers with its own protocol: a header, then JSON.
    python3 - "$(docker port "$container" 5678 | head -1 | sed 's/.*://')" <<'PYTHON' || fail "the debugger does not answer"
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=30) as debugger:
    assert debugger.recv(16).startswith(b"Content-Length:")
PYTHON
    docker rm -f "$container" >/dev/null
    row "docker/ipfs-kit, development" yes yes yes "$note"
}

testing() {
    ipfs_kit testing
    verified testing --profile ipfs-kit
    options=(); run testing; expect_code 0 "the tests of the package"
    grep -q ' passed' "$work/out" || fail "no test of the package has passed"
    row "docker/ipfs-kit, testing" yes yes yes "imports all it requires"
}

documentation() {
    ipfs_kit documentation
    verified documentation
    options=(--read-only --tmpfs /tmp -p 127.0.0.1::8000); start documentation; wait_healthy
    python3 - "$(docker port "$container" 8000 | head -1 | sed 's/.*://')" <<'PYTHON' || fail "the pages do not answer"
import sys, urllib.request
for page, text in (("", "mak-init"), ("images/", "Verifying images")):
    assert text in urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/{page}", timeout=30).read().decode(), page
PYTHON
    docker rm -f "$container" >/dev/null
    row "docker/ipfs-kit, documentation" yes yes yes "two pages asked for"
}

gpu() {
    ipfs_kit gpu
    verified gpu --profile ipfs-kit
    options=(); run gpu; expect_code 69 "the GPU image without a GPU"
    grep -q 'libcuda.so.1' "$work/err" && grep -q '/dev/nvidia0' "$work/err" || fail "the refusal names neither library nor device"
    row "docker/ipfs-kit, gpu" yes yes "refuses" "no GPU here: without \`libcuda.so.1\` and \`/dev/nvidia0\` code 69, as it should; never run on one"
}

published() {
    ipfs_kit published
    if "$mak" image verify "docker:$tag-published" --platform "linux/$platform" >"$work/verified" 2>&1; then fail "published: verified"; fi
    grep -q 'python.module' "$work/verified" || { cat "$work/verified" >&2; fail "published: mak image verify does not name python.module"; }
    options=(); run published; expect_code 69 "the published ipfs_kit_py 0.3.0"
    row "docker/ipfs-kit, published" yes "refuses" "refuses" "made to fail: \`python.module\`, since 0.3.0 has no \`__main__\`"
}

aws() { image "$1" --file docker/examples/aws/Dockerfile --target "$1" --build-arg SERVICE_FOLDER="docker/examples/aws/$1" .; verified "$1"; }

# Lambda's runtime interface, played by a server on this machine: two events, and then no more.
lambda() {
    aws lambda
    mkfifo "$work/address"
    python3 - "$work/events" >"$work/address" <<'PYTHON' &
import http.server, json, sys
events = [b'{"number": 1}', b'{"number": 2}']
class Runtime(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.path == "/2018-06-01/runtime/invocation/next", self.path
        body = events.pop(0) if events else b""
        self.send_response(200 if body else 410)
        self.send_header("Lambda-Runtime-Aws-Request-Id", f"id-{len(events)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(sys.argv[1], "a") as file: print(self.path.split("/")[-2], json.dumps(said), file=file)
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Runtime)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
    server=$!
    local port
    read -r port <"$work/address" || fail "the runtime interface does not start"
    rm "$work/address"
    options=(--read-only --tmpfs /tmp --add-host runtime:host-gateway -e "AWS_LAMBDA_RUNTIME_API=runtime:$port")
    run lambda; expect_code 0 "the function"
    kill "$server"; server=
    # In exec mode the function is the container's first process.
    python3 - "$work/events" "$platform" <<'PYTHON' || { cat "$work/err" >&2; fail "the events were not answered"; }
import json, sys
machine = {"amd64": "x86_64", "arm64": "aarch64"}[sys.argv[2]]
lines = [line.split(" ", 1) for line in open(sys.argv[1])]
assert [name for name, _ in lines] == ["id-1", "id-0"], lines
for number, (_, text) in enumerate(lines, 1):
    assert json.loads(text) == {"machine": machine, "event": {"number": number}, "pid": 1}, text
PYTHON
    rm "$work/events"
    row "docker/examples/aws, lambda" yes yes yes "read-only but for /tmp; Lambda's runtime interface played by a server here, not run on AWS"
}

apprunner() {
    aws apprunner
    serves apprunner --port 8000
    options=(-p 127.0.0.1::9808 -p 127.0.0.1::8000); start apprunner; wait_healthy; answers 8000; answers 9808
    stop; expect_code 0 "docker stop"
    docker rm -f "$container" >/dev/null
    row "docker/examples/aws, apprunner" yes yes yes "the endpoint asked from outside; not run on AWS"
}

eks() {
    aws eks
    serves eks --port 8000
    options=(-p 127.0.0.1::8000); start eks; wait_healthy; answers 8000
    # The engine waits longer than the five seconds in which a load balancer looks elsewhere.
    docker stop --time 30 "$container" >/dev/null
    [ "$(exit_code "$container")" -eq 0 ] || fail "docker stop"
    docker rm -f "$container" >/dev/null
    row "docker/examples/aws, eks" yes yes yes "stops after its delay with 0; not run on AWS"
}

alpine() {
    image alpine --file docker/examples/alpine/Dockerfile --build-arg BASE="$python_image" .
    verified alpine
    serves alpine --port 8000
    row "docker/examples/alpine" "stand-in" "stand-in" "stand-in" "\`python:3.13-alpine\` cannot be pulled here and Debian has no Python for musl: built on \`python:3.13-slim\`, which proves the steps and not Alpine"
}

# A program that needs no libc, at linux_ARCH/service: what the Go and the Rust example come to.
service_of() {
    local machine
    case $platform in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; esac
    mkdir -p "$work/service/linux_$platform"
    [ "$platform" = "$(dpkg --print-architecture)" ] || return 1
    rustc --edition 2024 -O -C target-feature=+crt-static --target "$machine-unknown-linux-gnu" \
        -o "$work/service/linux_$platform/service" docker/examples/rust/src/main.rs
}

distroless() {
    # For the other platform the service is Go's: its compiler here knows both.
    service_of || { go_compiled; taken_out go /service "$work/service/linux_$platform/service"; }
    # What distroless/static is: no shell, no libc; users, certificates, a folder for temporary files.
    local base="$work/distroless"
    mkdir -p "$base/etc/ssl/certs" "$base/tmp"
    chmod 1777 "$base/tmp"
    printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$base/etc/passwd"
    cp /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/"
    printf 'FROM scratch\nCOPY . /\nUSER 65532:65532\n' | image distroless-base --file - "$base"
    image distroless --file docker/examples/distroless/Dockerfile --build-arg BASE="$tag-distroless-base" \
        --build-context service="$work/service" .
    verified distroless
    serves distroless --port 8000 --option=--read-only
    row "docker/examples/distroless" "stand-in" yes yes "\`gcr.io/distroless/static-debian12\` cannot be pulled here: a root with users and certificates and nothing else stands in for it"
}

rust() {
    service_of || { row "docker/examples/rust" no no no "no std of Rust for this platform here"; return; }
    image rust --file docker/examples/rust/Dockerfile --build-context build="$work/service/linux_$platform" .
    verified rust
    serves rust --port 8000 --option=--read-only --option=--cap-drop=ALL
    row "docker/examples/rust" "stand-in" yes yes "\`rust:1.95-slim\` cannot be pulled here: compiled by this machine's rustc in place of the stage \`build\`"
}

# Debian's Go in the place of golang's image: the stage runs as it is written.
go_compiled() {
    if [ ! -e "$work/go/Dockerfile" ]; then
        mkdir -p "$work/go/root"
        (cd "$work/go" && apt-get -qq download golang-1.19-go golang-1.19-src)
        local package
        for package in "$work"/go/*.deb; do dpkg -x "$package" "$work/go/root"; done
        printf '%s\n' "FROM $python_image" 'COPY root/ /' 'ENV PATH=/usr/lib/go-1.19/bin:/usr/bin:/bin GOTOOLCHAIN=local' >"$work/go/Dockerfile"
        local wanted=$platform
        platform="$(dpkg --print-architecture)" image go-compiler "$work/go"
        platform=$wanted
    fi
    image go --file docker/examples/go/Dockerfile --build-arg GO_IMAGE="$tag-go-compiler" .
}

# taken_out NAME PATH FILE: a file of the image $tag-NAME.
taken_out() {
    local id
    id="$(docker create --label "$tag" --platform "linux/$platform" "$tag-$1")"
    docker cp --quiet "$id:$2" "$3"
    docker rm "$id" >/dev/null
}

go() {
    go_compiled
    verified go
    serves go --port 8000 --option=--read-only --option=--cap-drop=ALL
    row "docker/examples/go" yes yes yes "\`golang:1.24\` cannot be pulled here: Debian's Go 1.19 in its place, cross-compiling as the stage says"
}

all="scratch production development testing documentation gpu published lambda apprunner eks alpine distroless rust go"
for platform in $platforms; do
    for example in ${*:-$all}; do "$example"; done
done
platform=
written="$work/images.md"
python3 - docs/images.md "$rows" >"$written" <<'PYTHON'
import sys
text, rows = (open(name).read() for name in sys.argv[1:])
begin, end = "<!-- examples: written by tests/examples.sh -->\n", "<!-- end of examples -->"
before, rest = text.split(begin)
table, after = rest.split(end)
known = {tuple(row.split(" | ")[:2]): row for row in table.splitlines(True)[2:] + rows.splitlines(True)}
head = "| example | platform | build | verify | test | |\n|---|---|---|---|---|---|\n"
print(before + begin + head + "".join(known[key] for key in sorted(known)) + end + after, end="")
PYTHON
if [ -n "${UPDATE_DOCS:-}" ]; then cp "$written" docs/images.md
else cmp "$written" docs/images.md || fail "the table in docs/images.md is another: UPDATE_DOCS=1 tests/examples.sh writes it"
fi
echo "$passed passed, 0 failed"
