"""A client, over a transport that answers as it is told."""

import threading
from collections.abc import Callable
from typing import Any

import httpx

from sources.eduframe.http.client import Client
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.limits.traffic import Traffic

TOKEN = "sEcReT-token-0123456789"
BASE = "https://api.example.com/api/v1"
Handler = Callable[[httpx.Request], httpx.Response]


class Api:
    """A made-up API: gives the answers in its script, and the last one for ever."""

    def __init__(self, *script: httpx.Response | Exception, attempts: int = 3) -> None:
        self.script = list(script)
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []
        self.waited: list[float] = []
        self.now = 0.0
        self.traffic = Traffic()
        self.limiter = Limiter(1000, 10, clock=lambda: self.now, wait=self._wait)
        self.client = Client(
            BASE,
            TOKEN,
            self.limiter,
            transport=httpx.MockTransport(self._answer),
            attempts=attempts,
            sleep=self.slept.append,
        )

    def _wait(self, changed: threading.Condition, seconds: float) -> None:
        self.now += seconds

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get(self, url: str = "/labels", **options: Any) -> Any:
        return self.client.get(url, traffic=self.traffic, **options)


def page(rows: Any, link: str | None = None, **headers: str) -> httpx.Response:
    if link:
        headers["Link"] = f'<{link}>; rel="next"'
    return httpx.Response(200, json=rows, headers=headers)


def answer(status: int, content: bytes = b"", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=content, headers=named)
