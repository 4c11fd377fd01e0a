#!/bin/bash
# The Kubernetes manifests, the workflow, compose.yaml, docker-bake.hcl and the Makefile against the schemas and programs
# that read them. The schemas come with PyPI packages, so no cluster and no account is asked.
#
#     tests/manifests.sh
set -euo pipefail
cd "$(dirname "$0")/.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
passed=0
ok() { passed=$((passed + 1)); echo "ok: $*"; }

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate check-jsonschema
for file in config/kubernetes/*.yaml; do "$work/venv/bin/kubernetes-validate" --strict --quiet "$file"; done
ok "the Kubernetes manifests are valid, strictly"
"$work/venv/bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml
ok "the workflow is valid"
"$work/venv/bin/python" - <<'PYTHON'
import re, yaml
# Grace of the kubelet against what mak-init may take.
seconds = lambda text: float(text.removesuffix("s"))
for name in ("exec-probes", "httpget-probes"):
    with open(f"config/kubernetes/{name}.yaml") as file:
        pod = next(yaml.safe_load_all(file))["spec"]["template"]["spec"]
    container = pod["containers"][0]
    given = {each["name"]: each["value"] for each in container["env"]}
    takes = sum(seconds(given[f"MAK_INIT_{key}"]) for key in ("STOP_DELAY", "GRACE", "DRAIN"))
    assert pod["terminationGracePeriodSeconds"] > takes, (name, takes)
    assert "command" not in container and container["args"], name
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert ("exec" if name == "exec-probes" else "httpGet") in container[probe], (name, probe)
# Each make target of the workflow exists, and each target is one call of mak.
with open("Makefile") as file: text = file.read()
targets = dict(re.findall(r"^([a-z0-9-]+): +; (.*)$", text, re.M))
aliases = dict(re.findall(r"^([a-z0-9-]+): +((?:[a-z0-9]+-)+[a-z0-9-]+(?: .*)?)$", text, re.M))
for name in """setup-buildx docker-build docker-build-amd64 docker-push-dev docker-push-prod build-multiarch build-complete
        build-verify build-vulnerability-scan ci-setup ci-build ci-push ci-security ci-sign test-matrix""".split():
    assert name in targets or name in aliases, name
for name, command in targets.items():
    assert command.startswith(("$(MAK) ", "$(BUILD) ", "tests/")) and ";" not in command and "&&" not in command, name
with open(".github/workflows/images.yml") as file: steps = yaml.safe_load(file)["jobs"]["images"]["steps"]
for step in steps:
    if "run" in step:
        assert step["run"].startswith("make "), step
        assert step["run"].split()[1] in targets | aliases, step
PYTHON
ok "the kubelet's grace is longer than ours, the workflow's steps are make targets, each target is one call"
make --dry-run --silent setup-buildx docker-build docker-build-amd64 docker-push-dev docker-push-prod build-multiarch build-complete \
    build-verify build-vulnerability-scan ci-push ci-sign test-matrix >"$work/make"
ok "make reads the Makefile"
if docker buildx version >/dev/null 2>&1; then
    docker buildx bake --print --file docker-bake.hcl default ipfs-kit aws >"$work/bake.json" 2>"$work/bake.err" || { cat "$work/bake.err" >&2; exit 1; }
    MAK_INIT=dist CACHE=registry.example/cache docker buildx bake --print --file docker-bake.hcl default >"$work/bake.json" 2>"$work/bake.err" || { cat "$work/bake.err" >&2; exit 1; }
    grep -q '"type=registry,ref=registry.example/cache,mode=max"' "$work/bake.json"
    docker compose --file docker/compose.yaml --profile '*' config --quiet
    ok "buildx bake reads docker-bake.hcl, compose reads compose.yaml"
fi
echo "$passed passed, 0 failed"
