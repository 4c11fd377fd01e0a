#!/usr/bin/env python3
"""Writes the linker script that says which code and constants a plain start, the idle loop and the probe make use of.

    benches/hot-code.py PROGRAM MAP <STEPS >ORDER.ld
    benches/hot-code.py --portable PROGRAM MAP <STEPS >scripts/hot-code.ld

MAP is the linker's of PROGRAM, STEPS what benches/programs/steps.c prints of its start. scripts/build-static does the first at every
build for this machine's own architecture, between two links, so that this order cannot become stale. The second leaves
out what has no name of its own, and the crates' hashes: for the other architecture, and for another version of a
compiler or crate. A release renews it (docs/benchmarks.md); a stale one only costs page faults there.
"""
import bisect
import re
import struct
import sys

HEAD = """/* Where the code and the constants of a start, of the idle loop and of the probe lie in the shipped program: side by
   side, at its beginning, so that they take few of the 64 KiB windows in which Linux maps a file's pages; those of the
   loop first, those of the probe last.
   Written by benches/hot-code.py; passed to the linker by scripts/build-static, beside its own script. Names that no
   longer exist do no harm. */
SECTIONS
{
    .text.start : {
        /* The loop. */
"""
CHILD = """        /* What the loop does at times. */
        *(.text._R*8mak_init4init10event_loop*)
        *(.text._R*8mak_init4init7forward*)
        *(.text._R*8mak_init4init7receive*)
        *(.text._R*8mak_init4init4reap*)
        /* The child, which is not seen from its parent, and executes when that has given back what follows. */
        *libc.a:clone.lo(.text .text.*)
        *(.text._RNvNtNtCs*_8mak_init4init12shared_spawn9become_it)
        *(.text._RNvNtNtCs*_8mak_init4init4mask9give_back)
        *libc.a:setpgid.lo(.text .text.*)
        *libc.a:sigaction.lo(.text .text.*)
        *libc.a:execve.lo(.text .text.*)
        /* The start. */
        *(.text.main)
"""
PROBE = """        /* The probe, as far as it is not that. */
"""
TAIL = """        *(.rodata.str1.1)
    }
}
INSERT BEFORE .text;

SECTIONS
{
    /* What comes from the file and is written begins a page, and then needs no more than one. Libc's constants are
       here to make this a section of constants. */
    .rodata.last : {
        *libc.a:*(.rodata .rodata.*)
        *(.rodata.cst32)
        . = ALIGN(4096);
    }
}
INSERT BEFORE .tdata;

SECTIONS
{
    /* What a start writes, behind everything else that is written: the end of the child's stack, counters, libc's own
       words, and the array of the set-up, in one page as far as they go. */
    .bss.start (NOLOAD) : {
        . = ALIGN(4096) + 1024;
        *(.bss.child_stack)
        *(.bss._RNvNtNtCs*_8mak_init4init6memory*)
        *(.bss._RNvNtNtCs*_8mak_init4init10last_words*)
        *(.bss._RNvNtCs*_12tracing_core*)
        *(.bss._RNvNtNtCs*_12tracing_core*)
        *libc.a:__environ.lo(.bss .bss.*)
        *libc.a:__stack_chk_fail.lo(.bss .bss.*)
        *libc.a:abort_lock.lo(.bss .bss.*)
        *libc.a:defsysinfo.lo(.bss .bss.*)
        *libc.a:libc.lo(.bss .bss.*)
        *libc.a:__init_tls.lo(.bss .bss.*)
        *(.bss.set_up)
    }
}
INSERT AFTER .bss;
"""
START = 1
LOOP = 2
# Where the program is loaded: its first segment begins with the file.
BASE = 0x400000
LONGEST_INSTRUCTION = 15
SECTION = re.compile(r"^ (\.(?:text|rodata)\S*)\s+(0x[0-9a-f]+)\s+(0x[0-9a-f]+) (\S+)$", re.M)


def sections(path):
    """Start, size, name and file of every section of code and constants in the linker's map."""
    found = [(int(a, 16), int(s, 16), name, file) for name, a, s, file in SECTION.findall(open(path).read())]
    return sorted(part for part in found if part[1] and part[0])


def named_by(program, executed):
    """Addresses that executed instructions may name, absolute or from their own place: a guess at each four bytes,
    of which few that are wrong fall on the program."""
    code = open(program, "rb").read()
    order = sorted(executed)
    for address, behind in zip(order, order[1:] + [0]):
        lengths = range(5, LONGEST_INSTRUCTION + 1)
        if address < behind <= address + LONGEST_INSTRUCTION:
            lengths = [behind - address]
        for at in range(1, lengths[-1] - 3):
            word = code[address - BASE + at:address - BASE + at + 4]
            if len(word) == 4:
                yield struct.unpack("<I", word)[0], executed[address]
                for length in lengths:
                    if at + 4 <= length:
                        yield address + length + struct.unpack("<i", word)[0], executed[address]


def pattern(name, file, portable):
    """How the linker's script names a section; None where it has no name to count on."""
    member = re.search(r"libc\.a[:(]([^)]*)\)?$", file)
    if member:
        kind = ".text" if name.startswith(".text") else ".rodata"
        return f"*libc.a:{member[1]}({kind} {kind}.*)"
    if name in (".text.main", ".rodata.cst32") or name.startswith(".rodata.str"):
        return None
    if "crt" in file and name == ".text" or name == ".text._start_c":
        return f"*{file.rsplit('/', 1)[-1]}({name})"
    if portable:
        if ".Lanon." in name or ".L__unnamed" in name:
            return None
        name = re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", re.sub(r"\.(llvm\.)?\d+$", "*", name))
    return f"*({name})"


def main():
    portable = sys.argv[1] == "--portable"
    parts = sections(sys.argv[-1])
    starts = [part[0] for part in parts]
    used = {}

    def note(address, phases, kind):
        at = bisect.bisect_right(starts, address) - 1
        if at >= 0 and address < parts[at][0] + parts[at][1] and parts[at][2].startswith(kind):
            used[at] = used.get(at, 0) | phases

    executed = {}
    for line in sys.stdin:
        kind, address, phases = line.split()
        if kind == "x":
            executed[int(address, 16)] = executed.get(int(address, 16), 0) | int(phases)
        note(int(address, 16), int(phases), ".text" if kind == "x" else ".rodata")
    for address, phases in named_by(sys.argv[-2], executed):
        note(address, phases, ".rodata")
    if not used:
        sys.exit("hot-code.py: no start was seen: does benches/programs/steps.c run here?")
    text = [[], [], []]
    for code in (True, False):
        for at, phases in sorted(used.items()):
            name, file = parts[at][2:]
            line = pattern(name, file, portable)
            if line and name.startswith(".text") == code:
                line = f"        {line}\n"
                if not any(line in part for part in text):
                    text[0 if phases & LOOP else 1 if phases & START else 2].append(line)
    sys.stdout.write(HEAD + "".join(text[0]) + CHILD + "".join(text[1]) + PROBE + "".join(text[2]) + TAIL)


main()
