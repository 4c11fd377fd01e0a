#!/usr/bin/env python3
"""What each crate adds to the shipped binary's code, from the linker's map: a Markdown table.

    scripts/build-static amd64
    benches/size-by-crate.py target/static/link-amd64/map

A function counts for the crate that defines it; what a crate makes of another one's generics counts for the other.
Constants have no names after link-time optimization and stand in one row.
"""
import re
import sys
from collections import Counter

ROW = re.compile(r"^ (\.\S+)\s+(0x[0-9a-f]+)\s+(0x[0-9a-f]+) (\S+)$", re.M)
CRATE = re.compile(r"Cs[0-9A-Za-z]+_(\d+)")
GROUPS = {"core": "std", "alloc": "std", "compiler_builtins": "std", "hashbrown": "std", "panic_abort": "std",
          "rustc_demangle": "std", "unwind": "std", "tracing_core": "tracing", "once_cell": "tracing",
          "toml_parser": "toml", "toml_datetime": "toml", "serde_spanned": "toml", "winnow": "toml",
          "serde_core": "serde", "ureq_proto": "ureq", "http": "ureq", "itoa": "serde_json", "zmij": "serde_json",
          "mio": "tokio", "bytes": "tokio", "socket2": "tokio", "procfs_core": "procfs"}


def crate(name, file):
    if "libc.a" in file:
        return "musl"
    found = CRATE.search(name)
    if not found:
        return "musl, unwinder and start files" if file.endswith((".o", ".o)")) and ".rcgu." not in file else "other"
    return name[found.end():][: int(found[1])].lstrip("_")


def main():
    code, rest = Counter(), Counter()
    for name, address, size, file in ROW.findall(open(sys.argv[1]).read()):
        size = int(size, 16)
        if int(address, 16) == 0 or size == 0:
            continue
        if name.startswith(".text"):
            owner = crate(name, file)
            if owner == "mak_init":
                module = re.search(r"8mak_init(\d+)([a-z_]+)", name)
                owner = f"mak_init: {module[2][:int(module[1])]}" if module else owner
            code[GROUPS.get(owner, owner)] += size
        elif name.startswith(".rodata"):
            rest["constants of all"] += size
        elif name.startswith((".eh_frame", ".gcc_except")):
            rest["unwind tables"] += size
    print("| crate | code, bytes |\n|---|---:|")
    for owner, size in (code + rest).most_common():
        if size >= 1000:
            print(f"| {owner} | {size} |")


main()
