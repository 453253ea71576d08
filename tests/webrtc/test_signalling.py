"""WHIP (RFC 9725) and WHEP, requirement by requirement."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from mien.errors import UsageError
from mien_streamer.webrtc.peers import PeerLimits
from mien_streamer.webrtc.tuning import untune
from tests.webrtc.conftest import (
    FRAGMENT,
    SDP,
    Caller,
    Painted,
    ServerConfig,
    WebRtcServer,
    http_to,
    offer_of,
    receive_offer,
    send_offer,
    until,
)


async def status_of(response: aiohttp.ClientResponse) -> tuple[int, str]:
    return response.status, await response.text()


def test_a_performer_is_created_found_and_deleted(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            answer = await http.post("/whip", data=await send_offer(), headers=SDP)
            text = await answer.text()
            assert answer.status == 201
            assert answer.headers["Content-Type"] == "application/sdp"
            assert answer.headers["Location"].startswith("/whip/sessions/")
            etag = answer.headers["ETag"]
            assert etag.startswith('"')
            assert not etag.startswith("W/")
            assert "a=candidate:" in text
            assert "a=end-of-candidates" in text
            assert "a=recvonly" in text
            assert "x-google-start-bitrate" in text
            where = answer.headers["Location"]
            assert (await http.get(where)).status == 204
            # DELETE takes no condition.
            gone = await http.delete(where, headers={"If-Match": '"another"'})
            assert gone.status == 200
            assert (await http.delete(where)).status == 404

    asyncio.run(scenario())


def test_get_and_head_of_the_endpoints_are_empty_successes(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            for path in ("/whip", "/whep"):
                for method in ("GET", "HEAD"):
                    answer = await http.request(method, path)
                    assert answer.status == 204
                    assert await answer.read() == b""
                assert (await http.put(path)).status == 405

    asyncio.run(scenario())


def test_options_tells_what_may_be_posted_to_any_page_of_ours() -> None:
    limits = PeerLimits(
        ice_servers=("stun:stun.example:3478", "turn:turn.example"),
        ice_username="u",
        ice_password="p",
    )
    config = ServerConfig(
        port=0,
        token="open sesame",
        origins=frozenset({"https://stage.example"}),
        limits=limits,
    )

    async def scenario(running: WebRtcServer) -> None:
        async with http_to(running) as http:
            answer = await http.options("/whip", headers={"Origin": "https://stage.example"})
            assert answer.status == 204  # a preflight carries no token
            assert answer.headers["Accept-Post"] == "application/sdp"
            assert answer.headers["Access-Control-Allow-Origin"] == "https://stage.example"
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
            for name in ("Location", "ETag", "Link"):
                assert name in answer.headers["Access-Control-Expose-Headers"]
            links = answer.headers.getall("Link")
            assert links[0] == '<stun:stun.example:3478>; rel="ice-server"'
            assert 'credential="p"' in links[1]

    with WebRtcServer(config) as running:
        asyncio.run(scenario(running))
    untune()


def test_a_token_is_asked_for_and_compared() -> None:
    async def scenario(running: WebRtcServer) -> None:
        offer = await send_offer()
        async with http_to(running) as http:
            bare = await http.post("/whip", data=offer, headers=SDP)
            assert bare.status == 401
            assert bare.headers["WWW-Authenticate"].startswith("Bearer")
            for given in ("Bearer wrong", "Basic open sesame", "Bearer", "Bearer open  sesame"):
                headers = {**SDP, "Authorization": given}
                assert (await http.post("/whip", data=offer, headers=headers)).status == 401
            # A query is for pages; endpoints take the header only.
            query = await http.post("/whip?token=open sesame", data=offer, headers=SDP)
            assert query.status == 401
            headers = {**SDP, "Authorization": "Bearer open sesame"}
            right = await http.post("/whip", data=offer, headers=headers)
            assert right.status == 201
            assert (await http.delete(right.headers["Location"])).status == 401
            gone = await http.delete(right.headers["Location"], headers=headers)
            assert gone.status == 200

    with WebRtcServer(ServerConfig(port=0, token="open sesame")) as running:
        asyncio.run(scenario(running))
    untune()


def test_other_pages_and_other_names_are_turned_away(server: WebRtcServer) -> None:
    async def scenario() -> None:
        offer = await send_offer()
        async with http_to(server) as http:
            evil = {**SDP, "Origin": "https://evil.example"}
            assert (await http.post("/whip", data=offer, headers=evil)).status == 403
            assert (await http.options("/whip", headers=evil)).status == 403
            rebound = {**SDP, "Host": "evil.example"}
            assert (await http.post("/whip", data=offer, headers=rebound)).status == 403
            own = {**SDP, "Origin": server.url}
            answer = await http.post("/whip", data=offer, headers=own)
            assert answer.status == 201
            assert answer.headers["Access-Control-Allow-Origin"] == server.url

    asyncio.run(scenario())


def without_video(offer: str) -> str:
    return offer.replace("m=video", "m=audio").replace("VP8", "PCMU").replace("H264", "PCMA")


def with_foreign_codecs(offer: str) -> str:
    return offer.replace("VP8/90000", "AV2/90000").replace("H264/90000", "VVC/90000")


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda offer: "", 400),
        (lambda offer: "hello", 400),
        (lambda offer: "v=0\r\nm=video nonsense\r\n", 400),
        (lambda offer: "v=0\r\n" + "\x00" * 100, 422),
        (lambda offer: offer[: len(offer) // 3], 400),
        (lambda offer: offer.replace("a=ice-ufrag", "a=x"), 400),
        (lambda offer: offer.replace("a=fingerprint", "a=x"), 400),
        (without_video, 422),
        (with_foreign_codecs, 422),
        (lambda offer: offer.replace("a=sendrecv", "a=recvonly"), 422),
        (lambda offer: offer + "a=x:" + "y" * 70_000 + "\r\n", 413),
        (lambda offer: offer.encode() + b"\xff\xfe", 400),
    ],
)
def test_bad_offers_get_the_right_answer(server: WebRtcServer, spoil: object, status: int) -> None:
    async def scenario() -> None:
        offer = await send_offer()
        async with http_to(server) as http:
            body = spoil(offer)  # type: ignore[operator]
            answer = await http.post("/whip", data=body, headers=SDP)
            assert await status_of(answer) == (status, await answer.text())
            # Nobody is left behind, and the next one gets in.
            assert (await http.post("/whip", data=offer, headers=SDP)).status == 201

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/sdpfrag"])
def test_other_content_types_are_refused(server: WebRtcServer, kind: str) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            headers = {"Content-Type": kind}
            answer = await http.post("/whip", data=await send_offer(), headers=headers)
            assert answer.status == 415

    asyncio.run(scenario())


def test_a_second_performer_is_asked_to_wait(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            first = await http.post("/whip", data=await send_offer(), headers=SDP)
            second = await http.post("/whip", data=await send_offer(), headers=SDP)
            assert (first.status, second.status) == (201, 503)
            assert int(second.headers["Retry-After"]) >= 1
            await http.delete(first.headers["Location"])
            third = await http.post("/whip", data=await send_offer(), headers=SDP)
            assert third.status == 201

    asyncio.run(scenario())


def test_viewers_wait_until_something_is_live(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            answer = await http.post("/whep", data=await receive_offer(), headers=SDP)
            assert answer.status == 409
            assert "Retry-After" in answer.headers
            answer = await http.post("/whep/nowhere", data=await receive_offer(), headers=SDP)
            assert answer.status == 404

    asyncio.run(scenario())


def test_viewers_get_a_send_only_answer_up_to_the_limit() -> None:
    from tests.webrtc.conftest import grey_frame

    async def scenario(running: WebRtcServer) -> None:
        async with http_to(running) as http:
            for expected in (201, 201, 503):
                answer = await http.post("/whep", data=await receive_offer(), headers=SDP)
                assert answer.status == expected
                if expected == 201:
                    assert "a=sendonly" in await answer.text()

    with WebRtcServer(ServerConfig(port=0, limits=PeerLimits(viewers=2))) as running:
        running.outlets["out"].write(grey_frame(0))
        asyncio.run(scenario(running))
    untune()


def fragment(username: str, password: str = "", *candidates: str) -> str:
    lines = [f"a=ice-ufrag:{username}"] if username else []
    lines += [f"a=ice-pwd:{password}"] if password else []
    lines += ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:0"]
    return "\r\n".join([*lines, *(f"a={candidate}" for candidate in candidates), ""])


def test_patch_wants_the_right_condition_and_content(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            offer = await send_offer()
            username = next(x for x in offer.split("\r\n") if x.startswith("a=ice-ufrag:"))[12:]
            made = await http.post("/whip", data=offer, headers=SDP)
            where, etag = made.headers["Location"], made.headers["ETag"]
            candidate = "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"
            good = fragment(username, "", candidate)

            async def patch(body: str, **headers: str) -> int:
                headers.setdefault("Content-Type", FRAGMENT)
                sent = {name.replace("_", "-"): value for name, value in headers.items()}
                sent = {"Content-Type": sent.pop("Content-Type"), **sent}
                return (await http.patch(where, data=body, headers=sent)).status

            assert await patch(good) == 428
            assert await patch(good, If_Match='"stale"') == 412
            assert await patch(good, If_Match=etag) == 204
            assert await patch("a=nothing\r\n", If_Match=etag) == 400
            assert await patch(fragment(username, "", "candidate:x"), If_Match=etag) == 400
            assert await patch("a=candidate:1\r\n" * 2000, If_Match=etag) == 413
            many = fragment(username, "", *[candidate] * 80)
            assert await patch(many, If_Match=etag) == 400
            assert await patch(fragment("other", "", candidate), If_Match=etag) == 422
            assert await patch(fragment(username, ""), If_Match="*") == 422
            answer = await http.patch(where, data=good, headers={"Content-Type": "text/plain"})
            assert answer.status == 415
            options = await http.options(where)
            assert options.headers["Accept-Patch"] == FRAGMENT
            assert (await http.post(where)).status == 405
            missing = await http.patch("/whip/sessions/none", data=good)
            assert missing.status == 404

    asyncio.run(scenario())


def test_candidates_may_come_later(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            caller = Caller(http)
            caller.peer.addTrack(Painted())
            offer = await offer_of(caller.peer)
            lines = offer.split("\r\n")
            bare = [x for x in lines if not x.startswith(("a=candidate", "a=end-of-cand"))]
            made = await http.post("/whip", data="\r\n".join(bare), headers=SDP)
            assert made.status == 201
            caller.location = made.headers["Location"]
            from aiortc import RTCSessionDescription

            await caller.peer.setRemoteDescription(
                RTCSessionDescription(await made.text(), "answer")
            )
            candidates = [x[2:] for x in lines if x.startswith("a=candidate")]
            username = next(x for x in lines if x.startswith("a=ice-ufrag:"))[12:]
            body = fragment(username, "", *candidates) + "a=end-of-candidates\r\n"
            headers = {"Content-Type": FRAGMENT, "If-Match": made.headers["ETag"]}
            assert (await http.patch(caller.location, data=body, headers=headers)).status == 204
            await until(lambda: server.inlet.pictures > 3)
            await caller.leave()

    asyncio.run(scenario())


def test_ice_restarts_while_the_pictures_go_on(server: WebRtcServer) -> None:
    from aiortc.rtcicetransport import candidate_to_aioice

    from mien_streamer.webrtc.sdp import read_fragment, write_fragment
    from mien_streamer.webrtc.tuning import add_restarted_candidate, restart_ice

    async def scenario() -> None:
        async with http_to(server) as http:
            caller = await Caller(http).publish(Painted())
            await until(lambda: server.inlet.pictures > 3)
            ice = caller.peer.getTransceivers()[0].sender.transport.transport._connection
            before = ice._nominated[1]
            old = (ice.local_username, ice.remote_username)
            restart_ice(ice, "unknown", "unknown")
            headers = {"Content-Type": FRAGMENT, "If-Match": "*"}
            body = write_fragment(caller.peer)
            answer = await http.patch(caller.location, data=body, headers=headers)
            assert answer.status == 200
            assert answer.headers["Content-Type"] == FRAGMENT
            assert answer.headers["ETag"] != caller.etag
            theirs = read_fragment(await answer.text())
            ice.remote_username, ice.remote_password = theirs.username, theirs.password
            assert (ice.local_username, ice.remote_username) != old
            for candidate in theirs.candidates:
                add_restarted_candidate(ice, candidate_to_aioice(candidate))
            await until(lambda: ice._nominated[1] is not before)
            seen = server.inlet.pictures
            await until(lambda: server.inlet.pictures > seen + 10)
            # The old generation's name is no longer good.
            stale = {"Content-Type": FRAGMENT, "If-Match": caller.etag}
            assert (await http.patch(caller.location, data=body, headers=stale)).status == 412
            await caller.leave()

    asyncio.run(scenario())


def test_floods_are_slowed_down(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            codes = [(await http.post("/whip", data="x", headers=SDP)).status for _ in range(40)]
            assert codes[0] == 400
            assert codes[-1] == 429

    asyncio.run(scenario())


def test_other_hosts_need_a_token() -> None:
    with pytest.raises(UsageError, match="token"):
        ServerConfig(host="0.0.0.0")
    assert ServerConfig(host="0.0.0.0", token="word").token == "word"


def test_a_port_in_use_is_said_so(server: WebRtcServer) -> None:
    from mien.errors import DeviceError

    with pytest.raises(DeviceError, match="cannot listen"):
        WebRtcServer(ServerConfig(port=server.port))
