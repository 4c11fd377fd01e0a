#!/usr/bin/env python3
"""How long verification takes, beside the ways it replaces: the section of docs/benchmarks.md.

    benches/verification.py [--binary FILE] [--environment FOLDER] [--uv FILE] [--rounds N] [--write]

The environment is made from benches/data/ipfs-kit-py311.txt where none is given (that takes pip,
and Python 3.11 as python3). Everything runs warm on one core, the ways in turns, so that what else
the machine does meets all of them; figures are medians, and the least of each beside it. --write
puts the table into docs/benchmarks.md.
"""

import argparse
import csv
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
LIST = HERE / "data/ipfs-kit-py311.txt"
REQUIREMENTS = HERE.parent / "tests/data/requirements.txt"
BEGIN, END = "<!-- verification: begin -->", "<!-- verification: end -->"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=HERE.parent / "target/release/mak-init")
    parser.add_argument("--environment")
    parser.add_argument("--uv", default=shutil.which("uv"))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def environment(given):
    if given:
        return pathlib.Path(given)
    folder = HERE.parent / "target/verification-environment"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "-r", LIST]
        subprocess.run(pip, check=True)
        (folder / "complete").touch()
    return folder


def run(command, variables):
    """Wall time and processor time in ms, exit code."""
    before = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
    pid = os.posix_spawnp(command[0], command, variables, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    wall = (time.perf_counter() - before) * 1000
    cpu = (usage.ru_utime + usage.ru_stime) * 1000
    return wall, cpu, os.waitstatus_to_exitcode(status)


def memory(command, variables):
    """Peak memory in MiB, of the process itself. What wait4 tells is never less than this
    script's own, from the moment before exec; so it is read until the process is gone."""
    quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
    pid = os.posix_spawnp(command[0], command, variables, file_actions=quiet)
    peak = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    peak = int(line.split()[1]) / 1024
    os.waitpid(pid, 0)
    return peak


def recorded(site):
    """Distributions, RECORD lines, files with a hash and their bytes."""
    distributions = list(site.glob("*.dist-info"))
    lines = files = size = 0
    for one in distributions:
        if not (one / "RECORD").exists():
            continue
        for row in csv.reader((one / "RECORD").open()):
            lines += 1
            if len(row) == 3 and row[1].startswith("sha256=") and row[2]:
                files, size = files + 1, size + int(row[2])
    return len(distributions), lines, files, size


def measure(ways, variables, rounds):
    found = {name: [] for name in ways}
    for name, command in ways.items():
        *_, code = run(command, variables)
        if name.startswith("mak-init") and code != 0:
            sys.exit(f"{name}: ended with {code}: {command}")
    for _ in range(rounds):
        for name, command in ways.items():
            found[name].append(run(command, variables))
    return found


def least_of(results, column):
    return min(result[column] for result in results)


def middle(results, column):
    return statistics.median(result[column] for result in results)


def main():
    given = arguments()
    venv = environment(given.environment)
    site = next(venv.glob("lib/python3.*/site-packages"))
    distributions, lines, files, size = recorded(site)
    python = str(venv / "bin/python")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="mak-init-bench-"))
    everything = scratch / "everything.txt"
    everything.write_text(LIST.read_text() + "pip\nsetuptools\n")
    check = [str(given.binary), "verify", "--python", python, "--requirements"]
    full = [*check, str(everything), "--full"]
    ways = {
        "mak-init, quick": [*check, str(REQUIREMENTS)],
        "mak-init, full": full,
        "mak-init, --hashes": [*check, str(everything), "--hashes"],
        "find (names and sizes)": ["find", str(site), "-printf", "%p %s\\n"],
        "bash and Python": [str(HERE / "reference/entrypoint.sh")],
    }
    if given.uv:
        uv = [given.uv, "pip", "check", "--python", python]
        ways["uv pip check"] = uv
        ways["uv pip check, as in a fresh container"] = [*uv, "--no-cache"]
    variables = {
        "PATH": f"{venv / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(scratch),
        "DATA_DIR": str(scratch / "data"),
        "LOG_DIR": str(scratch / "logs"),
        "CONFIG_DIR": str(scratch / "config"),
    }
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    found = measure(ways, variables, given.rounds)
    os.sched_setaffinity(0, cores)
    hashes = {"--hashes": ways["mak-init, --hashes"]}
    all_cores = measure(hashes, variables, given.rounds)["--hashes"]
    peaks = [
        max(memory(command, variables) for _ in range(5))
        for name, command in ways.items()
        if name.startswith("mak-init")
    ]
    shutil.rmtree(scratch)
    facts = (distributions, lines, files, size)
    text = shown(found, all_cores, peaks, facts, len(cores), given.rounds)
    print(text)
    if given.write:
        write(text)


def shown(found, all_cores, peaks, facts, cores, rounds):
    distributions, lines, files, size = facts
    out = [
        f"{distributions} distributions, {lines:,} RECORD lines, {files:,} hashed files of "
        f"{size / 1e6:.0f} MB; {processor()}, one core, warm, {rounds} rounds in turns.",
        "",
        "| way | wall, median | wall, least | processor, median | processor, least | against full |",
        "|---|---|---|---|---|---|",
    ]
    for name, results in found.items():
        wall, cpu = middle(results, 0), middle(results, 1)
        least = [least_of(results, column) for column in range(2)]
        ratio = statistics.median(
            one[1] / other[1] for one, other in zip(results, found["mak-init, full"])
        )
        out.append(
            f"| {name} | {wall:.1f} ms | {least[0]:.1f} ms | {cpu:.1f} ms | {least[1]:.1f} ms "
            f"| {ratio:.1f} × |"
        )
    extra = least_of(found["mak-init, --hashes"], 1) - least_of(found["mak-init, full"], 1)
    out += [
        "",
        "Against full: the median over the rounds of processor time by that of the full form in "
        "the same round.",
        "",
        f"Hashing: {size / 1e6 / extra:.2f} GB/s of processor time on one core "
        f"(--hashes less full, the least of each); the whole of --hashes on {cores} cores takes "
        f"{middle(all_cores, 0):.0f} ms (least {least_of(all_cores, 0):.0f} ms). Peak memory: "
        f"{peaks[0]:.1f} MiB quick, {peaks[1]:.1f} MiB full, {peaks[2]:.1f} MiB with --hashes.",
    ]
    return "\n".join(out)


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


def write(text):
    path = HERE.parent / "docs/benchmarks.md"
    old = path.read_text() if path.exists() else "# Benchmarks\n"
    heading = "\n## Verification\n\n"
    if BEGIN not in old:
        old = f"{old.rstrip()}\n{heading}{BEGIN}\n{END}\n"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
