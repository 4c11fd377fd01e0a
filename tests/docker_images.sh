#!/bin/bash
# The images of docker/ on a real engine: they are built for both platforms, hold what they promise, run read-only and not
# as root, and the made-to-fail ones fail. Compose brings the service up, and its tests run against it.
#
#     scripts/build-static amd64 && scripts/build-static arm64 && cargo build && tests/docker_images.sh
#
# MAK_IMAGES_PLATFORMS: for the IPFS Kit images (amd64; an emulated pip takes minutes). The scratch image is built for both.
# What the base has already is not installed (RUNTIME_PACKAGES=, BUILD_PACKAGES=): apt does not run in every base.
set -euo pipefail
. "$(dirname "$0")/engine.sh"
need_engine
data="$work/data"
compose() { docker compose --project-name "$tag" --file docker/compose.yaml "$@"; }
export IMAGE="$tag" PULL_POLICY=never PORT=0 DATA="$work/data" LOGS="$work/logs" DOCS_PORT=0
end() { compose --profile testing --profile documentation down --volumes --timeout 5 >/dev/null 2>&1 || true; remove_all; }
trap end EXIT
need_binaries
mak="${MAK_BIN:-$PWD/target/debug/mak}"
[ -x "$mak" ] || fail "no $mak: run cargo build"
both="$(printf 'linux/%s,' $platforms | sed 's/,$//')"
ipfs_platforms="$(printf 'linux/%s,' ${MAK_IMAGES_PLATFORMS:-amd64} | sed 's/,$//')"

scratch_is_the_same_twice() {
    local round
    for round in 1 2; do
        # The times of the files differ, as they do after two checkouts.
        mkdir -p "$work/round-$round"
        for name in $platforms; do install -D "dist/linux_$name/mak-init" "$work/round-$round/linux_$name/mak-init"; done
        SOURCE_DATE_EPOCH=1795285805 "$mak" build --image mak-init --tag v1 --file docker/scratch/Dockerfile --platform "$both" \
            --build-context "mak-init=$work/round-$round" --no-cache --build-only --output "$work/$round.tar.zst" \
            >"$work/out" 2>"$work/err" || { cat "$work/err" >&2; fail "the scratch image cannot be built"; }
        zstd -dcq "$work/$round.tar.zst" >"$work/$round.tar"
        python3 - "$work/$round.tar" >"$work/$round.digests" <<'PYTHON'
import json, sys, tarfile
archive = tarfile.open(sys.argv[1])
def read(digest): return json.load(archive.extractfile("blobs/sha256/" + digest.removeprefix("sha256:")))
index = read(json.load(archive.extractfile("index.json"))["manifests"][0]["digest"])
for each in index["manifests"]:
    platform = each["platform"]
    if platform["os"] == "unknown":
        provenance = read(each["digest"])["layers"][0]["annotations"]["in-toto.io/predicate-type"]
        print("provenance", provenance, file=sys.stderr)
        continue
    config = read(read(each["digest"])["config"]["digest"])
    labels = config["config"]["Labels"]
    assert labels["build.architecture"] == config["architecture"] == platform["architecture"], labels
    assert labels["build.platform"] == f'{platform["os"]}/{platform["architecture"]}', labels
    assert labels["build.multi-arch"] == "true" and labels["org.opencontainers.image.title"] == "mak-init"
    assert labels["org.opencontainers.image.created"] == "2026-11-21T18:30:05Z", labels
    assert config["config"]["Entrypoint"] == ["/mak-init"] and config["config"]["User"] == "65532:65532"
    print(platform["architecture"], each["digest"])
PYTHON
    done
    cmp "$work/1.digests" "$work/2.digests" || fail "two builds of the scratch image differ"
    ok "the scratch image: two builds without cache have the same manifests: $(tr '\n' ' ' <"$work/1.digests")"
}

ipfs_kit_is_built() {
    local target
    for target in production testing documentation gpu published; do
        docker buildx build --quiet --provenance=false --platform "$ipfs_platforms" --file docker/ipfs-kit/Dockerfile --target "$target" \
            --build-context mak-init=dist --build-arg PYTHON_IMAGE="$python_image" --build-arg RUNTIME_PACKAGES= --build-arg BUILD_PACKAGES= \
            --output "type=image,name=docker.io/library/$tag-$target,compression=uncompressed,unpack=true" . >"$work/built" 2>&1 ||
            { cat "$work/built" >&2; fail "the target $target cannot be built"; }
    done
    ok "the IPFS Kit images are built for $ipfs_platforms, verify --full passed in each"
}

production_works_read_only_and_unprivileged() {
    options=(--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges -p 127.0.0.1::8000)
    start production
    wait_healthy
    [ "$(docker inspect -f '{{.Config.User}}' "$container")" = 1001:1001 ] || fail "production runs as root"
    local port
    port="$(docker port "$container" 8000 | head -1 | sed 's/.*://')"
    python3 -c 'import json, sys, urllib.request
answer = json.load(urllib.request.urlopen(sys.argv[1], timeout=20))
assert answer == {"status": "healthy", "decrypted": "ipfs", "edges": 2}, answer' "http://127.0.0.1:$port/health" || fail "/health does not answer"
    stop
    [ "$code" -eq 0 ] || fail "production stops with $code"
    ok "production: read-only, no capabilities, healthy after $healthy_after ms, stops in $took ms with 0"
}

gpu_refuses_without_one() {
    options=(); run gpu; expect_code 69 "the GPU image without a GPU"
    grep -q 'libcuda.so.1' "$work/err" && grep -q '/dev/nvidia0' "$work/err" || { cat "$work/err" >&2; fail "the refusal names neither library nor device"; }
    ok "gpu: without libcuda.so.1 and /dev/nvidia0 it does not start, code 69"
}

published_has_no_main() {
    options=(); run published; expect_code 69 "the published ipfs_kit_py 0.3.0"
    grep -q 'python.module' "$work/err" || { cat "$work/err" >&2; fail "the refusal does not name python.module"; }
    ok "published: ipfs_kit_py 0.3.0 cannot be run by python -m, and is refused before the start"
}

compose_brings_it_up() {
    mkdir -p "$work/data" "$work/logs"
    chown 1001:1001 "$work/data" "$work/logs"
    compose up --detach --wait --quiet-pull ipfs-kit-py >"$work/out" 2>&1 || { cat "$work/out" >&2; compose logs >&2; fail "compose up --wait"; }
    compose --profile testing run --rm ipfs-kit-py-test >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "the tests under compose"; }
    grep -q ' passed' "$work/out" || fail "the tests under compose say nothing of having passed"
    compose --profile documentation up --detach --wait docs >"$work/out" 2>&1 || { cat "$work/out" >&2; compose logs docs >&2; fail "docs under compose"; }
    ok "compose: up --wait, the tests against the healthy service, docs as pages"
}

scratch_is_the_same_twice
ipfs_kit_is_built
for platform in ${MAK_IMAGES_PLATFORMS:-amd64}; do
    production_works_read_only_and_unprivileged
    gpu_refuses_without_one
    published_has_no_main
done
platform=
compose_brings_it_up
echo "$passed passed, 0 failed"
