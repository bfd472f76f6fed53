"""Chromium without a window: pages as a person has them. It is driven over its DevTools protocol, with no driver, library or
port in between (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.support.patience import PATIENCE

PROGRAM = "/usr/bin/chromium-headless-shell"


@attrs.define
class Page:
    """A page of a browser. ``requests`` are the addresses that it has asked for, ``errors`` what its console says."""

    to: int
    answers: Iterator[Mapping[str, Any]]
    session: str = ""
    last: int = 0
    requests: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)

    def call(self, method: str, **parameters: object) -> Any:
        """The result of a method of the protocol."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        for answer in self.answers:
            self._heard(answer)
            if answer.get("id") == self.last:
                assert "error" not in answer, answer
                return answer["result"]
        raise AssertionError("the browser has gone")

    def _heard(self, answer: Mapping[str, Any]) -> None:
        match answer.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            case "Log.entryAdded":
                self.errors.append(answer["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(answer["params"]["exceptionDetails"]))

    def open(self, file: Path) -> None:
        """Go to a file, until all of it is there."""
        self.call("Page.navigate", url=file.absolute().as_uri())
        self.wait("document.readyState == 'complete'")

    def ask(self, script: str) -> Any:
        """What an expression of the page's comes to."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression of the page's is true."""
        end = time.monotonic() + PATIENCE
        while not self.ask(script):
            assert time.monotonic() < end, script
            time.sleep(0.05)

    def size(self, width: int, height: int) -> None:
        """Have a screen of so many pixels; one that is narrow is a phone's."""
        narrow = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=narrow)

    def colours(self, scheme: str) -> None:
        """Have a person who prefers ``light`` or ``dark``."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def click(self, selector: str) -> None:
        """Press the mouse on the first element of a selector."""
        middle = "(box => [box.x + box.width / 2, box.y + box.height / 2])"
        x, y = self.ask(f"{middle}(document.querySelector({selector!r}).getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type text where the keyboard is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press one key; the text of a letter, or of Enter, goes with it."""
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def shoot(self, file: Path) -> None:
        """Write what is on the screen to a PNG file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


def _messages(source: int) -> Iterator[Mapping[str, Any]]:
    rest = b""
    while data := os.read(source, 1 << 16):
        *whole, rest = (rest + data).split(b"\0")
        yield from map(json.loads, whole)


@contextmanager
def browser() -> Iterator[Page]:
    """A page of a browser of its own, which ends with the block."""
    theirs, to = os.pipe()
    source, back = os.pipe()
    options = [
        "--remote-debugging-pipe",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The protocol's descriptors are 3 and 4, which either end may have here.
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs, back)]
        script = f'exec "$@" 3<&{high[0]} 4>&{high[1]}'
        command = ["/bin/bash", "-c", script, "sh", PROGRAM, *options, f"--user-data-dir={profile}", "about:blank"]
        child = subprocess.Popen(command, pass_fds=high, stderr=subprocess.DEVNULL)
        for end in (theirs, back, *high):
            os.close(end)
        page = Page(to, _messages(source))
        try:
            target = next(item for item in page.call("Target.getTargets")["targetInfos"] if item["type"] == "page")
            page.session = page.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime", "Log"):
                page.call(f"{domain}.enable")
            yield page
        finally:
            page.session = ""
            page.call("Browser.close")
            child.wait(PATIENCE)
            os.close(to)
            os.close(source)
