#!/usr/bin/env python3
"""The health process and the probe: at rest, under load, and beside what the probe replaces; the section "Health" of
docs/benchmarks.md. Three minutes on a quiet machine.

    scripts/build-static amd64
    benches/health.py --write

On a machine with other work `chrt -f 50 benches/health.py` runs all of it, servers and clients, before everything else.

    benches/health.py [--binary FILE] [--environment FOLDER] [--seconds N] [--rounds N] [--quick] [--write]

Takes wrk, h2load (nghttp2-client), curl and musl-gcc (musl-tools). The environment for the Python way is made from
benches/data/ipfs-kit-py311.txt where none is given, as in benches/verification.py. The end code is 1 where a figure
misses what it must be.
"""

import argparse
import contextlib
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import verification

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parent / "docs/benchmarks.md"
BEGIN, END = "<!-- health: begin -->", "<!-- health: end -->"
SERVER_CORE, CLIENT_CORE = 0, 1
IMPORTS = (
    "import requests, httpx, aiohttp, aiofiles, watchdog, psutil, yaml, networkx, jsonpatch, base58, anyio, hypercorn, "
    "trio, cryptography, google.protobuf, toml; print('OK')"
)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=pathlib.Path, default=HERE.parent / "dist/linux_amd64/mak-init")
    parser.add_argument("--environment", help="a Python environment with IPFS Kit's requirements")
    parser.add_argument("--seconds", type=int, default=20, help="of idling, and of each load")
    parser.add_argument("--rounds", type=int, default=501, help="of the probe")
    parser.add_argument("--quick", action="store_true", help="3 seconds and 51 rounds")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.quick:
        given.seconds, given.rounds = 3, 51
    return given


def compiled(name, *words):
    built = HERE / "target/programs" / pathlib.Path(name).stem
    built.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([*words, "-o", built, HERE / "programs" / name], check=True)
    return str(built)


class Running:
    """mak-init with an endpoint, the workload that beats, and nothing else; all of it on one core."""

    def __init__(self, binary, workload, core):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), str(binary), "--listen", f"127.0.0.1:{self.port}", "--", workload],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        assert self.process.stdout.readline() == "ready\n"
        self.url = f"http://127.0.0.1:{self.port}"
        while self.ask("/readyz") != 200:
            pass
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.health = next(pid for pid in children if self.name(pid) == "mak-init:health")
        self.workload = next(pid for pid in children if self.name(pid) != "mak-init:health")

    @staticmethod
    def name(pid):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()

    def ask(self, path):
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(self.url + path).status

    def number(self, file, name):
        text = pathlib.Path(f"/proc/{self.health}/{file}").read_text()
        return int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1])

    def switches(self):
        return self.number("status", "voluntary_ctxt_switches") + self.number("status", "nonvoluntary_ctxt_switches")

    def beats(self):
        """Median and 99th percentile of the workload's lateness since it was asked last, in µs."""
        os.kill(int(self.workload), 10)
        median, late, _ = map(int, self.process.stdout.readline().split())
        return median / 1000, late / 1000

    def end(self):
        self.process.terminate()
        self.process.wait()


class Figures:
    """What was measured, what it must be, and whether it is."""

    def __init__(self):
        self.rows, self.hold = [], True

    def add(self, name, value, words, holds=None, aims=None):
        verdict = "" if holds is None else " holds" if holds else " **missed**"
        self.hold &= holds is not False
        aim = "" if aims is None else " holds" if aims else " missed"
        self.rows.append((name, value, words[0] + verdict if words else "–", words[1] + aim if len(words) > 1 else "–"))

    def text(self):
        lines = ["| figure | is | must | aim |", "|---|---:|---|---|"]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in self.rows])


def at_rest(figures, binary, workload, seconds):
    running, other = Running(binary, workload, SERVER_CORE), Running(binary, workload, SERVER_CORE)
    try:
        # Both have answered everything once, as a HEALTHCHECK and a scrape ask; then nobody asks.
        for path in ("/livez", "/health", "/metrics"):
            running.ask(path), other.ask(path)
            # A second apart, so that the last one is idle like all others.
            time.sleep(1.2)
        resident = running.number("smaps_rollup", "Rss")
        private = running.number("smaps_rollup", "Private_Clean") + running.number("smaps_rollup", "Private_Dirty")
        anonymous = running.number("smaps_rollup", "Anonymous")
        before = running.switches()
        time.sleep(seconds)
        woken = running.switches() - before
        figures.add(f"wake-ups of health in {seconds} s idle", str(woken), ["0:"], woken == 0)
        figures.add("health's idle Rss, KiB", str(resident), ["≤ 1228 (1.2 MiB):"], resident <= 1228)
        figures.add("health's idle private memory, KiB", str(private), ["≤ 300:"], private <= 300)
        figures.add("of that anonymous, KiB", str(anonymous), [])
    finally:
        running.end()
        other.end()


def comes_back(figures, binary, workload, rounds=5):
    """From the signal to the next answer, each time of a fresh mak-init: later ends wait longer by intention."""
    for name, number in ("KILL", 9), ("STOP", 19):
        took = []
        for _ in range(rounds):
            running = Running(binary, workload, SERVER_CORE)
            try:
                began = time.perf_counter()
                os.kill(int(running.health), number)
                # Until it is gone it may still answer: asked is its heir.
                while pathlib.Path(f"/proc/{running.health}/stat").exists():
                    pass
                assert running.ask("/livez") == 200
                took.append((time.perf_counter() - began) * 1000)
            finally:
                running.end()
        most = max(took)
        figures.add(f"from SIG{name} for health to the next answer, median and most of {rounds}, ms",
                    f"{statistics.median(took):.0f}, {most:.0f}", ["≤ 1000:"], most <= 1000)


def load(seconds, *words):
    return subprocess.run(
        ["taskset", "-c", str(CLIENT_CORE), *words], capture_output=True, text=True, check=True, timeout=seconds * 3 + 20
    ).stdout


def under_load(figures, binary, workload, seconds):
    running = Running(binary, workload, SERVER_CORE)
    try:
        running.beats()
        time.sleep(min(seconds, 5))
        quiet = running.beats()
        text = load(seconds, "wrk", "-t1", "-c16", f"-d{seconds}s", running.url + "/livez")
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
        assert "Non-2xx" not in text and "Socket errors" not in text, text
        busy = running.beats()
        figures.add("requests/s of /livez, wrk, 16 connections", f"{rate:,.0f}", ["≥ 30,000:"], rate >= 30_000)
        with tempfile.NamedTemporaryFile() as log:
            each = int(min(rate, 30_000) / 2 / 16)
            text = load(seconds, "h2load", "--h1", "-t1", "-c16", f"--rps={each}", f"-D{seconds}",
                        f"--log-file={log.name}", running.url + "/livez")
            answers = [line.split("\t") for line in open(log.name)]
        assert all(status == "200" for _, status, _ in answers), text
        took = sorted(int(time) for _, _, time in answers)
        late = took[len(took) * 99 // 100] / 1000
        half = running.beats()
        figures.add(f"p99 at {each * 16:,} requests/s, h2load, ms", f"{late:.2f}", ["≤ 5:"], late <= 5)
        figures.add("median at that rate, ms", f"{took[len(took) // 2] / 1000:.2f}", [])
        for what, (median, worst) in (("nobody asks", quiet), ("wrk asks for all it can get", busy),
                                      ("h2load asks for half of that", half)):
            name = f"the workload's own lateness of a 1 ms timer on the same core while {what}, median and p99, µs"
            figures.add(name, f"{median:.0f}, {worst:.0f}", [])
        peak = running.number("status", "VmHWM")
        figures.add("health's most memory under all that, KiB", f"{peak:,}", ["≤ 4,096:"], peak <= 4096)
        after = running.process.poll()
        assert after is None, f"mak-init has ended with {after}"
    finally:
        running.end()


def the_probe(figures, given, workload):
    bare = compiled("two_instructions.S", "gcc", "-static", "-nostdlib", "-no-pie")
    ask = compiled("round_trip.c", "musl-gcc", "-static", "-O2")
    venv = verification.environment(given.environment)
    running = Running(given.binary, workload, SERVER_CORE)
    address = f"127.0.0.1:{running.port}"
    ways = {
        "a bare static true": ([bare], given.rounds),
        "mak-init healthcheck": ([str(given.binary), "healthcheck"], given.rounds),
        "curl -f by the shell form": (["/bin/sh", "-c", f"curl -f http://{address}/health || exit 1"], given.rounds // 5),
        "python -c import": ([str(venv / "bin/python"), "-c", IMPORTS], max(given.rounds // 50, 3)),
    }
    variables = {"PATH": "/usr/bin:/bin", "MAK_INIT_LISTEN": address}
    found = {name: [] for name in ways}
    try:
        trips = int(subprocess.run([ask, str(running.port), "/readyz", "1001"], capture_output=True, check=True).stdout)
        os.sched_setaffinity(0, {CLIENT_CORE})
        for name, (command, _) in ways.items():
            *_, code = verification.run(command, variables)
            assert code == 0, f"{name} ends with {code}"
        for at in range(given.rounds):
            for name, (command, rounds) in ways.items():
                if at * rounds // given.rounds != (at + 1) * rounds // given.rounds:
                    found[name].append(verification.run(command, variables)[0])
        # It is watched while it runs: with one core for both it would wait for ever under chrt.
        os.sched_setaffinity(0, {SERVER_CORE, CLIENT_CORE})
        peak = max(verification.memory(ways["mak-init healthcheck"][0], variables) for _ in range(5)) * 1024
    finally:
        os.sched_setaffinity(0, {SERVER_CORE, CLIENT_CORE})
        running.end()
    wall = {name: statistics.median(times) for name, times in found.items()}
    ours, trip = wall["mak-init healthcheck"], trips / 1e6
    limit = 1.5 * (wall["a bare static true"] + trip)
    figures.add("a bare static true, ms", f"{wall['a bare static true']:.3f}", [])
    figures.add("one round trip to /readyz on loopback, ms", f"{trip:.3f}", [])
    figures.add("mak-init healthcheck, ms", f"{ours:.3f}", [f"≤ {limit:.3f} (1.5 × both):"], ours <= limit)
    ratio = wall["curl -f by the shell form"] / ours
    figures.add("curl -f in a shell form HEALTHCHECK, ms", f"{wall['curl -f by the shell form']:.2f}",
                [f"≥ 10 × ours ({ratio:.1f} ×):", f"≥ 20 × ours ({ratio:.1f} ×):"], ratio >= 10, ratio >= 20)
    ratio = wall["python -c import"] / ours
    figures.add("python -c \"import …\", ms", f"{wall['python -c import']:.0f}",
                [f"≥ 100 × ours ({ratio:.0f} ×):"], ratio >= 100)
    figures.add("the probe's most memory, KiB", f"{peak:.0f}", [])


def write(text):
    old = PAGE.read_text()
    before, rest = old.split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1])


def main():
    given = arguments()
    workload = compiled("heartbeat.c", "musl-gcc", "-static", "-O2")
    figures = Figures()
    at_rest(figures, given.binary, workload, given.seconds)
    comes_back(figures, given.binary, workload)
    under_load(figures, given.binary, workload, given.seconds)
    the_probe(figures, given, workload)
    text = (
        f"{verification.processor()}, two cores: mak-init, health and the workload on one, the client on the other; "
        f"{given.seconds} s each, {given.rounds} rounds of the probe in turns.\n\n{figures.text()}"
    )
    print(text)
    if given.write:
        write(text)
    sys.exit(not figures.hold)


main()
