#!/bin/bash
# `mak build` on a real engine: both platforms from nothing and from a base, tags in a local registry, hooks that refuse,
# archives, errors that are explained, and Ctrl-C.
#
#     scripts/build-static amd64 && scripts/build-static arm64 && cargo build && tests/build.sh
#
# MAK_BIN: the mak that is tested (target/debug/mak).
set -euo pipefail
. "$(dirname "$0")/engine.sh"
. tests/registry.sh
need_engine
end() { stop_registry; remove_all; }
trap end EXIT
need_binaries
mak="${MAK_BIN:-$PWD/target/debug/mak}"
[ -x "$mak" ] || fail "no $mak: run cargo build"
platform_list="$(printf 'linux/%s,' $platforms | sed 's/,$//')"
export SOURCE_DATE_EPOCH=1795285805

# mak WORD...: mak build for all platforms, its code in $code, its two streams in $work/out and $work/err.
build_it() {
    code=0
    timeout 300 "$mak" build --platform "$platform_list" "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
}
expect() { [ "$code" -eq "$1" ] || { cat "$work/out" "$work/err" >&2; fail "$2: code $code and not $1"; }; }
said() { grep -qF -- "$1" "$work/err" || { cat "$work/err" >&2; fail "mak does not say: $1"; }; }

context="$work/context"
mkdir -p "$context"
for name in $platforms; do mkdir -p "$context/linux_$name"; cp "dist/linux_$name/mak-init" "$context/linux_$name/"; done
printf '%s\n' 'FROM scratch' 'ARG TARGETARCH' 'COPY linux_${TARGETARCH}/mak-init /mak-init' 'ENTRYPOINT ["/mak-init"]' \
    >"$context/Dockerfile"

loads_both_platforms() {
    build_it --image "$tag-scratch" --tag v1 --context "$context"
    expect 0 "scratch for both platforms"
    for platform in $platforms; do
        [ "$(docker run --rm --platform "linux/$platform" "$tag-scratch:v1" platform | head -1)" = "platform: linux/$platform" ] ||
            fail "the image does not run as linux/$platform"
    done
    platform=
    ok "an image from nothing is built for $platforms, and runs on each"
}

builds_on_a_base() {
    printf '%s\n' "FROM --platform=\$TARGETPLATFORM $python_image" 'ARG TARGETARCH' \
        'COPY linux_${TARGETARCH}/mak-init /mak-init' 'RUN ["/mak-init", "verify", "--library", "libhwloc.so.15"]' >"$context/base.Dockerfile"
    build_it --image "$tag-base" --file "$context/base.Dockerfile" --context "$context" --build-only
    expect 0 "a Python base for both platforms"
    ok "an image on a Python base is built for $platforms, its RUN emulated where it must be"
}

pushes_under_every_name() {
    build_it --image app --registry "$registry/team" --environment dev --revision 0a1b2c3 --context "$context" --push
    expect 0 "push"
    local expected="0a1b2c3 dev-20261121-183005 dev-latest" name
    for name in $platforms; do expected="$expected 0a1b2c3-$name dev-20261121-183005-$name dev-$name-latest"; done
    [ "$(tags team/app)" = "$(tr ' ' '\n' <<<"$expected" | sort)" ] || fail "the names in the registry are $(tags team/app | tr '\n' ' ')"
    [ "$(platforms_of team/app dev-latest)" = "$(printf 'linux/%s\n' $platforms | sort)" ] || fail "dev-latest is for $(platforms_of team/app dev-latest)"
    for name in $platforms; do
        [ "$(platforms_of team/app "dev-$name-latest")" = "linux/$name" ] || fail "dev-$name-latest is for $(platforms_of team/app "dev-$name-latest")"
    done
    ok "the registry has every name, the index under those without architecture"
}

a_hook_that_refuses_stops_the_push() {
    build_it --image scanned --registry "$registry" --context "$context" --push --scan 'sh -c "echo seen {platform}; exit 3"'
    expect 69 "a scan that fails"
    said "the scan failed with code 3, so no name is pushed"
    said "seen linux/${platforms%% *}"
    [ -z "$(tags scanned)" ] || fail "a scan failed and the registry has $(tags scanned)"
    build_it --image signed --registry "$registry" --tag v1 --context "$context" --push --sign 'false {ref}'
    expect 69 "a signature that fails"
    [ "$(tags signed)" = "candidate-$SOURCE_DATE_EPOCH" ] || fail "a signature failed and the registry has $(tags signed)"
    build_it --image signed --registry "$registry" --tag v1 --context "$context" --push --scan 'true {digest}' --sign 'echo {ref}'
    expect 0 "hooks that agree"
    said "$registry/signed@sha256:"
    tags signed | grep -qx v1 || fail "hooks agreed and v1 is not in the registry"
    ok "a scanner or signer that fails stops the push; one that agrees lets it go on"
}

# cosign is Debian 13's; MAK_COSIGN names another.
signs_with_cosign() {
    local cosign="${MAK_COSIGN:-}"
    if [ -z "$cosign" ]; then from_trixie cosign; cosign="$trixie/usr/bin/cosign"; fi
    (cd "$work" && COSIGN_PASSWORD='' "$cosign" generate-key-pair >/dev/null 2>&1) || fail "cosign makes no keys"
    COSIGN_PASSWORD='' build_it --image cosigned --registry "$registry" --tag v1 --context "$context" --push \
        --sign "$cosign sign --yes --key $work/cosign.key --tlog-upload=false --use-signing-config=false --allow-http-registry {ref}"
    if [ "$code" -ne 0 ] && grep -q 'unknown flag: --use-signing-config' "$work/err"; then
        COSIGN_PASSWORD='' build_it --image cosigned --registry "$registry" --tag v1 --context "$context" --push \
            --sign "$cosign sign --yes --key $work/cosign.key --tlog-upload=false --allow-http-registry {ref}"
    fi
    expect 0 "cosign"
    "$cosign" verify --key "$work/cosign.pub" --insecure-ignore-tlog=true --allow-http-registry "$registry/cosigned:v1" \
        >"$work/out" 2>"$work/err" || { cat "$work/err" >&2; fail "cosign does not verify what it signed"; }
    ok "cosign signs the digest before v1 is pushed, and verifies v1"
}

writes_an_archive_with_its_checksum() {
    build_it --image archived --context "$context" --output "$work/app.tar.zst"
    expect 0 "an archive"
    (cd "$work" && sha256sum --quiet --check app.tar.zst.sha256) || fail "the checksum is not the archive's"
    zstd -dcq "$work/app.tar.zst" | tar -tf - | grep -qx oci-layout || fail "the archive is no OCI layout"
    [ ! -e "$work/app.tar.zst.part" ] || fail "a partial file is left"
    ok "an archive for transfer comes with its checksum"
}

explains_known_errors() {
    printf '\x7fELF not for any machine' >"$context/program"; chmod +x "$context/program"
    printf '%s\n' 'FROM scratch' 'COPY program /program' 'RUN ["/program"]' >"$context/exec.Dockerfile"
    build_it --image "$tag-exec" --file "$context/exec.Dockerfile" --context "$context"
    expect 125 "a program for no machine"
    said '"exec format error" means: '
    # An index, as what is published for several platforms has: a lone manifest would be taken for any platform.
    docker buildx build --quiet --provenance=mode=max --platform linux/amd64 -t "$registry/only" \
        -f "$context/Dockerfile" --push "$context" >/dev/null 2>&1 || fail "no image for one platform"
    printf '%s\n' "FROM --platform=linux/arm64 $registry/only" >"$context/only.Dockerfile"
    build_it --image "$tag-only" --file "$context/only.Dockerfile" --context "$context"
    expect 125 "a base that is not published for the platform"
    said ' means: the base image is not published for this platform; '
    [ "$(tail -1 "$work/err" | grep -c ' means: ')" -eq 1 ] || fail "the last line is not the explanation"
    ok "what is known of an engine's error is its last line"
}

tries_all_and_returns_the_worst() {
    build_it --image "$tag-many" --file "$context/exec.Dockerfile" --file "$context/Dockerfile" --context "$context" --build-only
    expect 125 "one that fails and one that is built"
    docker image inspect "$tag-many-context" >/dev/null 2>&1 || fail "the second was not tried"
    ok "after one that fails the others are tried, and the code is the worst"
}

an_interrupted_build_leaves_nothing() {
    local seen
    printf '%s\n' 'FROM scratch' "COPY linux_${platforms%% *}/mak-init /mak-init" \
        'RUN ["/mak-init", "--pause"]' >"$context/pause.Dockerfile"
    mkdir -p "$work/tmp"
    mkfifo "$work/said"
    TMPDIR="$work/tmp" "$mak" build --platform "linux/${platforms%% *}" --image "$tag-pause" \
        --file "$context/pause.Dockerfile" --context "$context" >"$work/out" 2>"$work/said" &
    local pid=$! log
    exec {log}<"$work/said"
    timeout 60 grep -qm1 'RUN \["/mak-init", "--pause"\]' <&"$log" || fail "the build does not come to its RUN"
    kill -INT "$pid"
    code=0; wait "$pid" || code=$?
    exec {log}<&-
    [ "$code" -eq 130 ] || fail "an interrupted build: code $code and not 130"
    seen="$(find "$work/tmp" -mindepth 1)"
    [ -z "$seen" ] || fail "an interrupted build leaves $seen"
    ! docker image inspect "$tag-pause" >/dev/null 2>&1 || fail "an interrupted build leaves an image"
    ok "an interrupted build leaves no file and no image, code 130"
}

start_registry
loads_both_platforms
builds_on_a_base
pushes_under_every_name
a_hook_that_refuses_stops_the_push
signs_with_cosign
writes_an_archive_with_its_checksum
explains_known_errors
tries_all_and_returns_the_worst
an_interrupted_build_leaves_nothing
echo "$passed passed, 0 failed"
