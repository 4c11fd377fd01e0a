"""The second half of benches/reference/entrypoint.sh: packages of the system by dpkg, packages of
Python by importing them, a report as JSON. What such checkers also do with a container engine or
a package manager's network is left out, so that the comparison is in their favour."""

import argparse
import json
import platform
import shutil
import subprocess
import sys

SYSTEM = [
    "build-essential",
    "git",
    "curl",
    "wget",
    "hwloc",
    "libhwloc-dev",
    "mesa-opencl-icd",
    "ocl-icd-opencl-dev",
]
MODULES = {
    "requests": "requests",
    "httpx": "httpx",
    "aiohttp": "aiohttp",
    "aiofiles": "aiofiles",
    "watchdog": "watchdog",
    "psutil": "psutil",
    "pyyaml": "yaml",
    "base58": "base58",
    "multiaddr": "multiaddr",
    "python-magic": "magic",
    "anyio": "anyio",
    "cryptography": "cryptography",
}


def installed(package):
    if not shutil.which("dpkg"):
        return False
    return subprocess.run(["dpkg", "-s", package], capture_output=True).returncode == 0


def importable(module):
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", default="report.json")
    arguments = parser.parse_args()
    system = {package: installed(package) for package in SYSTEM}
    modules = {name: importable(module) for name, module in MODULES.items()}
    compatible = sys.version_info >= (3, 8)
    report = {
        "platform": {"system": platform.system(), "machine": platform.machine()},
        "checks": {"python": compatible, "system_packages": system, "python_packages": modules},
    }
    with open(arguments.report, "w") as file:
        json.dump(report, file, indent=2)
    return 0 if compatible and all(system.values()) else 1


sys.exit(main())
