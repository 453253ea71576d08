"""Puts the studio together: server, stage, pages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

from mien.closing import Closing
from mien_streamer.studio.commands import Commands
from mien_streamer.studio.gallery import Gallery
from mien_streamer.studio.http import StudioPages
from mien_streamer.studio.stage import Stage
from mien_streamer.studio.stage_config import StageConfig, StagePipeline
from mien_streamer.webrtc.inlet import Inlet
from mien_streamer.webrtc.server import ServerConfig, WebRtcServer

MakeConfig = Callable[[Inlet], StageConfig]


class Studio(Closing):
    """A running studio. The caller keeps the pipeline and closes it afterwards.

    Args:
        server: where it listens.
        pipeline: what draws.
        gallery: the personas.
        set_up: the stage's configuration; gets the inlet that WebRTC sources read from.

    Attributes:
        stage: what is on; shows are hooked in here (``stage.show_part``).
        commands: what the page and scripts may ask for; shows add theirs.
    """

    def __init__(
        self,
        server: ServerConfig,
        pipeline: StagePipeline,
        gallery: Gallery,
        set_up: MakeConfig,
    ) -> None:
        self._made: dict[str, Any] = {}
        self._pipeline, self._gallery, self._set_up = pipeline, gallery, set_up
        self.server = WebRtcServer(server, outlets=("out", "in"), add_routes=self._build)
        self.stage: Stage = self._made["stage"]
        self.commands: Commands = self._made["commands"]
        self.commands.add("stop_fitting", lambda values: gallery.fitting.stop())
        gallery.fitting.on_done = self._has_latent

    def _build(self, application: web.Application, server: WebRtcServer) -> None:
        stage = Stage(self._set_up(server.inlet), self._pipeline, server.inlet, server.outlets)
        commands = Commands(stage)
        self._made = {"stage": stage, "commands": commands}
        StudioPages(stage, commands, self._gallery, server.access, server.peers).add_to(application)

    @property
    def url(self) -> str:
        """The address to open, with the token where one is needed."""
        token = self.server.config.token
        return f"{self.server.url}/" + (f"#token={token}" if token else "")

    def run(self, stop: threading.Event) -> None:
        """Runs the stage until ``stop`` is set."""
        self.stage.run(stop)

    def _has_latent(self, name: str) -> None:
        self._gallery.refresh()
        self.stage.renew(name)

    def close(self) -> None:
        """Hangs up and stops listening; a latent that is being looked for is given up."""
        self._gallery.fitting.stop()
        self.server.close()
