"""Who may talk to the server: token, origin, rate."""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import web

_MOST_CALLERS = 1024


def is_loopback(host: str) -> bool:
    """Whether a host to bind to is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(slots=True, kw_only=True)
class Access:
    """The rules of one server.

    Attributes:
        token: what a client must know; None where only this machine can reach the server.
        origins: further web origins whose pages may call, such as ``https://stage.example``.
        loopback: bound to this machine alone: only its own names count as the server's, so
            that no other site's name can be made to point here (DNS rebinding).
        posts_per_s: new connections, uploads and the like that one address may ask for.
        burst: how many of them at once.
    """

    token: str | None = None
    origins: frozenset[str] = frozenset()
    loopback: bool = True
    posts_per_s: float = 5.0
    burst: int = 20
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def knows_token(self, request: web.Request, *, in_query: bool = False) -> bool:
        """Whether the request carries the token: as a bearer, as a cookie-free query where allowed.

        Args:
            request: the request.
            in_query: also take ``?token=``, for pages and WebSockets, which cannot set headers.
        """
        if self.token is None:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), self.token):
            return True
        return in_query and _same(request.query.get("token", ""), self.token)

    def allowed_origin(self, request: web.Request) -> str | None:
        """The Origin header if its page may call; "" if there is none; None if it may not."""
        origin = request.headers.get("Origin", "")
        if not origin:
            return ""
        if origin in self.origins:
            return origin
        return origin if urlsplit(origin).netloc == request.host else None

    def host_is_ours(self, request: web.Request) -> bool:
        """Whether the Host header names this server."""
        if not self.loopback:
            return True
        return is_loopback(urlsplit(f"//{request.host}").hostname or "")

    def may_post(self, caller: str) -> bool:
        """Counts a costly request; False when there were too many (a token bucket)."""
        now = self.clock()
        left, then = self._buckets.pop(caller, (float(self.burst), now))
        left = min(self.burst, left + (now - then) * self.posts_per_s)
        allowed = left >= 1.0
        self._buckets[caller] = (left - 1.0 if allowed else left, now)
        while len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return allowed


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
