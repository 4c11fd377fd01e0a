#!/bin/bash
# The Kubernetes manifests, the workflow, compose.yaml, docker-bake.hcl and the Makefile, and the SARIF and CycloneDX that
# mak writes, against the schemas and programs that read them. The schemas come with packages of PyPI and crates.io, so no
# cluster and no account is asked.
#
#     cargo build && tests/manifests.sh
#
# MAK_BIN: the mak whose documents are looked at (target/debug/mak).
set -euo pipefail
cd "$(dirname "$0")/.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
passed=0
ok() { passed=$((passed + 1)); echo "ok: $*"; }

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate check-jsonschema \
    'cyclonedx-python-lib[json-validation]'
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
# A root with findings of several kinds: a program of this machine where another one's is asked for, open to everybody.
mak="${MAK_BIN:-$PWD/target/debug/mak}"
[ -x "$mak" ] || { echo "no $mak: run cargo build" >&2; exit 1; }
mkdir -p "$work/root/usr/lib/python3.11/site-packages/with space-1.0.dist-info" "$work/root/usr/bin"
printf 'Metadata-Version: 2.4\nName: with-space\nVersion: 1.0+local\nLicense-Expression: MIT OR Apache-2.0\n' \
    >"$work/root/usr/lib/python3.11/site-packages/with space-1.0.dist-info/METADATA"
: >"$work/root/usr/lib/python3.11/os.py"
cp /bin/true "$work/root/usr/bin/python3.11"
cp /bin/true "$work/root/a%20 file:[x]"
chmod 666 "$work/root/a%20 file:[x]"
code=0
"$mak" image verify "$work/root" --platform linux/riscv64 --format sarif --sbom "$work/sbom.json" >"$work/findings.sarif" || code=$?
[ "$code" -eq 69 ] || { echo "the root with findings: code $code and not 69" >&2; exit 1; }
# The schema that OASIS publishes with SARIF 2.1.0 is in the crate serde-sarif, whole.
cargo init --quiet --vcs none --name schemas "$work/schemas"
cargo add --quiet --manifest-path "$work/schemas/Cargo.toml" serde-sarif@=0.8.0 2>"$work/cargo" || { cat "$work/cargo" >&2; exit 1; }
cargo metadata --manifest-path "$work/schemas/Cargo.toml" --format-version 1 >"$work/metadata.json" 2>"$work/cargo" || { cat "$work/cargo" >&2; exit 1; }
"$work/venv/bin/python" - "$work" <<'PYTHON'
import json, pathlib, sys
import jsonschema
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
work = pathlib.Path(sys.argv[1])
crates = json.loads((work / "metadata.json").read_text())["packages"]
crate = next(pathlib.Path(each["manifest_path"]).parent for each in crates if each["name"] == "serde-sarif")
schema = json.loads((crate / "src/schema.json").read_text())
assert "sarif-schema-2.1.0" in schema.get("$id", schema.get("id", "")), schema.get("$id")
sarif = json.loads((work / "findings.sarif").read_text())
checker = jsonschema.validators.validator_for(schema)
checker.check_schema(schema)
jsonschema.validate(sarif, schema, cls=checker, format_checker=checker.FORMAT_CHECKER)
found = {result["ruleId"]: result["level"] for result in sarif["runs"][0]["results"]}
assert found["elf.machine"] == "error" and found["image.writable"] == "warning", found
rules = sarif["runs"][0]["tool"]["driver"]["rules"]
for result in sarif["runs"][0]["results"]:
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"], result
sbom = (work / "sbom.json").read_text()
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(sbom)
assert error is None, error
assert json.loads(sbom)["components"], sbom
PYTHON
ok "SARIF is valid by the schema of 2.1.0, the SBOM by that of CycloneDX 1.5"
echo "$passed passed, 0 failed"
