"""Every path x state x form, asked by curl and by three of Python's clients: http.client, urllib and requests.

What is expected is the table of docs/health.md, written down once more here, by hand."""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import urllib.error
import urllib.request

import requests

from running import CHECK, LIVE_CHECK, PATIENCE, ok, running, until

PATHS = ["/livez", "/startupz", "/readyz", "/health", "/api/healthchecker"]
ACCEPTS = [None, "*/*", "application/json", "application/health+json", "text/html,*/*;q=0.8", "text/plain"]
STATES = {
    "starting": (200, 503, 503, 503, 503),
    "verifying": (200, 503, 503, 503, 503),
    "running": (200, 200, 200, 200, 200),
    "a ready check fails": (200, 200, 503, 503, 503),
    "an alive check fails": (503, 200, 503, 503, 503),
    "stopping": (200, 200, 503, 503, 503),
}


def curl(base, method, path, headers):
    words = ["curl", "-s", "-i", "--max-time", str(PATIENCE)]
    words += ["--head"] if method == "HEAD" else []
    for name, value in headers.items():
        words += ["-H", f"{name}: {value}"]
    if "Accept" not in headers:
        words += ["-H", "Accept:"]
    head, _, body = subprocess.run([*words, base + path], capture_output=True, check=True).stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), body


def by_http_client(base, method, path, headers):
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=PATIENCE)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def by_urllib(base, method, path, headers):
    request = urllib.request.Request(base + path, method=method, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, dict(answer.headers), answer.read()


SESSION = requests.Session()
SESSION.trust_env = False


def by_requests(base, method, path, headers):
    answer = SESSION.request(method, base + path, headers={"Accept": None, **headers}, timeout=PATIENCE)
    return answer.status_code, dict(answer.headers), answer.content


CLIENTS = [curl, by_http_client, by_urllib, by_requests]


def form_of(path, accept, client):
    """The media type that an Accept gets at a path. Curl is a person at a terminal."""
    full = path in ("/health", "/api/healthchecker")
    match accept:
        case "application/json":
            return "application/json"
        case "application/health+json":
            return "application/health+json"
        case "text/html,*/*;q=0.8" if full:
            return "text/html; charset=utf-8"
    return "application/json" if full and client is not curl else "text/plain; charset=utf-8"


def asks_everything(base, state):
    asked = 0
    for path, wanted in zip(PATHS, STATES[state]):
        for accept in ACCEPTS:
            headers = {"Accept": accept} if accept else {}
            for client in CLIENTS:
                status, fields, body = client(base, "GET", path, headers)
                where = (state, path, accept, client.__name__, status, body)
                assert status == wanted, where
                assert fields["Content-Type"] == form_of(path, accept, client), where
                assert fields["Cache-Control"] == "no-store", where
                assert int(fields["Content-Length"]) == len(body), where
                if "json" in fields["Content-Type"]:
                    told = json.loads(body)
                    assert told["status"] in (("pass", "warn") if wanted == 200 else ("fail",)), where
                else:
                    assert body.endswith(b"\n"), where
                status, fields, body = client(base, "HEAD", path, headers)
                assert (status, body) == (wanted, b""), ("HEAD", where)
                assert fields["Content-Type"] == form_of(path, accept, client), ("HEAD", where)
                assert int(fields["Content-Length"]) > 0, ("HEAD", where)
                asked += 2
    ok(f"{state}: {asked} answers to curl, http.client, urllib and requests")


def asks_the_rest(base):
    def text(path, wanted):
        answers = [client(base, "GET", path, {})[::2] for client in CLIENTS]
        assert all(answer == answers[0] for answer in answers), answers
        assert answers[0][0] == wanted, (path, answers)
        return answers[0][1].decode()

    assert text("/readyz?verbose", 503) == (
        "[+]workload ok\n[-]beat failed: not there\n[+]pulse ok\nreadyz check failed\n"
    )
    assert text("/readyz?verbose&exclude=beat", 200) == (
        "[+]workload ok\n[+]pulse ok\n[ ]beat excluded\nreadyz check passed\n"
    )
    assert text("/readyz?exclude=beat", 200) == "ok\n"
    assert text("/health?verbose&exclude=beat", 200).endswith("health check passed\n")
    assert text("/readyz", 503) == "failed: beat\n"
    assert text("/readyz/beat", 503) == "failed: not there\n"
    assert text("/readyz/pulse", 200) == "ok\n"
    assert text("/livez/pulse", 200) == "ok\n"
    assert text("/livez?verbose", 200) == "[+]mak-init ok\n[+]pulse ok\nlivez check passed\n"
    assert text("/startupz?verbose", 200) == "[+]started ok\nstartupz check passed\n"
    for path in ("/livez/beat", "/readyz/none", "/none", "/LIVEZ", "/livez/", "/", "/report"):
        text(path, 404)
    for method, wanted in (("POST", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 405)):
        status, fields, _ = by_requests(base, method, "/livez", {})
        assert (status, fields["Allow"]) == (wanted, "GET, HEAD"), (method, status, fields)
    ok("?verbose, ?exclude, /readyz/NAME, unknown paths and methods")


def token_opens():
    with running(CHECK, token="s3cret") as it:
        it.until_status("/readyz", 200)
        for client in CLIENTS:
            for path in (*PATHS, "/metrics", "/readyz/beat", "/livez?verbose"):
                opened = path in ("/livez", "/startupz", "/readyz")
                assert client(it.base, "GET", path, {})[0] == (200 if opened else 401), path
                wrong = {"Authorization": "Bearer s3cre"}
                assert client(it.base, "GET", path, wrong)[0] == (200 if opened else 401), path
                right = {"Authorization": "Bearer s3cret"}
                assert client(it.base, "GET", path, right)[0] == 200, path
    ok("a bearer token opens all but the three z-paths")


# Long enough that the child which verifies is seen before it has ended.
LONG_PROFILE = 'prefix = "T_"\n' + "".join(
    f'[[library]]\nsoname = "libno{number}.so.1"\nquick = "optional"\n' for number in range(3000)
)


def suspend_verification(it):
    def child():
        pid = it.process.pid
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if pathlib.Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"mak-init: verify"):
                return int(child)

    os.kill(until("the child that verifies", child), signal.SIGSTOP)


def main():
    restarts = ["--restart", "always", "--restart-delay", "1h", "--restart-max-delay", "1h"]
    with running(options=restarts, command=["true"]) as it:
        it.until_state("starting")
        asks_everything(it.base, "starting")
    with running(profile=LONG_PROFILE, options=["--verify-deadline", "1h"]) as it:
        suspend_verification(it)
        it.until_state("verifying")
        asks_everything(it.base, "verifying")
    with running(CHECK + LIVE_CHECK) as it:
        it.until_status("/readyz", 200)
        asks_everything(it.base, "running")
        (it.folder / "beat").unlink()
        it.until_status("/readyz", 503)
        asks_everything(it.base, "a ready check fails")
        asks_the_rest(it.base)
    with running(CHECK.replace("failures = 1", 'failures = 1\nlevel = "alive"')) as it:
        it.until_status("/readyz", 200)
        (it.folder / "beat").unlink()
        it.until_status("/livez", 503)
        asks_everything(it.base, "an alive check fails")
    stubborn = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]
    with running(CHECK, options=["--grace", "1h"], command=stubborn) as it:
        it.until_status("/readyz", 200)
        os.kill(it.process.pid, signal.SIGTERM)
        it.until_state("stopping")
        asks_everything(it.base, "stopping")
    token_opens()


main()
