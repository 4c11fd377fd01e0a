#!/bin/bash
# Images that are made to fail, and what says so: mak image verify, docker image inspect (the label), docker run of an
# import. Then one good index through every door: engine, registry, OCI archive, docker archive, pipe.
# Needs an engine with buildx, gcc for both platforms, musl-gcc, and mak built (MAK_BIN, else target/debug/mak).
# UPX is Debian 13's, run in that system's container: Debian 12 has none.
#
#     tests/images.sh [FILE]    FILE receives the table of docs/images.md
set -euo pipefail
. "$(dirname "$0")/engine.sh"
trap end EXIT
table="${1:-/dev/null}"
mak="${MAK_BIN:-$PWD/target/debug/mak}"
registry_pid=
end() { [ -z "$registry_pid" ] || kill "$registry_pid" 2>/dev/null || true; remove_all; }
need_engine
command -v aarch64-linux-gnu-gcc >/dev/null && command -v musl-gcc >/dev/null || fail "no cross gcc or musl-gcc: run .ci/setup"
echo 'int main(void){return 0;}' >"$work/main.c"

root() { root="$work/$1"; rm -rf "$root"; mkdir -p "$root"/{bin,lib,usr/lib}; }
shell() { musl-gcc -static -o "$root/bin/sh" "$work/main.c"; }
glibc() { mkdir -p "$root/lib64" "$root/lib/x86_64-linux-gnu"; cp /lib64/ld-linux-x86-64.so.2 "$root/lib64/"; cp /lib/x86_64-linux-gnu/libc.so.6 "$root/lib/x86_64-linux-gnu/"; }

# case NAME PLATFORM IDS CHANGE...: imports $root, holds mak's identifiers against IDS, runs it.
case_of() {
    local name=$1 wanted=$2 ids=$3 ref found label code said change=(); shift 3
    ref="$tag-$name"
    for one in "$@"; do change+=(--change "$one"); done
    tar -C "$root" --owner=0 --group=0 -c . | docker import --platform "$wanted" "${change[@]}" - "$ref" >/dev/null
    docker save "$ref" -o "$work/$name.tar"
    found="$("$mak" image verify "$work/$name.tar" --format json 2>/dev/null | python3 -c '
import json, sys
report = json.load(sys.stdin)
checks = report["checks"] + [c for image in report["images"] for c in image["report"]["checks"]]
print(" ".join(sorted({c["id"] for c in checks if c["status"] == "fail"})))')" || true
    [ "$found" = "$ids" ] || fail "$name: mak says \"$found\", expected \"$ids\""
    label="$(docker image inspect --format '{{.Os}}/{{.Architecture}}' "$ref")"
    code=0
    said="$(timeout 60 docker run --rm --platform "$wanted" "$ref" 2>&1)" || code=$?
    said="$(sed 's/\x1b\[[0-9;]*m//g' <<<"$said" | grep -v '^$' | head -1 | grep -oE 'exec format error|no such file or directory|permission denied|cannot open shared object file|executable file not found' | head -1 || true)"
    echo "| $name | \`${ids// /\`, \`}\` | $label | $code${said:+, $said} |" >>"$table"
    ok "$name: mak says $found; the label says $label; docker run ends with $code${said:+ ($said)}"
}

root wrong-label; gcc -static -o "$root/app" "$work/main.c"
case_of wrong-label linux/arm64 "command.machine elf.machine" 'ENTRYPOINT ["/app"]'

root foreign-wheel; aarch64-linux-gnu-gcc -static -o "$root/bin/python3.11" "$work/main.c"; ln -s python3.11 "$root/bin/python3"
site="$root/lib/python3.11/site-packages"; mkdir -p "$site/native-1.0.dist-info" "$site/native"; : >"$root/lib/python3.11/os.py"
printf 'Metadata-Version: 2.1\nName: native\nVersion: 1.0\n' >"$site/native-1.0.dist-info/METADATA"
printf 'Wheel-Version: 1.0\nTag: cp311-cp311-manylinux2014_x86_64\n' >"$site/native-1.0.dist-info/WHEEL"
printf 'native/fast.so,,\n' >"$site/native-1.0.dist-info/RECORD"
gcc -shared -fPIC -nostdlib -o "$site/native/fast.so" "$work/main.c"
case_of foreign-wheel linux/arm64 "elf.machine wheel.tag" 'CMD ["/bin/python3"]'

root foreign-soname; glibc; echo 'int dep(void){return 0;}' >"$work/dep.c"; echo 'int dep(void); int main(void){return dep();}' >"$work/needs.c"
gcc -shared -fPIC -Wl,-soname,libdep.so.2 -o "$root/lib/libdep.so.1" "$work/dep.c"; gcc -o "$root/app" "$work/needs.c" "$root/lib/libdep.so.1"
case_of foreign-soname linux/amd64 "command.closure" 'ENTRYPOINT ["/app"]'

root glibc-on-musl; cp /usr/lib/x86_64-linux-musl/libc.so "$root/lib/ld-musl-x86_64.so.1"; musl-gcc -o "$root/bin/sh" "$work/main.c"; gcc -o "$root/app" "$work/main.c"
case_of glibc-on-musl linux/amd64 "command.loader elf.interpreter" 'ENTRYPOINT ["/app"]'

root no-x-bit; shell; printf '#!/bin/sh\n' >"$root/run"; chmod 644 "$root/run"
case_of no-x-bit linux/amd64 "command.permission" 'ENTRYPOINT ["/run"]'

root crlf; shell; printf '#!/bin/sh\r\nexit 0\r\n' >"$root/run"; chmod 755 "$root/run"
case_of crlf linux/amd64 "command.interpreter" 'ENTRYPOINT ["/run"]'

root no-shell; musl-gcc -static -o "$root/app" "$work/main.c"
case_of no-shell linux/amd64 "image.healthcheck" 'ENTRYPOINT ["/app"]' 'HEALTHCHECK CMD /app --check || exit 1'

root packed; gcc -static -o "$root/app" "$work/main.c"; from_trixie upx-ucl
docker run --rm --label "$tag" --platform "linux/$(dpkg --print-architecture)" -v "$trixie:/trixie:ro" -v "$root:/packed" "$python_image" \
    /trixie/usr/bin/upx-ucl -qqq /packed/app || fail "UPX cannot pack the program"
case_of packed linux/amd64 "elf.packed" 'ENTRYPOINT ["/app"]'

# One good index, through every door.
root good; mkdir "$work/context"
gcc -static -o "$work/context/app-amd64" "$work/main.c"; aarch64-linux-gnu-gcc -static -o "$work/context/app-arm64" "$work/main.c"
printf 'FROM scratch\nARG TARGETARCH\nCOPY app-${TARGETARCH} /app\nLABEL build.architecture=${TARGETARCH}\nUSER 1000\nENTRYPOINT ["/app"]\nHEALTHCHECK CMD ["/app"]\n' >"$work/context/Dockerfile"
both="linux/amd64,linux/arm64"
good() { local what=$1; shift; "$mak" image verify "$@" --platform "$both" >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "$what"; }; ok "$what"; }
docker buildx build --quiet --platform "$both" --output "type=oci,dest=$work/oci.tar" "$work/context" >/dev/null
good "an OCI archive of buildx, attestations and all" "$work/oci.tar"
mkdir "$work/layout"; tar -xf "$work/oci.tar" -C "$work/layout"
good "the same as a layout" "$work/layout"
zstd -q "$work/oci.tar"; good "the same compressed with zstd" "$work/oci.tar.zst"
registry="$(command -v docker-registry || echo /opt/mak-engine/root/usr/bin/docker-registry)"
port=$((20000 + $$ % 20000))
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$work/registry" "$port" >"$work/registry.yml"
"$registry" serve "$work/registry.yml" >"$work/registry.log" 2>&1 & registry_pid=$!
ref="localhost:$port/$tag-good:1"
docker buildx build --quiet --platform "$both" --load -t "$ref" "$work/context" >/dev/null
good "the engine's" "docker:$ref"
docker save "$ref" | "$mak" image verify - --platform "$both" >/dev/null || fail "a pipe"
ok "docker save through a pipe"
docker push -q "$ref" >/dev/null
good "the registry's" "registry:$ref"
"$mak" image verify "registry:$ref" --platform linux/riscv64 >/dev/null && fail "a platform that is missing passed"
ok "a platform that is missing in the index fails"
docker rmi "$ref" >/dev/null 2>&1 || true
echo "$passed passed, 0 failed"
