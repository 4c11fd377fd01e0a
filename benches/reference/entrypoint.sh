#!/bin/bash
# The usual way to verify an image at its start, as entrypoint scripts do it: greps over ldconfig's
# list, one interpreter for every import, and a checker in Python. Written anew for the comparison
# in docs/benchmarks.md; it makes no container do anything.
set -e

say() { printf '[%s] %s\n' "$1" "$2"; }

system=$(uname -s)
machine=$(uname -m)
case $machine in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
armv7l | armv6l) arch=arm ;;
*) arch=$machine; say WARN "unknown architecture: $machine" ;;
esac
say INFO "platform $system, architecture $arch"

command -v python >/dev/null || { say ERROR "no python"; exit 1; }
version=$(python --version 2>&1 | cut -d' ' -f2)
major=${version%%.*}
rest=${version#*.}
minor=${rest%%.*}
if [ "$major" -lt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -lt 8 ]; }; then
    say ERROR "Python 3.8 is needed, found $version"
    exit 1
fi

for library in libhwloc libOpenCL; do
    if ldconfig -p | grep -q "$library"; then
        say INFO "$library found"
    else
        say WARN "$library not found"
    fi
done

mkdir -p "$DATA_DIR" "$LOG_DIR" "$CONFIG_DIR"

missing=
for module in requests httpx aiohttp yaml psutil; do
    python -c "import $module" 2>/dev/null || missing="$missing $module"
done
[ -z "$missing" ] || say WARN "missing:$missing"

python "$(dirname "$0")/checker.py" --report "$DATA_DIR/report.json" ||
    say WARN "the checker reported issues"
