#!/bin/bash
# The endpoint as its users meet it: curl and Python's clients in every state, the official Prometheus client, promtool and
# a Prometheus server, and the page in headless Chromium. Takes no engine; about a minute.
#
#     scripts/build-static amd64 && tests/health.sh
#
# MAK_INIT_BIN names another binary. With a folder as argument the page's screenshots are left there.
set -euo pipefail
cd "$(dirname "$0")/.."
export MAK_INIT_BIN="${MAK_INIT_BIN:-$PWD/dist/linux_$(dpkg --print-architecture)/mak-init}"
[ -x "$MAK_INIT_BIN" ] || { echo "no $MAK_INIT_BIN: run scripts/build-static" >&2; exit 1; }

lacking=()
for program in curl promtool prometheus chromium python3; do
    command -v "$program" >/dev/null || lacking+=("$program")
done
if [ ${#lacking[@]} -gt 0 ]; then
    echo "these proofs need ${lacking[*]}: run .ci/setup" >&2
    [ -z "${CI:-}" ] || { echo "0 passed, 1 failed"; exit 1; }
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

# Python's clients that are not part of Python, fetched once.
environment=target/tmp/health-clients
if [ ! -e "$environment/complete" ]; then
    python3 -m venv --clear "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check -r tests/health/requirements.txt
    touch "$environment/complete"
fi

passed=0
for proof in clients metrics page; do
    arguments=()
    [ $proof != page ] || arguments=("$@")
    shown="$("$environment/bin/python" "tests/health/$proof.py" "${arguments[@]}" 2>&1)" || {
        echo "$shown"
        echo "$passed passed, 1 failed"
        exit 1
    }
    echo "$shown"
    passed=$((passed + $(grep -c '^ok: ' <<<"$shown")))
done
echo "$passed passed, 0 failed"
