#!/bin/bash
# mak-init in real containers of every kind: it starts, becomes healthy, stops, and returns the workload's code.
# Roots {Debian 13 with Python 3.13 and IPFS Kit's requirements, Debian 12 with Python 3.11, musl, empty} × users {root, 1000,
# a random one} × {default, read-only root, no capabilities, no-new-privileges} × {run, exec} × {amd64, arm64}.
#
#     tests/matrix.sh              all of them; docs/matrix.md is written anew
#     tests/matrix.sh pairwise     so many that every pair of values occurs: what CI runs
#
# The profile ipfs-kit wants Python 3.12: on Debian 12 python.version has to fail, and the start goes on only because it is
# told to (MAK_INIT_VERIFY=warn). MAK_MATRIX_JOBS: so many containers at once (4).
set -euo pipefail
. "$(dirname "$0")/engine.sh"

roots="trixie bookworm musl empty"
users="root 1000 random"
restrictions="default read-only cap-drop no-new-privileges"
modes="run exec"

# one TAG ROOT USER RESTRICTION MODE ARCH: a row of the table; code 1 where anything is not as it should be.
one() {
    tag=$1; local root=$2 user=$3 restriction=$4 mode=$5 began; platform=$6
    work="$(mktemp -d)"; options=(-e IPFS_KIT_DATA_DIR=/tmp/data -e IPFS_KIT_LOG_DIR=/tmp/logs -e IPFS_KIT_CONFIG_DIR=/tmp/config --tmpfs /tmp:mode=1777)
    case $user in root) ;; random) options+=(--user "$((20000 + RANDOM)):$((20000 + RANDOM))") ;; *) options+=(--user "$user:$user") ;; esac
    case $restriction in
    read-only) options+=(--read-only) ;;
    cap-drop) options+=(--cap-drop ALL) ;;
    no-new-privileges) options+=(--security-opt no-new-privileges) ;;
    esac
    [ "$mode" = run ] || options+=(-e MAK_INIT_MODE=exec)
    began=$(now)
    start "matrix-$root"
    wait_healthy
    # Healthy is the process; the handler of TERM is set a little later.
    wait_log ready
    stop
    [ "$code" -eq 42 ] || fail "$root, $user, $restriction, $mode: code $code and not 42"
    [ "$took" -lt 9000 ] || fail "$root, $user, $restriction, $mode: docker stop took $took ms"
    local note=""
    if [ "$root" = bookworm ]; then
        logged 'python.version' || fail "$root: no line names python.version"
        note="python.version fails, as it should"
    fi
    docker rm -f "$container" >/dev/null
    rm -rf "$work"
    echo "| $root | $user | $restriction | $mode | $platform | yes | yes | yes | $code | $note |"
}

if [ "${1:-}" = one ]; then shift; rm -rf "$work"; one "$@"; exit; fi

need_engine
trap remove_all EXIT
need_binaries
mkdir -p "$work/roots"

# The workload: ends with 42 on TERM. For the musl root it is linked to that root's libc, for the empty one to none.
cat >"$work/workload.c" <<'C'
#include <signal.h>
#include <unistd.h>
static void end(int number) { (void)number; _exit(42); }
int main(void) {
    signal(SIGTERM, end);
    write(1, "ready\n", 6);
    for (;;) pause();
}
C
compiler_of() {
    case "$1-$(uname -m)" in
    amd64-x86_64 | arm64-aarch64) echo cc ;;
    amd64-*) echo x86_64-linux-gnu-gcc ;;
    arm64-*) echo aarch64-linux-gnu-gcc ;;
    esac
}
machine_of() { if [ "$1" = amd64 ]; then echo x86_64; else echo aarch64; fi; }

# packages FOLDER ARCH NAME...: what Debian 12 holds of these, unpacked.
packages() {
    local folder=$1 arch=$2 package; shift 2
    mkdir -p "$work/debs-$arch" "$folder"
    (cd "$work/debs-$arch" && apt-get -qq download "${@/%/:$arch}")
    for package in "$work/debs-$arch"/*.deb; do dpkg -x "$package" "$folder"; done
    rm -rf "$work/debs-$arch"
}

for name in $platforms; do
    roots_of="$work/roots/linux_$name"
    machine="$(machine_of "$name")"
    # Debian 12: an interpreter and what it loads; dpkg is not asked, so no emulator is either.
    packages "$roots_of/bookworm" "$name" python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libexpat1 zlib1g
    ln -sf python3.11 "$roots_of/bookworm/usr/bin/python3"
    packages "$roots_of/musl" "$name" musl
    mkdir -p "$roots_of/empty"
    compiler="$(compiler_of "$name")"
    $compiler -static -O1 -o "$roots_of/empty/workload" "$work/workload.c"
    $compiler -nostdlib -nostdinc -isystem "/usr/include/$machine-linux-musl" -no-pie -O1 -o "$roots_of/musl/workload" \
        "/usr/lib/$machine-linux-musl/crt1.o" "$work/workload.c" -L"/usr/lib/$machine-linux-musl" -lc \
        -Wl,-dynamic-linker,"/lib/ld-musl-$machine.so.1"
done

begin_of() {
    printf '%s\n' 'ARG TARGETARCH' 'COPY --from=mak-init linux_${TARGETARCH}/mak-init /mak-init' 'ENTRYPOINT ["/mak-init"]' \
        'ENV MAK_INIT_LISTEN=127.0.0.1:9808' \
        'HEALTHCHECK --interval=2s --timeout=20s --start-period=60s --start-interval=1s CMD ["/mak-init", "healthcheck"]'
}
python='CMD ["python3", "-c", "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(42)); print(\"ready\", flush=True); [signal.pause() for _ in iter(int, 1)]"]'
build matrix-runtime --target runtime -f docker/Dockerfile .
{ echo "FROM $tag-matrix-runtime"; begin_of; echo 'ENV MAK_INIT_PROFILE=ipfs-kit'; echo "$python"; } >"$work/roots/trixie.Dockerfile"
{ echo 'FROM scratch'; begin_of; echo 'COPY linux_${TARGETARCH}/bookworm/ /'; echo 'ENV PATH=/usr/bin:/bin MAK_INIT_PROFILE=ipfs-kit MAK_INIT_VERIFY=warn'
  echo "$python"; } >"$work/roots/bookworm.Dockerfile"
for root in musl empty; do
    { echo 'FROM scratch'; begin_of; echo "COPY linux_\${TARGETARCH}/$root/ /"; echo 'CMD ["/workload"]'; } >"$work/roots/$root.Dockerfile"
done
for root in $roots; do build "matrix-$root" -f "$work/roots/$root.Dockerfile" "$work/roots"; done

combinations() {
    python3 - "${1:-all}" "$roots" "$users" "$restrictions" "$modes" "$platforms" <<'PYTHON'
import itertools, sys
factors = [each.split() for each in sys.argv[2:]]
everything = list(itertools.product(*factors))
def pairs(row): return {(i, row[i], j, row[j]) for i in range(len(row)) for j in range(i)}
if sys.argv[1] == "pairwise":
    left, chosen = set().union(*map(pairs, everything)), []
    while left:  # the row that brings the most that is new; the first of equals, so that it is always the same
        best = max(everything, key=lambda row: len(pairs(row) & left))
        chosen.append(best)
        left -= pairs(best)
    everything = sorted(chosen, key=everything.index)
for row in everything: print(*row)
PYTHON
}

combinations "${1:-all}" >"$work/combinations"
count="$(wc -l <"$work/combinations")"
code=0
xargs -P "${MAK_MATRIX_JOBS:-4}" -L 1 "$0" one "$tag" <"$work/combinations" >"$work/rows" 2>"$work/err" || code=$?
if [ "$code" -ne 0 ]; then cat "$work/err" >&2; fail "of $count combinations $(grep -c '^|' "$work/rows" || true) are as they should be"; fi
[ "$(grep -c '^|' "$work/rows")" -eq "$count" ] || fail "rows are missing"

# Enforced, Debian 12 does not start at all.
for platform in $platforms; do
    options=(-e MAK_INIT_VERIFY=enforce -e IPFS_KIT_DATA_DIR=/tmp/data -e IPFS_KIT_LOG_DIR=/tmp/logs -e IPFS_KIT_CONFIG_DIR=/tmp/config)
    run matrix-bookworm; expect_code 69 "Python 3.11 under the profile ipfs-kit"
    grep -q 'python.version' "$work/err" || { cat "$work/err" >&2; fail "the refusal does not name python.version"; }
done
platform=

{
    echo "# The matrix"
    echo
    echo "Written by \`tests/matrix.sh${1:+ $1}\`: each row is a container that was started, became healthy, was stopped with \`docker stop\` and ended with the code that the workload chose for TERM (42). amd64 ran natively, arm64 by qemu-user. trixie is Debian 13 with Python 3.13 and IPFS Kit's requirements under the profile \`ipfs-kit\`, enforced; bookworm is Debian 12 with Python 3.11, which that profile refuses (\`python.version\`, code 69), so its rows run with \`MAK_INIT_VERIFY=warn\`; musl and empty hold one program."
    echo
    echo "| root | user | restriction | mode | architecture | starts | healthy | stops | code | |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
    sort "$work/rows"
} >"$work/matrix.md"
[ "${1:-all}" = pairwise ] && [ -z "${UPDATE_DOCS:-}" ] || cp "$work/matrix.md" docs/matrix.md
ok "$count containers start, are healthy, stop, and return the workload's code"
echo "$passed passed, 0 failed"
