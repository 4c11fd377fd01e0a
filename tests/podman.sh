#!/bin/bash
# mak-init under podman: a container with its health check, a pod whose first process it is, and a Kubernetes manifest by
# `podman kube play`.
#
#     scripts/build-static amd64 && tests/podman.sh
#
# Everything is kept in a folder of this test's own: no image of the machine is seen, none stays.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v podman >/dev/null && command -v runc >/dev/null || { echo "podman and runc are not here: apt-get install podman runc" >&2; exit 1; }
work="$(mktemp -d)"
passed=0
ok() { passed=$((passed + 1)); echo "ok: $*"; }
fail() { echo "not ok: $*" >&2; echo "$passed passed, 1 failed"; exit 1; }
# What podman would ask for is more than some machines let a container have.
cat >"$work/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
log_driver = "k8s-file"
CONF
export CONTAINERS_CONF="$work/containers.conf"
# It would look for logins in the folder of Docker's configuration, which need not be there.
unset DOCKER_CONFIG
podman() {
    timeout 60 podman --root "$work/root" --runroot "$work/run" --tmpdir "$work/tmp" --cgroup-manager cgroupfs \
        --storage-driver "${MAK_PODMAN_STORAGE:-overlay}" --runtime runc --events-backend file --log-level fatal "$@"
}
end() {
    podman pod rm --all --force --time 0 >/dev/null 2>&1 || true
    podman rm --all --force --time 0 >/dev/null 2>&1 || true
    mountpoint -q "$work/root/overlay" && umount "$work/root/overlay"
    rm -rf "$work"
}
trap end EXIT

arch="$(dpkg --print-architecture)"
[ -x "dist/linux_$arch/mak-init" ] || fail "no dist/linux_$arch/mak-init: run scripts/build-static $arch"
image=localhost/mak-init-test:1
# The workload leaves an orphan behind and ends with 42 on TERM.
cat >"$work/workload.c" <<'C'
#include <signal.h>
#include <unistd.h>
static void end(int number) { (void)number; _exit(42); }
int main(void) {
    signal(SIGTERM, end);
    if (fork() == 0) { if (fork() == 0) { sleep(1000); } _exit(0); }
    write(1, "ready\n", 6);
    for (;;) pause();
}
C
mkdir "$work/image"
gcc -static -O1 -o "$work/image/workload" "$work/workload.c"
cp "dist/linux_$arch/mak-init" "$work/image/"
tar -C "$work/image" -c . | podman import --change 'ENTRYPOINT ["/mak-init"]' --change 'CMD ["/workload"]' \
    --change 'ENV MAK_INIT_LISTEN=127.0.0.1:9808' - "$image" >"$work/imported" 2>&1 || { cat "$work/imported" >&2; fail "podman import"; }

# wait_for NAME: its workload stands and its endpoint says so; the log closes where the container ends.
wait_for() {
    timeout 60 grep -q -m1 ready < <(podman logs --follow "$1" 2>&1) || fail "$1: the log does not show: ready"
    podman exec "$1" /mak-init healthcheck >"$work/health" 2>&1 || { cat "$work/health" >&2; fail "$1 is not healthy"; }
}
code_of() { podman inspect --format '{{.State.ExitCode}}' "$1"; }

podman run --detach --name one --network none --read-only --cap-drop all --security-opt no-new-privileges \
    --health-cmd '["/mak-init", "healthcheck"]' --health-interval disable "$image" >/dev/null
wait_for one
podman healthcheck run one >/dev/null || fail "podman healthcheck run"
podman stop --time 20 one >/dev/null
[ "$(code_of one)" = 42 ] || fail "podman stop: code $(code_of one) and not 42"
ok "podman run: read-only, no capabilities; podman healthcheck run; podman stop, code 42"

# The first process of a pod reaps what the containers' own leave behind: both are mak-init here, and both see one table.
podman pod create --name pod --network none --share pid,net,ipc --infra-image "$image" --infra-command "/mak-init --pause" >/dev/null
podman run --detach --pod pod --name inside "$image" >/dev/null
wait_for inside
podman exec inside /mak-init status >"$work/status" 2>&1 || { cat "$work/status" >&2; fail "mak-init status in the pod"; }
# One after the other: a stop of the whole pod is a TERM from podman and one from the first process, and a second TERM
# ends the grace period.
podman stop --time 20 inside >/dev/null
podman pod stop --time 20 pod >/dev/null
[ "$(code_of inside)" = 42 ] || fail "the pod's container: code $(code_of inside) and not 42"
infra="$(podman pod inspect --format '{{.InfraContainerID}}' pod)"
[ "$(code_of "$infra")" = 0 ] || fail "the pod's first process: code $(code_of "$infra") and not 0"
podman pod rm pod >/dev/null
ok "a pod with a shared process table and mak-init --pause in front: its container ends with 42, it with 0"

cat >"$work/pod.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: kube}
spec:
  terminationGracePeriodSeconds: 20
  containers:
    - name: app
      image: $image
      imagePullPolicy: Never
      args: ["/workload"]
      env:
        - {name: MAK_INIT_GRACE, value: 5s}
      livenessProbe:
        exec: {command: ["/mak-init", "healthcheck"]}
      securityContext:
        runAsUser: 1001
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
YAML
podman kube play --network none "$work/pod.yaml" >"$work/played" 2>&1 || { cat "$work/played" >&2; fail "podman kube play"; }
wait_for kube-app
podman stop --time 20 kube-app >/dev/null
[ "$(code_of kube-app)" = 42 ] || fail "podman kube play: code $(code_of kube-app) and not 42"
podman kube down "$work/pod.yaml" >"$work/played" 2>&1 || { cat "$work/played" >&2; fail "podman kube down"; }
ok "podman kube play: probes, user and security context of the manifest; code 42; kube down"
echo "$passed passed, 0 failed"
