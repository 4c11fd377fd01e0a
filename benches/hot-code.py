#!/usr/bin/env python3
"""Writes scripts/hot-code.ld: which functions a plain start and the idle loop execute.

    scripts/build-static amd64
    gcc -O2 -o /tmp/steps benches/programs/steps.c
    env -i PATH=/bin /tmp/steps dist/linux_amd64/mak-init -- /bin/true |
        benches/hot-code.py target/static/link-amd64/map >scripts/hot-code.ld

Run it again when the start has changed much; a stale list only costs page faults. The crates' hashes in the names are
left open, so that another version of the compiler or of a crate finds its functions too.
"""
import bisect
import re
import sys

HEAD = """/* Where the code of a start and of the idle loop lies in the shipped program: side by side, at its beginning, so that
   they take few of the 64 KiB windows in which Linux maps a file's pages. Written by benches/hot-code.py; passed to
   the linker by scripts/build-static, beside its own script. Names that no longer exist do no harm. */
SECTIONS
{
    .text.start : {
        *(.text.hot .text.hot.*)
        *(.text.main)
        /* The child's part, which is not seen from its parent. */
        *(.text._RNvNtNtCs*_8mak_init4init12shared_spawn9become_it)
        *(.text._RNvNtNtCs*_8mak_init4init4mask9give_back)
        *libc.a:setpgid.lo(.text .text.*)
        *libc.a:sigaction.lo(.text .text.*)
        *libc.a:execve.lo(.text .text.*)
"""
TAIL = """    }
}
INSERT BEFORE .text;

SECTIONS
{
    /* Behind everything else that is written, or it would part it. */
    .bss.set_up (NOLOAD) : { *(.bss.set_up) }
}
INSERT AFTER .bss;
"""


def sections(path):
    """Start, size, name and file of every section of code in the linker's map."""
    text = open(path).read()
    row = re.compile(r"^ (\.text\S*)\s+(0x[0-9a-f]+)\s+(0x[0-9a-f]+) (\S+)$", re.M)
    found = [(int(a, 16), int(s, 16), name, file) for name, a, s, file in row.findall(text)]
    return sorted(part for part in found if part[1] and part[0])


def pattern(name, file):
    """How the linker's script names it."""
    member = re.search(r"libc\.a[:(]([^)]*)\)?$", file)
    if member:
        return f"*libc.a:{member[1]}(.text .text.*)"
    if "crt" in file:
        return f"*{file.rsplit('/', 1)[-1]}({name})"
    return "*(%s)" % re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", re.sub(r"\.(llvm\.)?\d+$", "*", name))


def main():
    parts = sections(sys.argv[1])
    starts = [part[0] for part in parts]
    lines = []
    for address in (int(line, 16) for line in sys.stdin):
        start, size, name, file = parts[bisect.bisect_right(starts, address) - 1]
        if address < start + size and not name.startswith((".text.hot", ".text.main")):
            line = f"        {pattern(name, file)}\n"
            if line not in lines:
                lines.append(line)
    sys.stdout.write(HEAD + "".join(lines) + TAIL)


main()
