"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web

from mien_streamer.webrtc.access import Access
from mien_streamer.webrtc.outlet import Outlet
from mien_streamer.webrtc.peers import Busy, Peer, Peers, Role
from mien_streamer.webrtc.sdp import (
    MOST_FRAGMENT_BYTES,
    MOST_OFFER_BYTES,
    Fragment,
    SdpError,
    read_fragment,
    read_offer,
)

logger = logging.getLogger(__name__)

Kind = Literal["whip", "whep"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
_RETRY_S = "2"
_METHODS = "OPTIONS, GET, HEAD, POST, PATCH, DELETE"
_EXPOSED = "Location, ETag, Link, Retry-After, Accept-Post, Accept-Patch"


class Signalling:
    """The endpoints of one server.

    ``/whip`` takes the performer; ``/whep`` shows the output and ``/whep/NAME`` another
    outlet. Sessions live under ``/whip/sessions/KEY`` and ``/whep/sessions/KEY``.
    """

    def __init__(self, peers: Peers, access: Access) -> None:
        self._peers = peers
        self._access = access

    def routes(self) -> list[web.RouteDef]:
        """What to add to an application."""
        routes: list[web.RouteDef] = []
        for path, kind in (("/whip", "whip"), ("/whep", "whep"), ("/whep/{outlet:[a-z]+}", "whep")):
            routes.append(web.route("*", path, self._guarded(self._endpoint(kind))))
        for kind in ("whip", "whep"):
            handler = self._guarded(self._session(kind))
            routes.append(web.route("*", f"/{kind}/sessions/{{key}}", handler))
        return routes

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            origin = self._access.allowed_origin(request)
            if origin is None or not self._access.host_is_ours(request):
                return _problem(403, "this page may not talk to the server")
            if request.method != "OPTIONS" and not self._access.knows_token(request):
                response: web.StreamResponse = _problem(401, "a bearer token is needed")
                response.headers["WWW-Authenticate"] = 'Bearer realm="mien"'
            else:
                response = await _caught(handler, request)
            if origin:
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = _EXPOSED
                response.headers["Vary"] = "Origin"
            return response

        return answer

    def _endpoint(self, kind: str) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            outlet = self._outlet(request)
            if outlet is None:
                return _problem(404, "there is no such stream")
            if request.method == "OPTIONS":
                return self._options({"Accept-Post": SDP})
            if request.method in ("GET", "HEAD"):
                return web.Response(status=204)
            if request.method != "POST":
                return _refused(_METHODS)
            if not self._access.may_post(request.remote or ""):
                return _problem(429, "too many requests", {"Retry-After": _RETRY_S})
            text = await _body(request, SDP, MOST_OFFER_BYTES)
            offer = read_offer(text, sends=kind == "whip")
            if kind == "whip":
                peer, answer_sdp = await self._peers.publish(offer)
            elif not outlet.live:
                return _problem(409, "nothing is live yet", {"Retry-After": _RETRY_S})
            else:
                peer, answer_sdp = await self._peers.watch(offer, outlet)
            headers = {
                "Location": f"/{kind}/sessions/{peer.key}",
                "ETag": _quoted(peer.etag),
                "Accept-Patch": FRAGMENT,
            }
            return self._with_links(
                web.Response(
                    status=201, body=answer_sdp.encode(), content_type=SDP, headers=headers
                )
            )

        return answer

    def _session(self, kind: str) -> Handler:
        role: Role = "performer" if kind == "whip" else "viewer"

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.method == "OPTIONS":
                return self._options({"Accept-Patch": FRAGMENT})
            peer = self._peers.find(request.match_info["key"], role)
            if peer is None:
                return _problem(404, "there is no such session")
            if request.method in ("GET", "HEAD"):
                return web.Response(status=204)
            if request.method == "DELETE":
                await self._peers.close(peer)
                return web.Response(status=200)
            if request.method != "PATCH":
                return _refused("OPTIONS, GET, HEAD, PATCH, DELETE")
            return await self._patch(request, peer)

        return answer

    async def _patch(self, request: web.Request, peer: Peer) -> web.StreamResponse:
        text = await _body(request, FRAGMENT, MOST_FRAGMENT_BYTES)
        condition = request.headers.get("If-Match")
        if condition is None:
            return _problem(428, "If-Match is needed")
        fragment = read_fragment(text)
        if condition.strip() == "*":
            return await self._restart(peer, fragment)
        if condition.strip() != _quoted(peer.etag):
            return _problem(412, "that ICE session is over")
        if fragment.username and fragment.username != peer.username:
            return _problem(422, "new ICE credentials need If-Match: *")
        await self._peers.trickle(peer, fragment)
        return web.Response(status=204)

    async def _restart(self, peer: Peer, fragment: Fragment) -> web.StreamResponse:
        if not fragment.username or not fragment.password:
            return _problem(422, "an ICE restart needs ice-ufrag and ice-pwd")
        text = await self._peers.restart(peer, fragment)
        return web.Response(
            status=200,
            body=text.encode(),
            content_type=FRAGMENT,
            headers={"ETag": _quoted(peer.etag)},
        )

    def _outlet(self, request: web.Request) -> Outlet | None:
        return self._peers.outlets.get(request.match_info.get("outlet", "out"))

    def _options(self, extra: dict[str, str]) -> web.Response:
        headers = {
            "Allow": _METHODS,
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
            "Access-Control-Max-Age": "600",
            **extra,
        }
        return self._with_links(web.Response(status=204, headers=headers))

    def _with_links(self, response: web.Response) -> web.Response:
        limits = self._peers.limits
        for url in limits.ice_servers:
            link = f'<{url}>; rel="ice-server"'
            if url.startswith("turn") and limits.ice_username:
                link += (
                    f'; username="{limits.ice_username}"; credential="{limits.ice_password}"; '
                    'credential-type="password"'
                )
            response.headers.add("Link", link)
        return response


async def _caught(handler: Handler, request: web.Request) -> web.StreamResponse:
    try:
        return await handler(request)
    except SdpError as error:
        return _problem(error.status, str(error))
    except Busy as busy:
        return _problem(503, str(busy), {"Retry-After": str(busy.retry_s)})
    except web.HTTPException as error:
        return _problem(error.status, error.reason)


async def _body(request: web.Request, kind: str, most_bytes: int) -> str:
    if request.content_type != kind:
        raise SdpError(415, f"expected {kind}, got {request.content_type}")
    if request.content_length is not None and request.content_length > most_bytes:
        raise SdpError(413, f"more than {most_bytes} bytes")
    data = bytearray()
    async for piece in request.content.iter_chunked(4096):
        data += piece
        if len(data) > most_bytes:
            raise SdpError(413, f"more than {most_bytes} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SdpError(400, "the body is not UTF-8") from error


def _quoted(etag: str) -> str:
    return f'"{etag}"'


def _refused(allowed: str) -> web.Response:
    return _problem(405, "this method is not for here", {"Allow": allowed})


def _problem(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    logger.debug("answered %d: %s", status, text)
    return web.Response(status=status, text=text + "\n", headers=headers)
