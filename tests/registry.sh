# Sourced after tests/engine.sh: a registry of images on this machine (Debian's docker-registry), empty at the start.

registry=
registry_pid=

# start_registry: its address in $registry.
start_registry() {
    local port
    command -v docker-registry >/dev/null || fail "these tests need docker-registry (Debian: apt-get install docker-registry)"
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    registry="localhost:$port"
    mkdir -p "$work/registry"
    cat >"$work/registry.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "127.0.0.1:$port"}
log: {level: error}
YAML
    OTEL_TRACES_EXPORTER=none docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
    registry_pid=$!
    # It listens when it listens: each try waits for a refusal or an answer.
    local try
    for try in $(seq 200); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        read -r -t 0.05 <> <(:) || true
    done
    fail "the registry does not answer: $(cat "$work/registry.log")"
}

stop_registry() { [ -z "$registry_pid" ] || kill "$registry_pid" 2>/dev/null || true; }

# tags REPOSITORY: its tags, one a line; nothing where there are none.
tags() {
    python3 - "http://$registry/v2/$1/tags/list" <<'PYTHON'
import json, sys, urllib.error, urllib.request
try:
    print("\n".join(sorted(json.load(urllib.request.urlopen(sys.argv[1]))["tags"] or [])))
except urllib.error.HTTPError as error:
    if error.code != 404: raise
PYTHON
}

# platforms_of REPOSITORY TAG: what the manifest of that tag is for, one a line; attestations are left out.
platforms_of() {
    python3 - "http://$registry/v2/$1" "$2" <<'PYTHON'
import json, sys, urllib.request
def get(kind, name):
    types = ["application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
             "application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json"]
    request = urllib.request.Request(f"{sys.argv[1]}/{kind}/{name}", headers={"Accept": ", ".join(types)})
    return json.load(urllib.request.urlopen(request))
whole = get("manifests", sys.argv[2])
if "manifests" in whole:
    found = [each["platform"] for each in whole["manifests"]]
else:
    found = [get("blobs", whole["config"]["digest"])]
print("\n".join(sorted(f'{each["os"]}/{each["architecture"]}' for each in found if each["os"] != "unknown")))
PYTHON
}
