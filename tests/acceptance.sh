#!/bin/bash
# Issue 2's acceptance: an image with nothing but ENTRYPOINT ["/mak-init"] and IPFS Kit's requirements, asked to verify
# itself by IPFS_KIT_VERIFY_DEPS, on both platforms.
#
#     scripts/build-static amd64 && scripts/build-static arm64 && tests/acceptance.sh
#
# MAK_TEST_PLATFORMS="amd64": only that one. arm64 runs by emulation (binfmt).
set -euo pipefail
. "$(dirname "$0")/engine.sh"
need_engine
trap remove_all EXIT
need_binaries

# The image has no HEALTHCHECK; whoever runs it adds one, and needs no shell or curl in the image for it.
health=(--health-cmd '/mak-init healthcheck' --health-interval 1s --health-timeout 10s --health-retries 60)
uname_amd64=x86_64
uname_arm64=aarch64

# The marker is the workload's first act.
marker_is_there() { docker cp "$container:$1/started" - >/dev/null 2>&1; }

a_good_image_is_verified_and_healthy() {
    local machine=uname_$platform
    options=("${health[@]}" -e IPFS_KIT_VERIFY_DEPS=1)
    start good
    wait_healthy
    wait_log "^workload: IPFS_KIT_PLATFORM="
    local said want
    said="$(docker logs "$container" 2>&1 | grep '^workload: ')"
    want="workload: IPFS_KIT_PLATFORM=Linux IPFS_KIT_ARCH=${!machine} IPFS_KIT_ARCH_NORMALIZED=$platform"
    want+=" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LOG_LEVEL=INFO"
    [ "$said" = "$want" ] || fail "the workload was given: $said"
    marker_is_there /app/data || fail "the workload left no marker"
    stop
    [ "$code" -eq 0 ] || fail "code $code and not the workload's 0"
    ok "IPFS_KIT_VERIFY_DEPS=1 on a good root: healthy after $healthy_after ms, code 0 after the stop"
}

a_broken_image_does_not_start() {
    options=(-e IPFS_KIT_VERIFY_DEPS=1)
    start broken
    code="$(timeout "$start_limit" docker wait "$container")" || fail "it does not end"
    [ "$code" -eq 69 ] || fail "code $code and not 69"
    ! marker_is_there /app/data || fail "the workload ran"
    logged hypercorn || fail "the missing distribution is not named"
    logged "MAK_INIT_VERIFY=warn" || fail "the way to get in all the same is not named"
    ok "one distribution removed: code 69, the workload has not run, and the log names it and the way in"
}

a_broken_image_can_be_entered() {
    options=(-e IPFS_KIT_VERIFY_DEPS=1 -e MAK_INIT_VERIFY=warn)
    run broken sh -c 'exit 11'
    expect_code 11 "MAK_INIT_VERIFY=warn"
    grep -q hypercorn "$work/err" || fail "the warning does not name the distribution"
    ok "MAK_INIT_VERIFY=warn: the broken image starts, with a warning"
}

maybe_is_a_usage_error() {
    options=(-e IPFS_KIT_VERIFY_DEPS=maybe)
    start good
    code="$(timeout "$start_limit" docker wait "$container")" || fail "it does not end"
    [ "$code" -eq 64 ] || fail "code $code and not 64"
    ! marker_is_there /app/data || fail "the workload ran"
    [ "$(docker logs "$container" 2>&1 | wc -l)" -eq 1 ] || fail "it does not say why in one line"
    ok "IPFS_KIT_VERIFY_DEPS=maybe: code 64, one line: $(docker logs "$container" 2>&1)"
}

zero_starts() {
    options=(-e IPFS_KIT_VERIFY_DEPS=0)
    start good
    wait_log "^workload: IPFS_KIT_PLATFORM=Linux"
    stop
    [ "$code" -eq 0 ] || fail "code $code and not the workload's 0"
    ok "IPFS_KIT_VERIFY_DEPS=0: starts, and stops after $took ms with code 0"
}

a_custom_data_directory_is_made() {
    options=(-e IPFS_KIT_VERIFY_DEPS=1 -e IPFS_KIT_DATA_DIR=/srv/kit/data)
    start good
    wait_log "^workload: IPFS_KIT_PLATFORM=Linux"
    marker_is_there /srv/kit/data || fail "the custom directory holds no marker"
    ! docker cp "$container:/app/data" - >/dev/null 2>&1 || fail "the default directory was made as well"
    stop
    ok "IPFS_KIT_DATA_DIR=/srv/kit/data: made, written to by the workload, and nothing made in its stead"
}

build runtime --target runtime -f docker/Dockerfile .
build good --build-arg RUNTIME="$tag-runtime" --target good -f tests/acceptance/Dockerfile .
build broken --build-arg RUNTIME="$tag-runtime" --target broken -f tests/acceptance/Dockerfile .
for platform in $platforms; do
    a_good_image_is_verified_and_healthy
    a_broken_image_does_not_start
    a_broken_image_can_be_entered
    maybe_is_a_usage_error
    zero_starts
    a_custom_data_directory_is_made
done
echo "$passed passed, 0 failed"
