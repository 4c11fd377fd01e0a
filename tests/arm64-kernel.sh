#!/bin/bash
# Boots the arm64 binary as /init of a real arm64 kernel under qemu-system-aarch64: no emulated system calls, no engine,
# no /proc at the start. The code mak-init ends with is read from the kernel's own last words.
#
#     scripts/build-static arm64 && tests/arm64-kernel.sh
#     tests/arm64-kernel.sh fetch       only fills the cache, for a run to come
#
# Needs Debian (kernel and emulator are its packages, unpacked and not installed), aarch64-linux-gnu-gcc, python3.
# MAK_INIT_BIN: another binary. MAK_KERNEL_CACHE: where the packages are kept unpacked (300 MB).
set -euo pipefail
cd "$(dirname "$0")/.."
here=tests/arm64-kernel
binary="${MAK_INIT_BIN:-dist/linux_arm64/mak-init}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cache="${MAK_KERNEL_CACHE:-${TMPDIR:-/tmp}/mak-init-arm64-kernel}"
passed=0

fail() { echo "arm64-kernel: $*" >&2; echo "$passed passed, 1 failed"; exit 1; }
ok() { passed=$((passed + 1)); echo "ok: $*"; }

# Each package in one folder of the cache; a folder without the marker is one that was interrupted.
fetch() {
    local folder="$cache/$1"; shift
    [ ! -e "$folder/.complete" ] || return 0
    rm -rf "$folder"; mkdir -p "$folder/debs"
    (cd "$folder/debs" && apt-get download -qq -o APT::Sandbox::User=root "$@" >/dev/null) || fail "cannot download $*"
    for package in "$folder"/debs/*.deb; do dpkg -x "$package" "$folder"; done
    rm -rf "$folder/debs"
    touch "$folder/.complete"
}

fetch_kernel() {
    # The package without a version in its name points to the newest that has one.
    local newest
    apt-cache show linux-image-cloud-arm64:arm64 >/dev/null 2>&1 || apt-get update -qq
    newest="$(apt-cache depends linux-image-cloud-arm64:arm64 | sed -n 's/^ *Depends: \(linux-image-[0-9][^:]*\).*/\1/p')"
    [ -n "$newest" ] || fail "no kernel for arm64 is known: run .ci/setup"
    fetch kernel "$newest:arm64"
}

fetch_emulator() {
    local packages
    mapfile -t packages < <(apt-get install -s --no-install-recommends qemu-system-arm | awk '/^Inst/{print $2}')
    # None to install: the emulator is installed, and its own files serve.
    if [ ${#packages[@]} -eq 0 ]; then mkdir -p "$cache/emulator"; else fetch emulator "${packages[@]}"; fi
}

boot() {
    local log="$1" arguments="$2" emulator="$cache/emulator" program=qemu-system-aarch64 data=()
    if [ -x "$emulator/usr/bin/$program" ]; then
        program="$emulator/usr/bin/$program"
        data=(-L "$emulator/usr/share/qemu")
    fi
    # The kernel takes the words after its `--` for init's arguments. It panics when init ends, and panic=-1 ends qemu.
    LD_LIBRARY_PATH="$emulator/usr/lib/x86_64-linux-gnu:$emulator/lib/x86_64-linux-gnu" timeout 60 "$program" "${data[@]}" \
        -machine virt -cpu cortex-a57 -accel tcg,thread=multi -smp 1 -m 512 \
        -nographic -nodefaults -serial stdio -monitor none -no-reboot -nic none \
        -kernel "$cache"/kernel/boot/vmlinuz-* -initrd "$work/initramfs" \
        -append "console=ttyAMA0 quiet panic=-1 rdinit=/init -- $arguments" </dev/null >"$log" 2>&1 ||
        { cat "$log" >&2; fail "the kernel did not end within 60 seconds"; }
}

# The kernel prints init's wait status: the code in the second byte.
expect_code() {
    local log="$1" code="$2" want
    want="$(printf 'exitcode=0x%08x' $((code << 8)))"
    grep -q "Attempted to kill init! $want" "$log" || { cat "$log" >&2; fail "the kernel did not see code $code ($want)"; }
}

expect_line() { grep -q "$2" "$1" || { cat "$1" >&2; fail "the console does not show: $2"; }; }

fetch_kernel & kernel=$!
fetch_emulator & emulator=$!
wait "$kernel"; wait "$emulator"
[ "${1:-}" != fetch ] || exit 0

[ -x "$binary" ] || fail "no $binary: run scripts/build-static arm64"
command -v aarch64-linux-gnu-gcc >/dev/null || fail "no aarch64-linux-gnu-gcc here: run .ci/setup"
aarch64-linux-gnu-gcc -static -Os -Wall -Werror -o "$work/workload" "$here/workload.c"
python3 "$here/initramfs.py" "$work/initramfs" "$binary" "$work/workload"

boot "$work/first" "/workload"
expect_line "$work/first" "workload: PID 1 is init"
expect_line "$work/first" "workload: done"
expect_code "$work/first" 9
grep '^workload: ' "$work/first"
ok "as PID 1 of a real arm64 kernel, signals are forwarded, orphans are reaped, and the workload's code 9 is ours"

boot "$work/second" "--grace 1s /workload stubborn"
expect_code "$work/second" 137
ok "a workload that ignores TERM is killed after the grace period, and the code is 137"

boot "$work/third" "/no/such/program"
expect_code "$work/third" 127
ok "a workload that is not there is code 127"
boot "$work/fourth" "--restart on-failure --restart-limit 1 --restart-delay 10ms --termination-message /tmp/message /workload greedy /tmp/message"
expect_line "$work/fourth" "WARN.*by the kernel's out-of-memory killer.*16 MiB"
expect_line "$work/fourth" "workload: the message says: .*by the kernel's out-of-memory killer.*16 MiB"
expect_code "$work/fourth" 9
ok "memory that runs out in a control group of version 2 is told, also in the termination message"
echo "$passed passed, 0 failed"
