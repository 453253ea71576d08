"""Self-contained pages: nothing in them is fetched from anywhere else."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import web

from mien_streamer.webrtc.access import Access

PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def page(package: str, name: str, access: Access, *, embeddable: bool = False) -> PageHandler:
    """A handler that serves a page which ships with mien.

    The page holds no secret and may be read without the token; its script is let through by
    a nonce made for each answer, and nothing else is.

    Args:
        package: package whose folder ``pages`` holds it.
        name: file in that folder.
        access: whose names count.
        embeddable: other pages may show it in a frame.
    """
    text = files(package).joinpath("pages", name).read_text(encoding="utf-8")

    async def answer(request: web.Request) -> web.StreamResponse:
        if not access.host_is_ours(request):
            return web.Response(status=403, text="this name does not belong to mien\n")
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; "
            "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'"
        )
        if not embeddable:
            policy += "; frame-ancestors 'none'"
        headers = {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        body = text.replace("{{nonce}}", nonce)
        return web.Response(text=body, content_type="text/html", headers=headers)

    return answer
