"""A publisher that nobody here wrote: FFmpeg's WHIP muxer, as it lies in PyAV."""

from __future__ import annotations

import asyncio
import datetime
import subprocess
import sys
import threading
from importlib.resources import as_file, files
from pathlib import Path

import av
import numpy as np
import pytest

from mien.config import PipelineConfig
from mien.perception import FaceDescriptor, FaceTracker
from mien.personas.library import Library
from mien.pipeline import Pipeline
from mien.types import U8Array
from mien_streamer.loop import run_live
from mien_streamer.webrtc.ends import WebRtcSink, WebRtcSource
from tests.webrtc.conftest import Caller, WebRtcServer, http_to, until

# In a process of its own: it is blocking C code with threads of its own.
PUBLISH = """
import sys, time
from fractions import Fraction
import av, numpy as np
url, clip, certificate, key = sys.argv[1:]
source = av.open(clip)
sink = av.open(url, "w", format="whip", options={"cert_file": certificate, "key_file": key})
video = sink.add_stream("libx264", rate=30, options={"preset": "ultrafast",
    "tune": "zerolatency", "profile": "baseline", "bf": "0", "g": "30"})
video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
audio = sink.add_stream("libopus", rate=48000)
audio.layout = "stereo"
start, sounds = time.time(), 0
for index, picture in enumerate(source.decode(video=0)):
    small = picture.reformat(640, 360, "yuv420p")
    small.pts, small.time_base = index, Fraction(1, 30)
    for packet in video.encode(small):
        sink.mux(packet)
    while sounds < (index + 1) * 1600:
        noise = np.random.default_rng(sounds).integers(-3000, 3000, (1, 1920), np.int16)
        sound = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
        sound.sample_rate, sound.pts, sound.time_base = 48000, sounds, Fraction(1, 48000)
        sounds += 960
        for packet in audio.encode(sound):
            sink.mux(packet)
    time.sleep(max(0.0, start + index / 30 - time.time()))
sink.close()
"""


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A P-256 pair: the one that FFmpeg makes up itself is refused by OpenSSL 4."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.mark.slow
@pytest.mark.skipif("whip" not in av.formats_available, reason="this FFmpeg has no WHIP muxer")
def test_ffmpeg_publishes_by_whip_and_a_whep_viewer_sees_the_persona(
    server: WebRtcServer, tmp_path: Path
) -> None:
    persona = Library(tmp_path).resolve("ada")
    certificate, key = write_certificate(tmp_path)

    async def watch(clip: Path) -> tuple[list[U8Array], int]:
        command = [sys.executable, "-c", PUBLISH, f"{server.url}/whip", str(clip)]
        publisher = subprocess.Popen([*command, str(certificate), str(key)], stderr=subprocess.PIPE)
        try:
            async with http_to(server) as http:
                await until(lambda: server.outlets["out"].live, 20)
                viewer = await Caller(http).watch(audio=True)
                await until(lambda: len(viewer.pictures) > 60, 20)
                shown = [p.to_ndarray(format="bgr24") for p, _ in viewer.pictures[::12]]
                heard = len(viewer.sounds)
                await viewer.leave()
        finally:
            publisher.kill()
            publisher.communicate()
        return shown, heard

    stop = threading.Event()
    with Pipeline.create(PipelineConfig()) as pipeline:
        pipeline.set_persona(persona, wait=True)
        source = WebRtcSource(server.inlet)
        sink = WebRtcSink(server.outlets["out"], server.inlet.video_took)
        loop = threading.Thread(
            target=run_live, args=(source, pipeline.process, sink), kwargs={"stop": stop}
        )
        loop.start()
        try:
            with as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip:
                shown, heard = asyncio.run(watch(clip))
                with av.open(str(clip)) as container:
                    bare = next(container.decode(video=0)).to_ndarray(format="bgr24")
        finally:
            stop.set()
            loop.join()
    assert heard > 20
    describer = FaceDescriptor()
    with FaceTracker() as finder:

        def distance(picture: U8Array) -> float:
            faces = finder.find(picture)
            if not faces:
                return 9.0
            seen = describer.describe(picture, faces[0].landmarks)
            return float(np.linalg.norm(seen - persona.descriptor))

        worn = sorted(distance(picture) for picture in shown)
        assert worn[len(worn) // 2] < min(0.5, distance(bare) - 0.12), worn
    describer.close()
