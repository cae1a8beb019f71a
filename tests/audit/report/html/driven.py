"""A browser that is told what to do through a pipe, by the Chrome DevTools Protocol: keys, and what is read out."""

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PATIENCE_S = 60
_KEYS = {"Tab": 9, "Enter": 13, " ": 32}


class Driven:
    """One page in a browser without a window."""

    def __init__(self, program: str, flags: Sequence[str], page: Path) -> None:
        """Start the browser and open the page."""
        to_child, self._to = os.pipe()
        self._from, from_child = os.pipe()
        # The browser reads orders from descriptor 3 and answers on 4.
        shell = f'exec "$0" "$@" 3<&{to_child} 4>&{from_child}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, program, *flags, "--remote-debugging-pipe", "about:blank"],
            pass_fds=(to_child, from_child), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_child)
        os.close(from_child)
        self._number = 0
        self._unread = b""
        self._session: dict[str, str] = {}
        target = self.order("Target.createTarget", url=page.as_uri())["targetId"]
        attached = self.order("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        # The blank page before it is complete, too.
        self.wait_for(f"location.href === {json.dumps(page.as_uri())} && document.readyState === 'complete'")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(_PATIENCE_S)
        os.close(self._to)
        os.close(self._from)

    def order(self, method: str, **given: Any) -> Any:
        """Give an order and return its answer; events that come before it are dropped."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": given, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> bytes:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], _PATIENCE_S)
            assert ready, "the browser does not answer"
            read = os.read(self._from, 1 << 16)
            assert read, "the browser is gone"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return message

    def value(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        return self.order("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression holds in the page."""
        end = time.monotonic() + _PATIENCE_S
        while not self.value(expression):
            assert time.monotonic() < end, f"never: {expression}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"Enter": "\r", " ": " "}.get(key)
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": _KEYS[key]}
        self.order("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.order("Input.dispatchKeyEvent", type="keyUp", **common)

    def write(self, text: str) -> None:
        """Type a text where the focus is."""
        self.order("Input.insertText", text=text)

    def read_out(self) -> list[tuple[str, str]]:
        """Return role and name of everything that a screen reader is told of, in order."""
        nodes = self.order("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", "").strip())
            for node in nodes
            if not node.get("ignored")
        ]
