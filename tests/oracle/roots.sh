#!/bin/bash
# The roots that tests/loader_oracle.rs compares with their own dynamic loaders: Debian with Python, hwloc, OpenCL and
# its driver for processors (pocl), numpy and IPFS Kit's whole set of distributions, for amd64 and arm64. Packages are
# unpacked only, so that nothing is emulated but ldconfig.
#
#     tests/oracle/roots.sh FOLDER          ->  FOLDER/amd64, FOLDER/arm64
#     MAK_ORACLE_ROOT=FOLDER/amd64 MAK_ORACLE_ARM64_ROOT=FOLDER/arm64 cargo test --test loader_oracle -- --nocapture
#
# Root, Debian's mmdebstrap, python3 with venv, the mirror and the index that apt and pip are configured for; on another
# machine than arm64 a binfmt_misc entry for it with the flag F. About a minute. A folder that is complete is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ $# -eq 1 ] || { echo "usage: tests/oracle/roots.sh FOLDER" >&2; exit 64; }
mkdir -p "$1"
folder="$(realpath "$1")"
suite=trixie
python=3.13
packages=python3,libpython3-stdlib,python3-numpy,python3-cffi-backend,python3-lxml,libhwloc15,libhwloc-plugins
packages+=,ocl-icd-libopencl1,pocl-opencl-icd,libmagic1,ca-certificates
list=benches/data/ipfs-kit-py311.txt
wanted="$(cat "$0" "$list" | sha256sum)"

mirror="$( (cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true) |
    grep -m1 -oE 'https?://[^ ]+/debian/?( |$)' | tr -d ' ')" || { echo "no Debian mirror in /etc/apt" >&2; exit 1; }

# wheels ROOT MACHINE: what pip would install there, for that Python and any glibc up to the root's.
wheels() {
    local minor platforms=(--platform "linux_$2" --platform "manylinux2014_$2" --platform "manylinux1_$2")
    for minor in $(seq 5 41); do platforms+=(--platform "manylinux_2_${minor}_$2"); done
    # All are pinned, dependencies included; numpy brings libraries of its own along. The two without a wheel
    # have no native code.
    grep -vE '^(python-baseconv|varint)==' "$list" >"$folder/list-$2"
    "$folder/pip/bin/python" -m pip install --quiet --no-deps --no-compile --only-binary :all: \
        --implementation cp --python-version "$python" "${platforms[@]}" \
        --target "$1/opt/ipfs-kit/lib/python$python/site-packages" -r "$folder/list-$2" numpy
}

# root PLATFORM MACHINE
root() {
    local root="$folder/$1"
    [ "$(cat "$root.complete" 2>/dev/null)" != "$wanted" ] || { echo "ok: $root is there"; return; }
    rm -rf "$root" "$root.complete"
    mmdebstrap --quiet --variant=extract --architectures="$1" --include='?essential' --include="$packages" \
        --aptopt='APT::Install-Recommends "false"' "$suite" "$root" "$mirror" &
    local unpacking=$!
    wheels "$folder/wheels-$1" "$2"
    wait "$unpacking"
    cp -a "$folder/wheels-$1/opt" "$root/"
    rm -rf "$folder/wheels-$1"
    chroot "$root" /sbin/ldconfig
    # A root that lacks what it is made for would prove nothing.
    local name
    for name in libhwloc.so.15 libOpenCL.so.1 'libpocl.so.2*' 'lapack_lite.cpython-*.so' 'libscipy_openblas*.so' \
        '_psutil_linux.abi3.so' '_cffi_backend.cpython-*.so' libmagic.so.1; do
        [ -n "$(find "$root/usr" "$root/opt" -name "$name" -print -quit)" ] || { echo "$root has no $name" >&2; return 1; }
    done
    echo "$wanted" >"$root.complete"
    echo "ok: $root, $(find "$root" -xdev -type f -name '*.so*' | wc -l) files named as shared objects"
}

[ -x "$folder/pip/bin/python" ] || python3 -m venv "$folder/pip"
root amd64 x86_64 & first=$!
root arm64 aarch64 & second=$!
wait "$first"
wait "$second"
