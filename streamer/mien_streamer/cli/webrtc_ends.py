"""WebRTC as the source or the sink of ``mien live``; one server for both."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mien_streamer import webrtc
from mien_streamer.cli.console import say
from mien_streamer.cli.server_options import choose_token
from mien_streamer.sinks import Sink
from mien_streamer.sources import Source

if TYPE_CHECKING:
    from mien_streamer.webrtc.server import WebRtcServer

WEBRTC = "webrtc"


class WebRtcEnds:
    """Opens a server when the source or the sink is ``webrtc``, and closes it at the end."""

    def __init__(
        self,
        source: str,
        sink: str,
        *,
        host: str,
        port: int,
        token: str | None,
        certificate: Path | None,
        key: Path | None,
    ) -> None:
        self._source, self._sink = source == WEBRTC, sink == WEBRTC
        self._server: WebRtcServer | None = None
        if not (self._source or self._sink):
            return
        webrtc.require()
        from mien_streamer.webrtc.server import ServerConfig, WebRtcServer

        config = ServerConfig(
            host=host,
            port=port,
            token=choose_token(host, token, encrypted=certificate is not None),
            certificate=certificate,
            key=key,
        )
        self._server = WebRtcServer(config)
        word = f"#token={config.token}" if config.token else ""
        url = self._server.url
        if self._source:
            say(f"perform at {url}/perform{word}, or send by WHIP to {url}/whip")
        if self._sink:
            say(f"watch at {url}/player{word}, or by WHEP from {url}/whep")

    def open_source(self, size: tuple[int, int]) -> Source | None:
        """The performer's pictures, fitted into (width, height); None with another source."""
        if self._server is None or not self._source:
            return None
        from mien_streamer.webrtc.ends import WebRtcSource

        return WebRtcSource(self._server.inlet, size=size)

    def open_sink(self) -> Sink | None:
        """The viewers; None if pictures go elsewhere."""
        if self._server is None or not self._sink:
            return None
        from mien_streamer.webrtc.ends import WebRtcSink

        return WebRtcSink(self._server.outlets["out"], self._server.inlet.video_took)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
