#!/usr/bin/env python3
"""How long `mak deps` takes beside a checker in Python: the section of docs/benchmarks.md.

    cargo build --release --bin mak
    sudo benches/dependencies.py [--binary FILE] [--environment FOLDER] [--packages N] [--rounds N] [--write]

Both look at a dpkg database of N packages (1,500 where nothing is said), which is mounted over this machine's own in a
mount namespace of this script, and at the same Python environment; neither asks a container engine. They run in turns on
one core, warm; figures are medians. The end code is 1 where mak takes longer than 30 ms. --write puts the table into
docs/benchmarks.md.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from verification import environment

HERE = pathlib.Path(__file__).resolve().parent
BEGIN, END = "<!-- dependencies: begin -->", "<!-- dependencies: end -->"
LIMIT = 30


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=HERE.parent / "target/release/mak", type=pathlib.Path)
    parser.add_argument("--environment", type=pathlib.Path)
    parser.add_argument("--packages", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def status(path, packages):
    """A database as dpkg writes it, each package with the fields of a usual one."""
    with open(path, "w") as file:
        for number in range(packages):
            file.write(
                f"Package: package-{number}\nStatus: install ok installed\nPriority: optional\nSection: libs\n"
                f"Installed-Size: {number}\nMaintainer: Nobody <nobody@example.org>\nArchitecture: amd64\n"
                f"Multi-Arch: same\nVersion: 1.{number}-2+deb12u1\nDepends: libc6 (>= 2.34), package-{number // 2}\n"
                f"Provides: virtual-{number} (= 1.{number})\nConffiles:\n"
                + "".join(f" /etc/package-{number}/{name} {'0' * 32}\n" for name in "abcd")
                + f"Description: package {number}\n"
                + " A paragraph that says at some length what the package is good for.\n" * 8
                + "Homepage: https://example.org/\n\n"
            )


def run(command, variables):
    """Wall time in ms and exit code."""
    before = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
    pid = os.posix_spawnp(command[0], command, variables, file_actions=quiet)
    _, code = os.waitpid(pid, 0)
    return (time.perf_counter() - before) * 1000, os.waitstatus_to_exitcode(code)


def main():
    given = arguments()
    if "MAK_BENCH_INSIDE" not in os.environ:
        os.environ["MAK_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    venv = environment(given.environment)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="mak-bench-"))
    status(scratch / "status", given.packages)
    subprocess.run(["mount", "--bind", scratch / "status", "/var/lib/dpkg/status"], check=True)
    ways = {
        "mak deps": [str(given.binary), "deps", "--profile", "ipfs-kit", "--without-engine", "--build"],
        "the checker in Python": [str(venv / "bin/python"), str(HERE / "reference/checker.py")],
    }
    ways["mak deps"] += ["--report", str(scratch / "mak.json")]
    ways["the checker in Python"] += ["--report", str(scratch / "checker.json")]
    variables = {"PATH": f"{venv / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(scratch)}
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found = {name: [] for name in ways}
    for number in range(given.rounds + 1):
        for name, command in ways.items():
            wall, code = run(command, variables)
            if code not in (0, 1, 69):
                sys.exit(f"{name}: ended with {code}: {command}")
            if number:
                found[name].append(wall)
    size = (scratch / "status").stat().st_size
    subprocess.run(["umount", "/var/lib/dpkg/status"], check=True)
    shutil.rmtree(scratch)
    middle = {name: statistics.median(walls) for name, walls in found.items()}
    out = [
        f"{given.packages:,} packages in a status file of {size / 1e6:.1f} MB, "
        f"{len(list(venv.glob('lib/python3.*/site-packages/*.dist-info')))} distributions; one core, warm, "
        f"{given.rounds} rounds in turns.",
        "",
        "| way | wall, median | wall, least | against mak |",
        "|---|---:|---:|---:|",
    ]
    for name, walls in found.items():
        ratio = middle[name] / middle["mak deps"]
        out.append(f"| {name} | {middle[name]:.1f} ms | {min(walls):.1f} ms | {ratio:.1f} × |")
    text = "\n".join(out)
    print(text)
    if given.write:
        write(text)
    sys.exit(0 if middle["mak deps"] <= LIMIT else 1)


def write(text):
    path = HERE.parent / "docs/benchmarks.md"
    old = path.read_text()
    if BEGIN not in old:
        old = f"{old.rstrip()}\n\n## Dependencies\n\n`sudo benches/dependencies.py --write` measures this.\n\n{BEGIN}\n{END}\n"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


main()
