"""
Per-pixel work on the CPU. Arrays may be views whose rows lie apart; pixels must touch.
"""

from typing import Annotated, overload

import numpy
import numpy.typing
from numpy.typing import NDArray


def raster_face(texture: numpy.typing.NDArray[numpy.uint8], aux: numpy.typing.NDArray[numpy.uint8], uv: numpy.typing.NDArray[numpy.float32], vertices: numpy.typing.NDArray[numpy.float32], source_xy: numpy.typing.NDArray[numpy.float32], gain: numpy.typing.NDArray[numpy.float32], offset: numpy.typing.NDArray[numpy.float32], triangles: numpy.typing.NDArray[numpy.int32], frame: numpy.typing.NDArray[numpy.uint8], left: int, top: int, out_bgr: numpy.typing.NDArray[numpy.uint8], out_matte: numpy.typing.NDArray[numpy.uint8], depth: numpy.typing.NDArray[numpy.float32], threads: int = 1, level: int = 3) -> None:
    """
    Draws a textured face into a patch of the frame.

    Each covered pixel is ``texture(uv) * gain + offset``, mixed with ``frame(source_xy)``
    by the texture's fourth channel; its matte is ``aux(uv)``. Pixels that nothing covers
    keep the frame's colour and get matte 0. Triangles that turn the other way in the
    picture than in the texture face away and are left out.

    Args:
        texture: (Th, Tw, 4) uint8, BGR and the weight of the performer's own pixels.
        aux: (Th, Tw) uint8, matte.
        uv: (N, 2) float32, 0..1 from edge to edge of the texture (texel x = u * Tw - 0.5).
        vertices: (N, 3) float32, frame x and y, depth (smaller is nearer).
        source_xy: (N, 2) float32, frame position of the performer's own skin there.
        gain: (N, 3) float32, BGR factor.
        offset: (N, 3) float32, BGR term in code values.
        triangles: (M, 3) int32, vertices of each.
        frame: (H, W, 3) uint8.
        left: frame column of the patch's first pixel.
        top: frame row of the patch's first pixel.
        out_bgr: (h, w, 3) uint8, written; must not overlap the frame.
        out_matte: (h, w) uint8, written.
        depth: (h, w) float32, written; 3e38 where nothing is drawn.
        threads: most threads to use.
        level: highest x86-64 version to use: 3 (AVX2) or 0 (the build's own); same pixels.

    Raises:
        TypeError: an array of the wrong type.
        ValueError: an array of the wrong shape or layout, or a patch outside the frame.
    """

def blend(frame: numpy.typing.NDArray[numpy.uint8], left: int, top: int, bgr: numpy.typing.NDArray[numpy.uint8], matte: numpy.typing.NDArray[numpy.uint8], threads: int = 1) -> None:
    """
    Lays a patch over the frame, in place, by its matte; exact to the rounding.

    Args:
        frame: (H, W, 3) uint8, changed.
        left: frame column of the patch's first pixel.
        top: frame row of the patch's first pixel.
        bgr: (h, w, 3) uint8.
        matte: (h, w) uint8, straight; 255 takes the patch, 0 leaves the frame.
        threads: most threads to use.
    """

def blur_matte(matte: numpy.typing.NDArray[numpy.uint8], radius: int, passes: int = 3, threads: int = 1) -> None:
    """
    Softens a matte in place by repeated box means; three come close to a Gaussian.

    Args:
        matte: (h, w) uint8, changed; edges are repeated outwards.
        radius: 0..64 pixels on each side.
        passes: 1..8.
        threads: most threads to use.
    """

def light_transfer(patch: numpy.typing.NDArray[numpy.uint8], from_light: numpy.typing.NDArray[numpy.float32], to_light: numpy.typing.NDArray[numpy.float32], low: float = 0.25, high: float = 4.0, threads: int = 1) -> None:
    """
    Multiplies a patch in place by the ratio of two coarse pictures.

    The gain at a node is ``(to + 1) / (from + 1)`` in code values, held within low..high,
    and bilinear between nodes, which are the centres of equal cells that tile the patch.

    Args:
        patch: (h, w, 3) uint8, changed.
        from_light: (gh, gw, 3) float32, 0..255, the patch's own light.
        to_light: (gh, gw, 3) float32, 0..255, the light wanted.
        low: smallest gain.
        high: largest gain.
        threads: most threads to use.
    """

def sample_points(frame: numpy.typing.NDArray[numpy.uint8], xy: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], radius: int = 0) -> None:
    """
    Reads the frame's colour at points.

    Args:
        frame: (H, W, 3) uint8.
        xy: (N, 2) float32, frame pixels; points outside take the nearest edge's colour.
        out: (N, 3) float32, 0..255, written.
        radius: 0 for bilinear; else the mean of the square about the nearest pixel, 1..64.
    """

def tint_iris(frame: numpy.typing.NDArray[numpy.uint8], left: int, top: int, inside: numpy.typing.NDArray[numpy.uint8], x: float, y: float, radius: float, tint: numpy.typing.NDArray[numpy.float32], brightest: float, opening: float) -> None:
    """
    Gives an iris another colour, in place; brightness is kept, highlights stay.

    Args:
        frame: (H, W, 3) uint8, changed.
        left: frame column of the region's first pixel.
        top: frame row of the region's first pixel.
        inside: (h, w) uint8, 255 between the lids.
        x: frame column of the iris's centre.
        y: frame row of the iris's centre.
        radius: of the iris, pixels.
        tint: (3,) float32 BGR, the colour for a brightness of 1.
        brightest: code value above which a pixel becomes a highlight.
        opening: 0..1, how much of the colour to use.
    """

def bgr_to_i420(bgr: numpy.typing.NDArray[numpy.uint8], y: numpy.typing.NDArray[numpy.uint8], u: numpy.typing.NDArray[numpy.uint8], v: numpy.typing.NDArray[numpy.uint8], matrix: str = 'bt709', threads: int = 1) -> None:
    """
    Turns BGR into planar 4:2:0 in limited range.

    Args:
        bgr: (H, W, 3) uint8.
        y: (H, W) uint8, written.
        u: (ceil(H / 2), ceil(W / 2)) uint8, written; the mean of up to four pixels.
        v: the same.
        matrix: 'bt709' or 'bt601'.
        threads: most threads to use.
    """

def bgr_to_nv12(bgr: numpy.typing.NDArray[numpy.uint8], y: numpy.typing.NDArray[numpy.uint8], uv: numpy.typing.NDArray[numpy.uint8], matrix: str = 'bt709', threads: int = 1) -> None:
    """
    As bgr_to_i420, with u and v interleaved: uv is (ceil(H / 2), ceil(W / 2), 2).
    """

def i420_to_bgr(y: numpy.typing.NDArray[numpy.uint8], u: numpy.typing.NDArray[numpy.uint8], v: numpy.typing.NDArray[numpy.uint8], bgr: numpy.typing.NDArray[numpy.uint8], matrix: str = 'bt709', threads: int = 1) -> None:
    """
    Turns planar 4:2:0 in limited range into BGR; chroma is repeated, not interpolated.

    Args:
        y: (H, W) uint8.
        u: (ceil(H / 2), ceil(W / 2)) uint8.
        v: the same.
        bgr: (H, W, 3) uint8, written.
        matrix: 'bt709' or 'bt601'.
        threads: most threads to use.
    """

def nv12_to_bgr(y: numpy.typing.NDArray[numpy.uint8], uv: numpy.typing.NDArray[numpy.uint8], bgr: numpy.typing.NDArray[numpy.uint8], matrix: str = 'bt709', threads: int = 1) -> None:
    """
    As i420_to_bgr, with u and v interleaved: uv is (ceil(H / 2), ceil(W / 2), 2).
    """

def fit_light(colours: numpy.typing.NDArray[numpy.float32], normals: numpy.typing.NDArray[numpy.float32], skin_weights: numpy.typing.NDArray[numpy.float32], trust: numpy.typing.NDArray[numpy.float32], light: numpy.typing.NDArray[numpy.float32], mean: numpy.typing.NDArray[numpy.float32], iterations: int = 1) -> None:
    """
    Fits nine spherical harmonics of light to the colours of a face's vertices.

    Iteratively reweighted least squares: what differs from plain skin counts for less in the
    next turn, and in the next call.

    Args:
        colours: (N, 3) float32 BGR, 0..255.
        normals: (N, 3) float32, unit length, view axes (z towards the viewer).
        skin_weights: (N,) float32, 1 for plain skin, 0 for what is none.
        trust: (N,) float32, weights to start from; left as the last residuals give them.
        light: (9, 3) float32, written; ``harmonics(n) @ light`` is the colour of skin facing n.
        mean: (3,) float32, written: mean colour of the skin that faces the viewer.
        iterations: 1..100.
    """

def skin_gain(colours: numpy.typing.NDArray[numpy.float32], normals: numpy.typing.NDArray[numpy.float32], light: numpy.typing.NDArray[numpy.float32], skin_weights: numpy.typing.NDArray[numpy.float32], broad: numpy.typing.NDArray[numpy.float32], near: numpy.typing.NDArray[numpy.float32], broad_bgr: numpy.typing.NDArray[numpy.float32], near_bgr: numpy.typing.NDArray[numpy.float32], skin_bgr: numpy.typing.NDArray[numpy.float32], own_bgr: numpy.typing.NDArray[numpy.float32], rim_distance: numpy.typing.NDArray[numpy.float32], tone: float, gain: numpy.typing.NDArray[numpy.float32]) -> None:
    """
    Factors that put the performer's light on a persona's texture, vertex by vertex.

    Inside the face: 55% (of the logarithm) what the light makes of the persona's normals over
    its mean skin, 45% the ratio of smoothed colours, and the difference of skin tones. Towards
    the rim the ratio of finely smoothed colours takes over.

    Args:
        colours: (N, 3) float32 BGR, the performer's vertices, 0..255.
        normals: (N, 3) float32, the persona's, view axes.
        light: (9, 3) float32, as fit_light writes it.
        skin_weights: (N,) float32, 1 for plain skin.
        broad: (N, N) float32, smoothing whose rows add up to 1.
        near: (N, N) float32, the same over a shorter way.
        broad_bgr: (N, 3) float32, the persona's colours under that smoothing, above 0.
        near_bgr: (N, 3) float32.
        skin_bgr: (3,) or (N, 3) float32, the persona's mean skin.
        own_bgr: (3,) float32, the performer's mean skin.
        rim_distance: (N,) float32, UV units to the face's edge.
        tone: 0..1, from the performer's skin tone to the persona's.
        gain: (N, 3) float32, written.
    """

@overload
def filtered_lrelu(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), device='cpu', writable=False)], y: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), device='cpu')], bias: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)] | None, up_taps: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], down_taps: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], up: int, down: int, pad_y: int, pad_x: int, gain: float, slope: float, clamp: float, mode: int = 0, codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None, None), device='cpu')] | None = None, codes_y: int = 0, codes_x: int = 0, threads: int = 1, level: int = 4) -> None: ...

@overload
def filtered_lrelu(x: Annotated[NDArray[numpy.float64], dict(shape=(None, None, None, None), device='cpu', writable=False)], y: Annotated[NDArray[numpy.float64], dict(shape=(None, None, None, None), device='cpu')], bias: Annotated[NDArray[numpy.float64], dict(order='C', device='cpu', writable=False)] | None, up_taps: Annotated[NDArray[numpy.float64], dict(order='C', device='cpu', writable=False)], down_taps: Annotated[NDArray[numpy.float64], dict(order='C', device='cpu', writable=False)], up: int, down: int, pad_y: int, pad_x: int, gain: float, slope: float, clamp: float, mode: int = 0, codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None, None), device='cpu')] | None = None, codes_y: int = 0, codes_x: int = 0, threads: int = 1, level: int = 4) -> None:
    """
    Bias, upsampling, leaky ReLU, clamp and downsampling in one pass.

    Taps are in correlation order and carry their own gain; ``pad_y`` and ``pad_x`` are the zeros
    before the first row and column, negative to crop; what follows after the last ones is given
    by the size of ``y``. Any strides will do; channels last is quickest.

    Args:
        x: (N, C, H, W) float32 or float64.
        y: (N, C, h, w) of the same type, written; must not overlap x.
        bias: (C,) or None.
        up_taps: (T,) for separable filters, (T, T) for others.
        down_taps: the same.
        up: samples after upsampling for each one before, per axis.
        down: samples before downsampling for each one after, per axis.
        pad_y: zeros above the first row, at the upsampled rate.
        pad_x: zeros left of the first column.
        gain: factor after the leaky ReLU.
        slope: factor of negative values.
        clamp: largest magnitude after the gain; negative for none.
        mode: 0 activates, 1 activates and writes codes, 2 multiplies by the slopes of codes.
        codes: (N, C, h', w') uint8, which slope each upsampled value had, or None.
        codes_y: row of the codes at the first upsampled row.
        codes_x: column of the codes at the first upsampled column.
        threads: most threads to use.
        level: highest x86-64 version to use: 4 (AVX-512), 3 (AVX2), 0 (the build's own);
            -1 runs the tiles of the CUDA kernel, for tests.

    Raises:
        TypeError: arrays of another type.
        ValueError: shapes or settings that do not fit.
    """
