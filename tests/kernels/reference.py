"""What each kernel computes, written once more in NumPy: slow, plain, in doubles where it helps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


def strided(shape: tuple[int, ...], dtype: object, pad: int, values: Array | None = None) -> Array:
    """An array whose rows lie ``pad`` pixels apart, filled with ``values``."""
    wide = np.zeros((shape[0], shape[1] + pad, *shape[2:]), dtype)
    view = wide[:, : shape[1]]
    if values is not None:
        view[...] = values
    return view


def blend(frame: Array, left: int, top: int, bgr: Array, matte: Array) -> Array:
    """Exact mix, halves rounded up (none occur: 255 is odd)."""
    out = frame.copy()
    h, w = matte.shape
    under = out[top : top + h, left : left + w].astype(np.int64)
    weight = matte.astype(np.int64)[..., None]
    total = under * (255 - weight) + bgr.astype(np.int64) * weight
    out[top : top + h, left : left + w] = (2 * total + 255) // 510
    return out


def blur(matte: Array, radius: int, passes: int) -> Array:
    """Repeated box means over repeated edges, each rounded to a code value."""
    size = 2 * radius + 1
    for _ in range(passes):
        padded = np.pad(matte.astype(np.int64), radius, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
        total = windows.sum(axis=(2, 3))
        matte = ((2 * total + size * size) // (2 * size * size)).astype(np.uint8)
    return matte


def _grid_weights(pixels: int, nodes: int) -> Array:
    at = np.clip((np.arange(pixels) + 0.5) * nodes / pixels - 0.5, 0, nodes - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(nodes)))


def light_transfer(patch: Array, source: Array, target: Array, low: float, high: float) -> Array:
    """Un-rounded result of the gain map, in doubles."""
    gain = np.clip((target.astype(float) + 1) / (source.astype(float) + 1), low, high)
    rows = _grid_weights(patch.shape[0], gain.shape[0])
    columns = _grid_weights(patch.shape[1], gain.shape[1])
    spread = np.einsum("yj,xi,jic->yxc", rows, columns, gain)
    return np.clip(patch * spread, 0, 255)


def bilinear(picture: Array, x: Array, y: Array) -> Array:
    """Samples with repeated edges, in doubles; ``picture`` is (H, W) or (H, W, C)."""
    height, width = picture.shape[:2]
    x = np.clip(x, 0, width - 1)
    y = np.clip(y, 0, height - 1)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = x - x0, y - y0
    if picture.ndim == 3:
        fx, fy = fx[..., None], fy[..., None]
    p = picture.astype(float)
    upper = p[y0, x0] * (1 - fx) + p[y0, x1] * fx
    lower = p[y1, x0] * (1 - fx) + p[y1, x1] * fx
    return upper * (1 - fy) + lower * fy


def box_mean(picture: Array, x: float, y: float, radius: int) -> Array:
    height, width = picture.shape[:2]
    cx = int(np.rint(np.clip(x, 0, width - 1)))
    cy = int(np.rint(np.clip(y, 0, height - 1)))
    xs = np.clip(np.arange(cx - radius, cx + radius + 1), 0, width - 1)
    ys = np.clip(np.arange(cy - radius, cy + radius + 1), 0, height - 1)
    return picture[np.ix_(ys, xs)].astype(float).mean(axis=(0, 1))


YUV_WEIGHTS = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}


def bgr_to_yuv(bgr: Array, matrix: str) -> tuple[Array, Array, Array]:
    """Un-rounded planes in limited range, chroma from the mean of four, edges repeated."""
    kr, kb = YUV_WEIGHTS[matrix]

    def chroma(p: Array) -> tuple[Array, Array]:
        luma = kr * p[..., 2] + (1 - kr - kb) * p[..., 1] + kb * p[..., 0]
        u = 128 + 224 / 255 * (p[..., 0] - luma) / (2 * (1 - kb))
        v = 128 + 224 / 255 * (p[..., 2] - luma) / (2 * (1 - kr))
        return u, v

    p = bgr.astype(float)
    y = 16 + 219 / 255 * (kr * p[..., 2] + (1 - kr - kb) * p[..., 1] + kb * p[..., 0])
    even = np.pad(p, ((0, p.shape[0] % 2), (0, p.shape[1] % 2), (0, 0)), mode="edge")
    quads = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    u, v = chroma(quads)
    return y, u, v


def yuv_to_bgr(y: Array, u: Array, v: Array, matrix: str) -> Array:
    """Un-rounded BGR, clipped to code values."""
    kr, kb = YUV_WEIGHTS[matrix]
    height, width = y.shape
    wide_u = np.repeat(np.repeat(u, 2, 0), 2, 1)[:height, :width].astype(float) - 128
    wide_v = np.repeat(np.repeat(v, 2, 0), 2, 1)[:height, :width].astype(float) - 128
    luma = (y.astype(float) - 16) * 255 / 219
    b = luma + wide_u * 255 / 224 * 2 * (1 - kb)
    r = luma + wide_v * 255 / 224 * 2 * (1 - kr)
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([b, g, r], axis=-1), 0, 255)


def raster_face(
    texture: Array,
    aux: Array,
    uv: Array,
    vertices: Array,
    source_xy: Array,
    gain: Array,
    offset: Array,
    triangles: Array,
    frame: Array,
    left: int,
    top: int,
    size: tuple[int, int],
) -> tuple[Array, Array, Array]:
    """Un-rounded colour, un-rounded matte and depth of the patch, triangle by triangle.

    Coverage is decided as in the kernel (vertices on 1/256 pixel, whole-number edge functions,
    top-left rule); everything else is in doubles and without quantised weights.
    """
    height, width = size
    colour = frame[top : top + height, left : left + width].astype(float)
    matte = np.zeros(size)
    depth = np.full(size, np.inf)
    ys, xs = np.mgrid[:height, :width]
    for corners in triangles:
        place = vertices[corners, :2].astype(np.float32) - np.float32([left, top])
        snapped = np.rint(place * 256).astype(np.int64)
        (ax, ay), (bx, by), (cx, cy) = snapped
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        a, b, c = uv[corners].astype(float)
        uv_area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if area == 0 or (area > 0) != (uv_area > 0):
            continue
        inside = np.ones(size, bool)
        edges = []
        for k in range(3):
            p, q = snapped[k], snapped[(k + 1) % 3]
            ex, ey = np.sign(area) * (q - p)
            value = ex * (ys * 256 - p[1]) - ey * (xs * 256 - p[0])
            edges.append(value / abs(area))
            top_left = ey < 0 or (ey == 0 and ex > 0)
            inside &= (value >= 0) if top_left else (value > 0)
        # The edge opposite a corner carries that corner's weight.
        weights = np.stack([edges[1], edges[2], edges[0]], axis=-1)
        z = weights @ vertices[corners, 2].astype(float)
        seen = inside & (z < depth)
        depth[seen] = z[seen]
        at = weights[seen] @ uv[corners].astype(float)
        x = at[:, 0] * texture.shape[1] - 0.5
        y = at[:, 1] * texture.shape[0] - 0.5
        texel = bilinear(texture, x, y)
        lit = texel[:, :3] * (weights[seen] @ gain[corners]) + weights[seen] @ offset[corners]
        own = bilinear(frame, *(weights[seen] @ source_xy[corners].astype(float)).T)
        share = texel[:, 3:] / 255
        colour[seen] = np.clip(lit, 0, 255) * (1 - share) + own * share
        matte[seen] = bilinear(aux, x, y)
    return colour, matte, depth


def _harmonics(normals: Array) -> Array:
    x, y, z = normals.astype(float).T
    one = np.ones_like(x)
    return np.stack([one, x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], axis=1)


def fit_light(
    colours: Array, normals: Array, skin: Array, trust: Array, iterations: int
) -> tuple[Array, Array, Array]:
    """Light, mean skin and trust, in doubles."""
    basis, colours = _harmonics(normals), colours.astype(float)
    seen = skin * np.clip((normals[:, 2].astype(float) - 0.15) / 0.35, 0, 1)
    mean = (seen + 1e-6) @ colours / (seen + 1e-6).sum()
    light = np.zeros((9, 3))
    for _ in range(iterations):
        weights = seen * trust
        ridge = 0.02 * max(weights.sum(), 1e-3) * np.array([0, 1, 1, 1, 3, 3, 3, 3, 3])
        matrix = (basis * weights[:, None]).T @ basis + np.diag(ridge)
        matrix[0, 0] += 1e-6
        light = np.linalg.solve(matrix, (basis * weights[:, None]).T @ colours)
        residual = np.abs(colours / np.maximum(basis @ light, 8) - 1).mean(axis=1)
        trust = 1 / (1 + (residual / 0.12) ** 2)
    return light, mean, trust


def skin_gain(
    colours: Array,
    normals: Array,
    light: Array,
    skin_weights: Array,
    broad: Array,
    near: Array,
    broad_bgr: Array,
    near_bgr: Array,
    skin_bgr: Array,
    own_bgr: Array,
    rim_distance: Array,
    tone: float,
) -> Array:
    """The gain, in doubles."""
    seen = colours[skin_weights > 0.3].astype(float)
    mean, spread = seen.mean(axis=0), seen.std(axis=0) * 2.2
    low, high = np.maximum((mean - spread) / 1.15, 8), (mean + spread) * 1.15
    shade = np.clip(_harmonics(normals) @ light, low, high)
    shift = np.log(np.maximum(skin_bgr, 1) / np.maximum(own_bgr, 1))
    shift = np.clip(shift - 0.5 * shift.mean(axis=-1, keepdims=True), -0.9, 0.9) * tone
    inner = np.log(shade / skin_bgr) * 0.55 + shift
    inner = inner + np.log(np.maximum(broad @ colours / broad_bgr, 1e-3)) * 0.45
    outer = np.log(np.maximum(near @ colours / near_bgr, 1e-3))
    share = np.clip(rim_distance / (0.08 + 0.4 * np.abs(shift).max()), 0, 1)[:, None]
    share = share * share * (3 - 2 * share)
    return np.exp(outer + (inner - outer) * share)


def tint_iris(
    frame: Array,
    left: int,
    top: int,
    inside: Array,
    centre: tuple[float, float],
    radius: float,
    tint: Array,
    brightest: float,
    opening: float,
) -> Array:
    """Un-rounded result, in doubles."""
    out = frame.astype(float)
    rows, columns = np.indices(inside.shape)
    away = np.hypot(columns + left - centre[0], rows + top - centre[1]) / radius
    region = out[top : top + inside.shape[0], left : left + inside.shape[1]]
    edge = np.clip((1.15 - away) * 5, 0, 1)
    plain = np.clip(1 - (region.min(axis=2) - brightest) / 60, 0, 1)
    mix = (edge * plain * opening * inside / 255)[..., None]
    region += (tint * region.mean(axis=2, keepdims=True) - region) * mix
    return np.clip(out, 0, 255)
