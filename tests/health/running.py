"""A running mak-init for the proofs of this folder: started, brought into a state, ended."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAK_INIT = os.environ.get("MAK_INIT_BIN") or str(ROOT / "dist/linux_amd64/mak-init")
PATIENCE = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ok(text):
    print(f"ok: {text}", flush=True)


def until(what, holds):
    """Asks again until it holds; a proof that would hang fails instead."""
    end = time.monotonic() + PATIENCE
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < end, f"never came: {what}"
        # Between two questions others may run; nothing depends on how long that is.
        os.sched_yield()


class Running:
    """mak-init with an endpoint; `folder` is its own, with the file `beat` that a check wants."""

    def __init__(self, folder, process, port, token):
        self.folder, self.process, self.port, self.token = folder, process, port, token
        self.base = f"http://127.0.0.1:{port}"

    def status(self, path):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            request = urllib.request.Request(self.base + path, headers=headers)
            return urllib.request.urlopen(request, timeout=PATIENCE).status
        except urllib.error.HTTPError as answer:
            return answer.code
        except OSError:
            return None

    def until_status(self, path, wanted):
        until(f"{path} with {wanted}", lambda: self.status(path) == wanted)

    def state(self):
        try:
            return json.load(urllib.request.urlopen(f"{self.base}/health", timeout=PATIENCE))["state"]
        except urllib.error.HTTPError as answer:
            return json.load(answer)["state"]
        except OSError:
            return None

    def until_state(self, wanted):
        until(f"the state {wanted}", lambda: self.state() == wanted)


@contextlib.contextmanager
def running(checks="", options=(), command=None, token=None, profile=None):
    """Ends it, and whatever it has started, at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="mak-init-health-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        port = free_port()
        (folder / "beat").touch()
        (folder / "config.toml").write_text(checks.replace("FOLDER", name))
        words = [MAK_INIT, "--config", f"{name}/config.toml", "--listen", f"127.0.0.1:{port}"]
        if token:
            (folder / "token").write_text(token + "\n")
            words += ["--token-file", f"{name}/token"]
        if profile:
            (folder / "profile.toml").write_text(profile.replace("FOLDER", name))
            words += ["--profile", f"{name}/profile.toml"]
        command = command or ["sleep", "1000"]
        command = [word.replace("FOLDER", name) for word in command]
        with open(folder / "log", "w") as log:
            process = subprocess.Popen(
                [*words, *options, "--", *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        try:
            yield Running(folder, process, port, token)
        except BaseException:
            print((folder / "log").read_text())
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


CHECK = """
[[check]]
name = "beat"
kind = "file"
path = "FOLDER/beat"
interval = "100ms"
failures = 1
"""

LIVE_CHECK = """
[[check]]
name = "pulse"
kind = "disk"
path = "/"
free = "1K"
interval = "100ms"
level = "alive"
"""
