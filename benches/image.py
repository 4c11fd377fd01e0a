#!/usr/bin/env python3
"""How fast `mak image verify` is, and how much memory it takes: the section of docs/benchmarks.md.

    cargo build --release --bin mak
    benches/image.py [--binary FILE] [--mebibytes N] [--files N] [--rounds N] [--folder FOLDER] [--write]

Images are made of this machine's own /usr, N MiB of it (1,024 where nothing is said) in four layers, uncompressed and
compressed, each in an OCI archive; and one of N empty files (400,000). All are verified in turns on one core, warm, beside
tar and sha256sum over the same bytes; figures are medians. The end code is 1 where uncompressed layers are verified at less
than 500 MB/s, or anything takes more than 64 MiB. --write puts the table into docs/benchmarks.md.
"""

import argparse
import hashlib
import io
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BEGIN, END = "<!-- image: begin -->", "<!-- image: end -->"
LEAST, MOST = 500, 64
LAYERS = 4


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=HERE.parent / "target/release/mak", type=pathlib.Path)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--files", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default="/var/tmp", help="where the images are made, some four times their size")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def files_of_usr():
    """Programs and libraries first, as in an image; what is only read by people comes behind."""
    for top in ("/usr/bin", "/usr/sbin", f"/usr/lib/{platform.machine()}-linux-gnu", "/usr/lib", "/usr/share", "/usr/local"):
        for parent, folders, names in os.walk(top):
            folders.sort()
            if top == "/usr/lib":
                folders[:] = [name for name in folders if not name.endswith("-linux-gnu")]
            yield from (os.path.join(parent, name) for name in sorted(names))


def layers_of_usr(folder, size):
    """Layers of as much of /usr as comes to this many bytes, and how many files are in them."""
    layers, count = [folder / f"layer-{number}.tar" for number in range(LAYERS)], 0
    archives = [tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) for layer in layers]
    left = [size // LAYERS] * LAYERS
    for path in files_of_usr():
        room = max(range(LAYERS), key=left.__getitem__)
        # Its header, and what pads it.
        taken = 1024 + os.lstat(path).st_size
        if taken <= left[room]:
            archives[room].add(path, recursive=False)
            left[room] -= taken
            count += 1
        elif left[room] < 4096:
            break
    for archive in archives:
        archive.close()
    return layers, count


def layer_of_names(folder, count):
    layer = folder / "names.tar"
    with tarfile.open(layer, "w") as archive:
        for number in range(count):
            archive.addfile(tarfile.TarInfo(f"srv/{number // 500:04}/a-file-of-usual-name-{number:06}.txt"))
    return layer


def digest(path):
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def image(path, layers, packed):
    """An OCI archive of layers; `packed` are the same as they lie in it."""
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    with tarfile.open(path, "w") as archive:
        def add(name, content):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

        def document(value, kind):
            content = json.dumps(value).encode()
            name = hashlib.sha256(content).hexdigest()
            add(f"blobs/sha256/{name}", content)
            return {"mediaType": f"application/vnd.oci.image.{kind}+json", "digest": f"sha256:{name}", "size": len(content)}

        described = []
        for layer in packed:
            name = digest(layer)
            described.append({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": name, "size": layer.stat().st_size})
            archive.add(layer, f"blobs/{name.replace(':', '/')}")
        config = {"os": "linux", "architecture": arch, "config": {},
                  "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}
        manifest = {"schemaVersion": 2, "config": document(config, "config.v1"), "layers": described}
        index = {"schemaVersion": 2, "manifests": [document(manifest, "manifest.v1") | {"platform": {"os": "linux", "architecture": arch}}]}
        add("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        add("index.json", json.dumps(index).encode())
    return path


# A child's peak begins at its parent's own: the parent is a fresh interpreter, of some 10 MiB.
RUNNER = """
import os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
before = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - before, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
"""


def run(command):
    """Wall time in s, peak memory in MiB, exit code."""
    said = subprocess.run([sys.executable, "-ISc", RUNNER, *command], capture_output=True, check=True, text=True).stdout
    wall, memory, code = said.split()
    return float(wall), float(memory), int(code)


def main():
    given = arguments()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mak-bench-", dir=given.folder))
    try:
        found, about = measure(given, folder)
    finally:
        shutil.rmtree(folder)
    plain = found["mak image verify, uncompressed layers"]
    rate = about["bytes"] / plain[0] / 1e6
    out = [
        f"{about['bytes'] / 2**20:,.0f} MiB of {about['files']:,} files in {LAYERS} layers, {about['elf']:,} of them ELF files; "
        f"one core, warm, {given.rounds} rounds in turns. Memory is the peak of the process, and at least the 8 MiB of what starts it.",
        "",
        "| way | wall, median | uncompressed tar | memory | against `tar -t` through a pipe |",
        "|---|---:|---:|---:|---:|",
    ]
    pipe = found["`tar -t` of the layers through a pipe"][0]
    for name, (wall, memory, size) in found.items():
        speed = f"{size / wall / 1e6:,.0f} MB/s" if size else ""
        ratio = f"{wall / pipe:.1f} ×" if size == about["bytes"] else ""
        out.append(f"| {name} | {wall:.2f} s | {speed} | {memory:.0f} MiB | {ratio} |")
    text = "\n".join(out)
    print(text)
    if given.write:
        write(text)
    most = max(memory for name, (_, memory, _) in found.items() if name.startswith("mak"))
    sys.exit(0 if rate >= LEAST and most <= MOST else 1)


def measure(given, folder):
    layers, files = layers_of_usr(folder, given.mebibytes << 20)
    names = layer_of_names(folder, given.files)
    for layer in layers:
        subprocess.run(["gzip", "-k", "-6", layer], check=True)
        subprocess.run(["zstd", "-qk", "-3", layer], check=True)
    packed = lambda suffix: [layer.with_name(layer.name + suffix) for layer in layers]
    images = {
        "uncompressed layers": image(folder / "plain.oci", layers, layers),
        "gzip layers": image(folder / "gzip.oci", layers, packed(".gz")),
        "zstd layers": image(folder / "zstd.oci", layers, packed(".zst")),
        f"{given.files:,} empty files": image(folder / "names.oci", [names], [names]),
    }
    all_layers = " ".join(str(layer) for layer in layers)
    size = sum(layer.stat().st_size for layer in layers)
    ways = {f"mak image verify, {name}": [str(given.binary), "image", "verify", str(path)] for name, path in images.items()}
    ways["`tar -t` of the layers, seeking"] = ["sh", "-c", f"for layer in {all_layers}; do tar -tf $layer; done"]
    ways["`tar -t` of the layers through a pipe"] = ["sh", "-c", f"for layer in {all_layers}; do cat $layer | tar -t; done"]
    ways["`sha256sum` of the layers"] = ["sh", "-c", f"sha256sum {all_layers}"]
    report = subprocess.run([*ways["mak image verify, uncompressed layers"], "--format", "json"], capture_output=True).stdout
    checks = json.loads(report)["images"][0]["report"]["checks"]
    elf = max((int(check["subject"].split()[0]) for check in checks if check["subject"].endswith(" ELF files")), default=0)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    measured = {name: [] for name in ways}
    for number in range(given.rounds + 1):
        for name, command in ways.items():
            wall, memory, code = run(command)
            # /usr has what no image should have; mak may find fault with it.
            if code not in (0, 69):
                sys.exit(f"{name}: ended with {code}: {command}")
            if number:
                measured[name].append((wall, memory))
    found = {}
    for name, rounds in measured.items():
        walls, memories = zip(*rounds)
        found[name] = (statistics.median(walls), max(memories), 0 if "empty files" in name else size)
    return found, {"bytes": size, "files": files, "elf": elf}


def write(text):
    path = HERE.parent / "docs/benchmarks.md"
    old = path.read_text()
    if BEGIN not in old:
        old = f"{old.rstrip()}\n\n## Images\n\n`benches/image.py --write` measures this.\n\n{BEGIN}\n{END}\n"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


main()
