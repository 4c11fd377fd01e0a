"""Writes an initramfs: a root folder for a kernel that starts /init, as a gzip'ed newc archive.

    initramfs.py OUT INIT WORKLOAD      INIT becomes /init, WORKLOAD becomes /workload

The format is the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. Nodes are only described in the
archive, so no mknod, no cpio program and no root are needed.
"""

import gzip
import stat
import sys


def entry(number, name, mode, data=b"", device=(0, 0)):
    """One member: header of 13 hexadecimal fields, name and data, each padded to 4 bytes."""
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return pad(header + path) + pad(data)


def pad(data):
    return data + b"\0" * (-len(data) % 4)


def main(out, init, workload):
    members = [(folder, stat.S_IFDIR | 0o755) for folder in ("dev", "proc", "sys", "etc", "tmp", "run")]
    members.append(("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)))
    members.append(("dev/null", stat.S_IFCHR | 0o666, b"", (1, 3)))
    for name, path in (("init", init), ("workload", workload)):
        with open(path, "rb") as file:
            members.append((name, stat.S_IFREG | 0o755, file.read()))
    members.append(("TRAILER!!!", 0))
    with gzip.open(out, "wb", compresslevel=1) as archive:
        for number, member in enumerate(members, start=1):
            archive.write(entry(number, *member))


if __name__ == "__main__":
    main(*sys.argv[1:])
