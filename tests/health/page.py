"""The page in a real browser, headless Chromium: what it shows, that it fetches and logs nothing, and that it fits a
phone and a desktop, in light and dark. With a folder as argument it leaves screenshots there, to be looked at."""

import base64
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import urllib.request

from running import CHECK, LIVE_CHECK, ok, running, until

PROFILE = """
prefix = "T_"
[[library]]
soname = "libc.so.6"
quick = "required"
[[library]]
soname = "lib-with-a-very-long-name-that-no-line-of-a-phone-can-hold-in-one-piece.so.12.34.56"
quick = "optional"
"""

WORDS = "a" * 70 + " & <b>bold</b> " + "status-without-any-blank-" * 3
NOTIFY = '[[check]]\nname = "itself"\nkind = "notify"\ninterval = "100ms"\nfailures = 1\n'
NOTIFIER = (
    "import os, socket, signal\n"
    "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    "s.connect('\\0' + os.environ['NOTIFY_SOCKET'][1:])\n"
    f"s.send(b'READY=1\\nSTATUS={WORDS}')\nsignal.pause()\n"
)


class Browser:
    """Chromium and one tab, spoken to by the DevTools protocol over a WebSocket (RFC 6455)."""

    def __init__(self, folder):
        self.log = open(folder / "chromium.log", "w")
        words = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
                 "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={folder}/profile", "about:blank"]
        self.process = subprocess.Popen(words, stdout=self.log, stderr=self.log)
        port = folder / "profile/DevToolsActivePort"
        until("Chromium's port", lambda: port.exists() and port.read_text().count("\n"))
        self.port = int(port.read_text().split()[0])
        tabs = json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json"))
        path = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page").split(str(self.port), 1)[1]
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.stream = self.socket.makefile("rb")
        while self.stream.readline().strip():
            pass
        self.number, self.events = 0, []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def frame(self):
        text = b""
        while True:
            first, second = self.stream.read(2)
            length = second & 127
            if length > 125:
                length = struct.unpack(">H" if length == 126 else ">Q", self.stream.read(2 if length == 126 else 8))[0]
            text += self.stream.read(length)
            if first & 128:
                return json.loads(text)

    def do(self, method, **parameters):
        self.number += 1
        text = json.dumps({"id": self.number, "method": method, "params": parameters}).encode()
        mask = os.urandom(4)
        head = bytes([0x81]) + (bytes([128 | len(text)]) if len(text) < 126 else bytes([254]) + struct.pack(">H", len(text)))
        self.socket.sendall(head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text)))
        while True:
            message = self.frame()
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def run(self, expression):
        found = self.do("Runtime.evaluate", expression=expression, returnByValue=True)["result"]
        return found.get("value")

    def open(self, url, width, height, dark):
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.do("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.do("Page.navigate", url=url)
        until("the page", lambda: self.run("document.readyState") == "complete" and self.run("location.href") == url)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
# WCAG 2, relative luminance; the paper is that of the nearest element behind the text that has one.
FAINTEST = """(() => {
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = element => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return light(colour);
    }
    return 1;
  };
  let least = 99;
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    const [a, b] = [light(getComputedStyle(element).color), paper(element)].sort((a, b) => b - a);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
})()"""
SMALLEST = """Math.min(...[...document.querySelectorAll('body *')].filter(element => element.innerText)
  .map(element => parseFloat(getComputedStyle(element).fontSize)))"""


def looks_well(browser, url, name, folder, status):
    for width, height in ((360, 780), (1280, 900)):
        for dark in (False, True):
            theme = "dark" if dark else "light"
            browser.open(url, width, height, dark)
            where = (name, width, theme)
            assert browser.run(FITS), (where, browser.run("document.documentElement.scrollWidth"))
            assert browser.run(FAINTEST) >= 4.5, (where, "contrast", browser.run(FAINTEST))
            assert browser.run(SMALLEST) >= 12, where
            paper = browser.run("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == dark, (where, paper)
            asked = [event["params"]["request"]["url"] for event in browser.events
                     if event["method"] == "Network.requestWillBeSent"]
            # A browser asks every site for its icon by itself.
            assert [address for address in asked if not address.endswith("/favicon.ico")] == [url], (where, asked)
            answers = [event["params"]["response"]["status"] for event in browser.events
                       if event["method"] == "Network.responseReceived" and event["params"]["response"]["url"] == url]
            assert answers == [status], (where, answers)
            errors = [event for event in browser.events
                      if event["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled")
                      or event["method"] == "Log.entryAdded" and url == event["params"]["entry"].get("url", "")
                      and "status of 503" not in event["params"]["entry"]["text"]]
            assert not errors, (where, errors)
            if folder:
                picture = browser.do("Page.captureScreenshot", captureBeyondViewport=True)["data"]
                (folder / f"{name}-{width}-{theme}.png").write_bytes(base64.b64decode(picture))
    ok(f"{name}: fits 360 and 1280 pixels, readable in light and dark, nothing fetched, nothing logged")


def shows(browser, *wanted):
    browser.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    text = browser.run("document.body.innerText")
    for word in wanted:
        assert word in text, (word, text)
    assert browser.run("document.scripts.length") == 0
    assert browser.run("document.querySelectorAll('b b, body img, body link').length") == 0


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(prefix="mak-init-page-") as home:
        browser = Browser(pathlib.Path(home))
        try:
            checks = CHECK + LIVE_CHECK + NOTIFY
            with running(checks, command=["python3", "-c", NOTIFIER], profile=PROFILE) as it:
                it.until_status("/readyz", 200)
                looks_well(browser, it.base + "/", "well", folder, 200)
                shows(browser, "running", "beat", "pulse", "itself", "<b>bold</b>", "libc.so.6", "not found",
                      "linux/", "seccomp", "landlock")
                (it.folder / "beat").unlink()
                it.until_status("/readyz", 503)
                looks_well(browser, it.base + "/health", "failing", folder, 503)
                shows(browser, "beat", "not there", "fail")
                dumped = subprocess.run(
                    ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home}/second",
                     "--dump-dom", it.base + "/"], capture_output=True, text=True, timeout=60).stdout
                assert "not there" in dumped and "</html>" in dumped, dumped
                ok("what the page shows is in the DOM, foreign text as text, and --dump-dom shows the same")
        finally:
            browser.close()


main()
