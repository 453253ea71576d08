"""The server: an event loop in a thread of its own, HTTP and WebRTC on it."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from mien.closing import Closing
from mien.errors import DeviceError, UsageError
from mien_streamer.webrtc.access import Access, is_loopback
from mien_streamer.webrtc.inlet import Inlet
from mien_streamer.webrtc.outlet import Outlet
from mien_streamer.webrtc.pages import page
from mien_streamer.webrtc.peers import PeerLimits, Peers
from mien_streamer.webrtc.tuning import tune
from mien_streamer.webrtc.whip import Signalling

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
DEFAULT_PORT = 8740
_CALL_S = 10.0
MOST_UPLOAD_BYTES = 40 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where a server listens and whom it lets in.

    Attributes:
        host: address to bind to; anything but this machine's own needs a token.
        port: 0 takes a free one.
        token: what clients must know.
        origins: further web origins whose pages may call.
        certificate, key: PEM files; with them the server speaks HTTPS.
        limits: how many may connect.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    origins: frozenset[str] = frozenset()
    certificate: Path | None = None
    key: Path | None = None
    limits: PeerLimits = field(default_factory=PeerLimits)

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.token:
            raise UsageError(
                f"{self.host} can be reached by others, so a token is needed",
                "add --token WORD, or leave --host out",
            )
        if not 0 <= self.port <= 65535:
            raise UsageError(f"there is no port {self.port}", "choose one from 1024 to 65535")


AddRoutes = Callable[[web.Application, "WebRtcServer"], None]


class WebRtcServer(Closing):
    """WHIP and WHEP, and whatever else is added, until :meth:`close`.

    Any thread may construct, use and close it. Construction returns when the server listens.

    Args:
        config: where and for whom.
        outlets: names of the streams that can be watched; the first is what ``/whep`` shows.
        add_routes: adds more to the application, in the server's thread, before it listens.
    """

    def __init__(
        self,
        config: ServerConfig | None = None,
        *,
        outlets: Sequence[str] = ("out",),
        add_routes: AddRoutes | None = None,
    ) -> None:
        self.config = config or ServerConfig()
        tune()
        self.loop = asyncio.new_event_loop()
        self.access = Access(
            token=self.config.token,
            origins=self.config.origins,
            loopback=is_loopback(self.config.host),
        )
        self.inlet = Inlet()
        self.outlets = {name: Outlet(name, self.loop) for name in outlets}
        self.peers = Peers(self.inlet, self.outlets, self.config.limits)
        self._add_routes = add_routes
        self._runner: web.AppRunner | None = None
        self.port = self.config.port
        self._thread = threading.Thread(target=self._run, name="mien-webrtc", daemon=True)
        self._thread.start()
        try:
            self.call(self._start())
        except OSError as error:
            self._stop_loop()
            where = f"{self.config.host}:{self.config.port}"
            raise DeviceError(
                f"cannot listen on {where}: {error.strerror or error}",
                "another program has this port; choose one with --port",
            ) from error
        except BaseException:
            self._stop_loop()
            raise

    @property
    def url(self) -> str:
        """Where the server answers."""
        host = self.config.host
        if host in ("0.0.0.0", "::"):
            host = "localhost"
        elif ":" in host:
            host = f"[{host}]"
        scheme = "https" if self.config.certificate is not None else "http"
        return f"{scheme}://{host}:{self.port}"

    def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine on the server's loop and waits for it; not from that loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_CALL_S)

    def close(self) -> None:
        """Hangs up on everybody and stops listening. Safe to call twice."""
        if self.loop.is_closed():
            return
        try:
            self.call(self._shut_down())
        except TimeoutError:
            logger.warning("the server does not end in time; its connections are cut")
        self._stop_loop()

    def _stop_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_CALL_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            self.loop.close()

    async def _start(self) -> None:
        application = web.Application(client_max_size=MOST_UPLOAD_BYTES)
        application.add_routes(Signalling(self.peers, self.access).routes())
        here = "mien_streamer.webrtc"
        application.add_routes(
            [
                web.get("/player", page(here, "player.html", self.access, embeddable=True)),
                web.get("/perform", page(here, "perform.html", self.access)),
            ]
        )
        if self._add_routes is not None:
            self._add_routes(application, self)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, self.config.host, self.config.port, ssl_context=self._tls()
        )
        await site.start()
        self.port = self._runner.addresses[0][1]

    def _tls(self) -> ssl.SSLContext | None:
        if self.config.certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.config.certificate, self.config.key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"the certificate {self.config.certificate} cannot be used: {error}",
                "give PEM files with --certificate and --key",
            ) from error
        return context

    async def _shut_down(self) -> None:
        await self.peers.close_all()
        if self._runner is not None:
            await self._runner.cleanup()
