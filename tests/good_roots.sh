#!/bin/bash
# Ten roots of Debian's packages, unpacked and nothing else done to them: mak image verify finds nothing wrong with any.
#
#     cargo build && tests/good_roots.sh
#
# The table goes into docs/images.md with UPDATE_DOCS=1; without it, it has to be the same but for the number of files, which
# change with Debian's point releases. Root, mmdebstrap and the mirror that apt is configured for; nothing is emulated.
# MAK_BIN: the mak that looks (target/debug/mak).
set -euo pipefail
cd "$(dirname "$0")/.."
mak="${MAK_BIN:-$PWD/target/debug/mak}"
[ -x "$mak" ] || { echo "no $mak: run cargo build" >&2; exit 1; }
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
passed=0
suite=bookworm
roots="amd64:busybox-static amd64:dash amd64:coreutils amd64:perl-base amd64:python3.11-minimal amd64:hwloc-nox amd64:git \
    arm64:sqlite3 arm64:jq arm64:python3.11-minimal"
mirror="$( (cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true) |
    grep -m1 -oE 'https?://[^ ]+/debian/?( |$)' | tr -d ' ')" || { echo "no Debian mirror in /etc/apt" >&2; exit 1; }

for each in $roots; do
    arch=${each%%:*} package=${each#*:} root="$work/root"
    rm -rf "$root"
    mmdebstrap --quiet --variant=extract --architectures="$arch" --include="$package" \
        --aptopt='APT::Install-Recommends "false"' "$suite" "$root" "$mirror" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    "$mak" image verify "$root" --platform "linux/$arch" --format json >"$work/report" || { cat "$work/report" >&2; echo "not ok: $each" >&2; exit 1; }
    python3 - "$work/report" "$arch" "$package" "$(find "$root" -type f | wc -l)" >>"$work/rows" <<'PYTHON'
import json, sys
path, arch, package, files = sys.argv[1:]
image = json.load(open(path))["images"][0]
checks = image["report"]["checks"]
found = [f'{check["id"]}: {check["subject"]}: {check["message"]}' for check in checks if check["status"] not in ("pass", "skip")]
if found: sys.exit(f"not ok: {package} for {arch}: " + "; ".join(found))
elf = next(int(check["subject"].split()[0]) for check in checks if check["id"] == "elf.machine")
assert elf > 0, package
print(f"| {package} | linux/{arch} | {int(files):,} | {elf} | {len(checks)} | 0 |")
PYTHON
    passed=$((passed + 1))
    echo "ok: $each"
done
python3 - docs/images.md "$work/rows" >"$work/images.md" <<'PYTHON'
import sys
text, rows = (open(name).read() for name in sys.argv[1:])
begin, end = "<!-- good roots: written by tests/good_roots.sh -->\n", "<!-- end of good roots -->"
before, rest = text.split(begin)
head = "| packages of Debian 12, with all they depend on | platform | files | ELF files | checks | findings |\n|---|---|---:|---:|---:|---:|\n"
print(before + begin + head + rows + end + rest.split(end)[1], end="")
PYTHON
names() { sed -n '/good roots: written/,/end of good roots/p' "$1" | cut -d'|' -f2,3,7; }
if [ -n "${UPDATE_DOCS:-}" ]; then cp "$work/images.md" docs/images.md
else [ "$(names docs/images.md)" = "$(names "$work/images.md")" ] || { echo "not ok: the table in docs/images.md is another" >&2; exit 1; }
fi
echo "$passed passed, 0 failed"
