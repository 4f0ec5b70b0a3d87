"""
Debian's Chromium without a screen, driven by the DevTools protocol: what a test needs to use a page as somebody would,
and to hear of everything that the page complains about.

L{Browser} is one process with a profile of its own. A L{Tab} is one page: it runs scripts, presses keys, waits for what
shall be seen, and keeps what has been written to the console, thrown, or blocked by a policy. C{--no-sandbox} is for
machines where tests run as root.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.interop.daemon import DEADLINE

PROGRAM = shutil.which("chromium")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--force-device-scale-factor=1",
    "--lang=en",
)

KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), " ": (32, " "), "ArrowDown": (40, "")}
"""Code and text of keys that are not characters."""


def missing() -> str | None:
    """Why no browser can be driven here, or None."""
    if PROGRAM is None:
        return "chromium is not installed: apt-get install chromium"
    try:
        import websockets.sync.client  # noqa: F401
    except ImportError:
        return "websockets is not installed: pip install websockets"
    return None


class NotSeen(Exception):
    """What a page should have shown was not there in time."""


class Browser:
    """One process of the browser."""

    def __init__(self, *flags: str) -> None:
        """
        Start it, and wait until it can be driven.

        @param flags: more of them.
        """
        assert PROGRAM is not None
        self._folder = Path(tempfile.mkdtemp(prefix="xmppd-chromium-"))
        argv = [PROGRAM, *FLAGS, *flags, f"--user-data-dir={self._folder}", "about:blank"]
        nothing = subprocess.DEVNULL
        self._process = subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
        self._number = 0
        self._answers: dict[int, Any] = {}
        self._tabs: dict[str, Tab] = {}
        try:
            self._socket = self._connected()
        except BaseException:
            self.close()
            raise

    def _connected(self) -> Any:
        from websockets.sync.client import connect

        said = self._folder / "DevToolsActivePort"
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until and self._process.poll() is None:
            lines = said.read_text().splitlines() if said.exists() else []
            if len(lines) >= 2:
                return connect(f"ws://127.0.0.1:{lines[0]}{lines[1]}", max_size=64 << 20, open_timeout=DEADLINE)
            time.sleep(0.05)
        raise NotSeen(f"chromium does not start (status {self._process.poll()})")

    def close(self) -> None:
        """End it, and remove what it has written."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(ProcessLookupError):  # its network service outlives it, and would write once more
            os.killpg(self._process.pid, signal.SIGKILL)
        for _ in range(50):
            shutil.rmtree(self._folder, ignore_errors=True)
            if not self._folder.exists():
                break
            time.sleep(0.02)

    def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        """Call a method of the protocol; answers its result."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        until = time.monotonic() + DEADLINE
        while number not in self._answers:
            self.listen(until - time.monotonic())
        answer = self._answers.pop(number)
        if "error" in answer:
            raise NotSeen(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def listen(self, seconds: float) -> bool:
        """Take one message; answers whether one came."""
        try:
            message = json.loads(self._socket.recv(timeout=max(seconds, 0)))
        except TimeoutError:
            if seconds > 1:
                raise NotSeen("the browser does not answer") from None
            return False
        if "id" in message:
            self._answers[message["id"]] = message
        elif message.get("sessionId") in self._tabs:
            self._tabs[message["sessionId"]].happened(message["method"], message["params"])
        return True

    def open(self, url: str, width: int = 1180, height: int = 760, dark: bool = False) -> Tab:
        """A new tab, with storage of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        return self.openIn(context, url, width, height, dark)

    def openIn(self, context: str, url: str, width: int = 1180, height: int = 760, dark: bool = False) -> Tab:
        """A new tab beside others."""
        target: str = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session, target, context)
        tab.prepare(width, height, dark)
        tab.go(url)
        return tab

    def adopt(self, session: str, target: str, context: str) -> Tab:
        """A frame of another process, that the browser has attached by itself."""
        tab = self._tabs[session] = Tab(self, session, target, context)
        return tab


class Tab:
    """
    One page.

    @ivar complaints: what was written to the console as an error or a warning, thrown, or blocked by a policy.
    @ivar frames: pages inside it that have processes of their own.
    """

    def __init__(self, browser: Browser, session: str, target: str, context: str) -> None:
        self.complaints: list[str] = []
        self.frames: list[Tab] = []
        self.context = context
        self._browser = browser
        self._session = session
        self._target = target

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol for this page."""
        return self._browser.call(method, self._session, **params)

    def prepare(self, width: int, height: int, dark: bool) -> None:
        """Listen to what it complains about; give it a size and a colour scheme."""
        for domain in ("Page", "Runtime", "Log", "Audits"):
            self.call(f"{domain}.enable")
        self.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
        self.resize(width, height)
        self.prefer("prefers-color-scheme", "dark" if dark else "light")

    def prefer(self, what: str, value: str) -> None:
        """Somebody's preference, as style sheets can ask for it."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": what, "value": value}])

    def resize(self, width: int, height: int) -> None:
        """Another size of the window."""
        values = {"deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, **values)

    def happened(self, method: str, params: Mapping[str, Any]) -> None:
        """Something that nobody has asked for."""
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(f"thrown: {details.get('exception', {}).get('description', details['text'])}")
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"log: {params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(f"console: {[each.get('value') for each in params['args']]}")
        elif method == "Audits.issueAdded" and params["issue"]["code"] == "ContentSecurityPolicyIssue":
            self.complaints.append(f"policy: {json.dumps(params['issue']['details'])}")
        elif method == "Target.attachedToTarget" and params["targetInfo"]["type"] == "iframe":
            self.frames.append(self._browser.adopt(params["sessionId"], params["targetInfo"]["targetId"], self.context))

    # --- what somebody does

    def go(self, url: str) -> None:
        """Load a page."""
        self.run("window.before = true")
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && !window.before")

    def reload(self) -> None:
        """Load the page again."""
        self.run("window.before = true")
        self.call("Page.reload")
        self.wait("document.readyState === 'complete' && !window.before")

    def close(self) -> None:
        """Close the tab, as by its cross."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def fill(self, field: str, text: str) -> None:
        """Write into a field, in place of what is there."""
        self.run(f"(() => {{ const e = {one(field)}; e.focus(); e.select?.(); }})()")
        self.call("Input.insertText", text=text)

    def click(self, what: str) -> None:
        """Click at the middle of something."""
        self.wait(f"{one(what)}?.getClientRects().length > 0")
        box = self.run(
            f"(() => {{ const e = {one(what)}; e.scrollIntoView({{block: 'nearest'}}); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, key: str, shift: bool = False) -> None:
        """Press a key."""
        code, text = KEYS[key]
        name = "Space" if key == " " else key
        values = {"key": key, "code": name, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **values, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def type(self, text: str) -> None:
        """Write where the focus is."""
        self.call("Input.insertText", text=text)

    # --- what somebody sees

    def run(self, script: str) -> Any:
        """The value of an expression in the page, waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise NotSeen(f"{script}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = DEADLINE / 2) -> Any:
        """Wait until an expression is true, and answer its value."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                value = self.run(script)
            except NotSeen:
                value = None  # another page is being loaded
            if value:
                return value
            self._browser.listen(0.05)
        text = self.run("document.body?.innerText") or ""
        raise NotSeen(f"{script}\nwhat is seen:\n{text[:3000]}\ncomplaints: {self.complaints}")

    def see(self, what: str, text: str) -> None:
        """Wait until something has a text in it."""
        self.wait(
            f"[...document.querySelectorAll({json.dumps(what)})].some((e) => e.getClientRects().length"
            f" && e.innerText.toLowerCase().includes({json.dumps(text.lower())}))"
        )

    def text(self, what: str) -> str:
        """What stands in something."""
        return str(self.run(f"{one(what)}.innerText"))

    def picture(self, file: Path) -> None:
        """A picture of what is seen, as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def frame(self, seconds: float = DEADLINE / 2) -> Tab:
        """The first frame with a process of its own."""
        until = time.monotonic() + seconds
        while not self.frames and time.monotonic() < until:
            self._browser.listen(0.1)
        frame = self.frames[0]
        for domain in ("Page", "Runtime", "Log", "Audits"):
            frame.call(f"{domain}.enable")
        return frame


def one(what: str) -> str:
    """The expression for the first element of a selector."""
    return f"document.querySelector({json.dumps(what)})"
