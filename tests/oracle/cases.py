"""Cases for tests/python_oracle.rs, each with packaging's own verdict, one JSON object a line.

    cases.py SOURCE SEED COUNT

SOURCE is the unpacked source of packaging: every text in its test tables is taken as a version, a
specifier, a marker and a requirement. COUNT more cases of each kind are made from SEED.
"""

import ast
import json
import pathlib
import random
import sys

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

TABLES = ["test_version.py", "test_specifiers.py", "test_markers.py", "test_requirements.py"]
MOST_PAIRS = 60000

ENVIRONMENTS = [
    {
        "implementation_name": "cpython",
        "implementation_version": "3.11.7",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "6.1.0-13-amd64",
        "platform_system": "Linux",
        "platform_version": "#1 SMP",
        "python_full_version": "3.11.7",
        "python_version": "3.11",
        "sys_platform": "linux",
    },
    {
        "implementation_name": "pypy",
        "implementation_version": "7.3.12",
        "os_name": "posix",
        "platform_machine": "aarch64",
        "platform_python_implementation": "PyPy",
        "platform_release": "5.15.49-linuxkit",
        "platform_system": "Linux",
        "platform_version": "#1 SMP PREEMPT",
        "python_full_version": "3.14.0rc1",
        "python_version": "3.14",
        "sys_platform": "linux",
    },
]


def texts(source):
    """Every string in the tables, each once, in order."""
    found = {}
    for name in TABLES:
        tree = ast.parse((source / "tests" / name).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if len(node.value) < 200 and "\n" not in node.value:
                    found[node.value] = None
    return list(found)


def version(text):
    try:
        return Version(text)
    except InvalidVersion:
        return None


def specifiers(text):
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return None


def say(**case):
    print(json.dumps(case))


def say_version(text):
    parsed = version(text)
    say(kind="version", text=text, normal=None if parsed is None else str(parsed))


def say_order(left, right):
    a, b = Version(left), Version(right)
    say(kind="order", left=left, right=right, expect=(a > b) - (a < b))


def say_contains(clauses, text):
    parsed = specifiers(clauses)
    expect = None
    if parsed is not None:
        expect = parsed.contains(text, prereleases=True)
        # "===" compares texts. pip gives it the normalized version, so either form will do.
        if not expect and "===" in clauses and version(text):
            expect = parsed.contains(str(Version(text)), prereleases=True)
    say(kind="contains", specifiers=clauses, version=text, expect=expect)


def say_marker(text, environment, extra):
    try:
        marker = Marker(text)
    except InvalidMarker:
        return say(kind="marker", text=text, environment=environment, extra=extra, expect="invalid")
    try:
        expect = marker.evaluate({**ENVIRONMENTS[environment], "extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion):
        expect = "undefined"
    say(kind="marker", text=text, environment=environment, extra=extra, expect=expect)


def say_requirement(text):
    try:
        parsed = Requirement(text)
    except InvalidRequirement:
        return say(kind="requirement", text=text, expect=None)
    say(
        kind="requirement",
        text=text,
        expect={
            "name": parsed.name,
            "extras": sorted(parsed.extras),
            "unlimited": len(parsed.specifier) == 0,
            "url": parsed.url,
            "marker": parsed.marker is not None,
        },
    )


def tables(source, chance):
    all_texts = texts(source)
    for text in all_texts:
        say_version(text)
        say_requirement(text)
        for environment in range(len(ENVIRONMENTS)):
            say_marker(text, environment, "")
    versions = [text for text in all_texts if version(text)]
    clauses = [text for text in all_texts if specifiers(text) is not None and text.strip()]
    pairs = [(c, v) for c in clauses for v in versions]
    for one, text in chance.sample(pairs, min(MOST_PAIRS, len(pairs))):
        say_contains(one, text)
    pairs = [(a, b) for a in versions for b in versions]
    for a, b in chance.sample(pairs, min(MOST_PAIRS, len(pairs))):
        say_order(a, b)


def any_version(chance):
    text = chance.choice(["", "", "", "v", "1!"])
    text += ".".join(str(chance.randrange(4)) for _ in range(chance.randint(1, 4)))
    if chance.random() < 0.3:
        text += chance.choice(["a", "b", "rc", ".alpha", "-c", "_pre"]) + str(chance.randrange(3))
    if chance.random() < 0.2:
        text += chance.choice([".post", "-", "post", ".rev"]) + str(chance.randrange(3))
    if chance.random() < 0.2:
        text += chance.choice([".dev", "dev", "-dev"]) + str(chance.randrange(3))
    if chance.random() < 0.15:
        text += "+" + chance.choice(["cpu", "1", "ubuntu.1", "abc-2", "1_0"])
    return text


def any_clauses(chance):
    one = lambda: (
        chance.choice(["==", "!=", "<=", ">=", "<", ">", "~=", "==="])
        + chance.choice(["", " "])
        + any_version(chance)
        + (".*" if chance.random() < 0.15 else "")
    )
    return ",".join(one() for _ in range(chance.randint(1, 3)))


def any_comparison(chance):
    name = chance.choice([*ENVIRONMENTS[0], "extra"])
    relation = chance.choice(["==", "!=", "<", ">", "<=", ">=", "~=", "===", "in", "not in"])
    values = [environment.get(name, "http2") for environment in ENVIRONMENTS]
    values += ["3.8", "3.12", "3.11.*", "linux", "win32", "Py_cryptodome", "", any_version(chance)]
    value = chance.choice(values)
    if relation in ("in", "not in") and chance.random() < 0.5:
        value += chance.choice([" ", ", "]) + chance.choice(values)
    value = chance.choice(["'", '"']) .join(["", value, ""])
    sides = [name, value]
    if chance.random() < 0.2:
        sides.reverse()
    return f"{sides[0]} {relation} {sides[1]}"


def any_marker(chance, depth=0):
    if depth == 3 or chance.random() < 0.5:
        return any_comparison(chance)
    inner = [any_marker(chance, depth + 1) for _ in range(chance.randint(2, 3))]
    joined = chance.choice([" and ", " or "]).join(inner)
    return f"({joined})" if chance.random() < 0.5 else joined


def any_requirement(chance):
    text = chance.choice(["x", "Eth_Hash", "zope.interface", "a-", "-a", "p1"])
    if chance.random() < 0.3:
        text += chance.choice(["[a]", "[a,b-c]", "[]", "[a,]", " [ a , b ]"])
    if chance.random() < 0.2:
        text += chance.choice([" @ https://h/x.zip", "@git+https://h/x@v1", " @ file:///x "])
    elif chance.random() < 0.7:
        clauses = any_clauses(chance)
        text += chance.choice([clauses, " " + clauses, f"({clauses})", f" ({clauses}) "])
    if chance.random() < 0.4:
        text += chance.choice([";", " ; ", "; "]) + any_marker(chance)
    return text


def generated(count, chance):
    for _ in range(count):
        say_version(any_version(chance))
        say_contains(any_clauses(chance), any_version(chance))
        extra = chance.choice(["", "http2", "py-cryptodome"])
        say_marker(any_marker(chance), chance.randrange(len(ENVIRONMENTS)), extra)
        say_requirement(any_requirement(chance))


def main():
    source, seed, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(ENVIRONMENTS))
    chance = random.Random(seed)
    tables(source, chance)
    generated(count, chance)


main()
