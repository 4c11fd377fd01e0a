"""/metrics as three readers take it: the official Python client's OpenMetrics parser, promtool, and a Prometheus server."""

import json
import math
import os
import pathlib
import signal
import subprocess
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from running import CHECK, LIVE_CHECK, free_port, ok, running, until

ACCEPT_OPEN = "application/openmetrics-text;version=1.0.0,text/plain;q=0.1"


def scrape(base, accept=None):
    headers = {"Accept": accept} if accept else {}
    answer = urllib.request.urlopen(urllib.request.Request(base + "/metrics", headers=headers))
    return answer.headers["Content-Type"], answer.read().decode()


def value(families, name, **labels):
    found = [
        sample.value for family in families for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def families(it):
    return list(open_metrics(scrape(it.base, ACCEPT_OPEN)[1]))


def parsers_agree(it):
    kind, text = scrape(it.base, ACCEPT_OPEN)
    assert kind.startswith("application/openmetrics-text; version=1.0.0"), kind
    found = list(open_metrics(text))
    kind, text = scrape(it.base)
    assert kind.startswith("text/plain; version=0.0.4"), kind
    plain = list(plain_text(text))
    names = lambda families: {sample.name for family in families for sample in family.samples}
    assert names(found) == names(plain), names(found) ^ names(plain)
    for process in ("mak-init", "workload"):
        for name in ("process_cpu_seconds_total", "process_resident_memory_bytes",
                     "process_virtual_memory_bytes", "process_start_time_seconds"):
            assert value(found, name, process=process) >= 0, name
    # The official client's own figure of the same process, which reads the same file.
    own = pathlib.Path(f"/proc/{it.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    started = value(found, "process_start_time_seconds", process="mak-init")
    boot = next(int(line.split()[1]) for line in open("/proc/stat") if line.startswith("btime"))
    assert math.isclose(started, boot + int(own[19]) / os.sysconf("SC_CLK_TCK"), abs_tol=2)
    assert value(found, "mak_init_check_up", check="beat", kind="file", level="ready") == 1
    assert value(found, "mak_init_check_looks_total", check="pulse", result="success") > 0
    assert value(found, "mak_init_state", state="running") == 1
    ok(f"the official client reads {len(found)} families as OpenMetrics, and the same as text")
    return text


def promtool_accepts(text):
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    # What it would rather have otherwise it says on stderr.
    assert not checked.stderr.strip(), checked.stderr
    ok("promtool check metrics has nothing to say")


def follows_what_happens(it):
    before = value(families(it), "mak_init_signals_forwarded_total")
    (it.folder / "beat").unlink()
    until("beat down", lambda: value(families(it), "mak_init_check_up", check="beat") == 0)
    for _ in range(3):
        os.kill(it.process.pid, signal.SIGUSR2)
        seen = before + 1
        until("the signal counted", lambda: value(families(it), "mak_init_signals_forwarded_total") >= seen)
        before = seen
    ok("a check that fails, and every forwarded signal, are in the next scrape")


def prometheus_scrapes(it):
    port = free_port()
    configuration = it.folder / "prometheus.yml"
    configuration.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: mak-init\n"
        f"  static_configs:\n  - targets: ['127.0.0.1:{it.port}']\n"
    )
    with open(it.folder / "prometheus.log", "w") as log:
        server = subprocess.Popen(
            ["prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={it.folder}/data",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log,
        )

    def ask(path):
        try:
            return json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}"))["data"]
        except OSError:
            return None

    def scraped():
        assert server.poll() is None, (it.folder / "prometheus.log").read_text()
        targets = (ask("targets") or {}).get("activeTargets", [])
        return targets and targets[0]["health"] != "unknown" and targets[0]

    try:
        target = until("a scrape", scraped)
        assert target["health"] == "up", target
        query = "query?query=mak_init_check_up"
        found = until("a series", lambda: (ask(query) or {}).get("result"))
        assert {series["metric"]["check"] for series in found} == {"beat", "pulse"}, found
        version = ask("status/buildinfo")["version"]
        ok(f"Prometheus {version} has scraped it: up, and the checks can be asked for")
    finally:
        server.terminate()
        server.wait()


def main():
    stubborn = ["sh", "-c", "trap '' USR2; echo ready; while :; do sleep 1; done"]
    with running(CHECK + LIVE_CHECK, command=stubborn) as it:
        it.until_status("/readyz", 200)
        # Readiness does not wait for what only liveness asks.
        until("a look at the pulse", lambda: value(families(it), "mak_init_check_looks_total", check="pulse", result="success"))
        promtool_accepts(parsers_agree(it))
        prometheus_scrapes(it)
        follows_what_happens(it)


main()
