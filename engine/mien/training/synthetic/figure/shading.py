"""Light on skin, eyes, teeth, hair and cloth, one sample at a time, compiled by numba.

Diffuse light wraps round the terminator more in red than in blue (a cheap stand-in for
light that scatters under the skin). Highlights: GGX with Schlick's Fresnel (Walter et al.
2007, *Microfacet Models for Refraction through Rough Surfaces*).
"""

from __future__ import annotations

import math

from numba import njit, prange

from .anatomy import EYE, HAIR, LASHES, SKIN, TEETH, TONGUE
from .rasteriser import unroll

# Layout of the per-vertex attributes and of the person's colours.
OPENNESS, LIPS, MOUTH, RIM = range(4)
SKIN_RGB, LIP_RGB, HAIR_RGB, IRIS_RGB, SHIRT_RGB = 0, 3, 6, 9, 12
COLOUR_COUNT = 15
# Rest-mesh geometry of the eyeballs, decimetres.
EYE_X, EYE_Y, EYE_Z, EYE_RADIUS = 0.308, 7.284, 1.245, 0.1385


@njit(inline="always", fastmath=True)
def _unit(x):  # type: ignore[no-untyped-def]
    return min(max(x, 0.0), 1.0)


@njit(inline="always", fastmath=True)
def _blend(one, other, share):  # type: ignore[no-untyped-def]
    return one * (1 - share) + other * share


@njit(inline="always", fastmath=True)
def _look_up(layers, u, v, k):  # type: ignore[no-untyped-def]
    height, width = layers.shape[0], layers.shape[1]
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max(v * height - 0.5, 0.0), height - 1.001)
    ix, iy = int(x), int(y)
    fx, fy = x - ix, y - iy
    top = layers[iy, ix, k] * (1 - fx) + layers[iy, ix + 1, k] * fx
    bottom = layers[iy + 1, ix, k] * (1 - fx) + layers[iy + 1, ix + 1, k] * fx
    return top * (1 - fy) + bottom * fy


@njit(inline="always", fastmath=True)
def _normalise(x, y, z):  # type: ignore[no-untyped-def]
    scale = 1 / math.sqrt(x * x + y * y + z * z + 1e-12)
    return x * scale, y * scale, z * scale


@njit(fastmath=True)
def _eye_colour(rx, ry, rz, colours):  # type: ignore[no-untyped-def]
    """White with faint veins, iris with fibres and a dark limbus, pupil."""
    dx = (rx - (EYE_X if rx > 0 else -EYE_X)) / EYE_RADIUS
    dy = (ry - EYE_Y) / EYE_RADIUS
    radius = math.sqrt(dx * dx + dy * dy)
    angle = math.atan2(dy, dx)
    vein = 0.5 + 0.5 * math.sin(angle * 9 + radius * 14) * math.sin(angle * 23)
    r = 0.60 - 0.06 * radius
    g = 0.55 - 0.09 * radius - 0.02 * vein
    b = 0.52 - 0.10 * radius - 0.02 * vein
    if rz > EYE_Z:
        fibre = math.sin(angle * 37 + 3 * math.sin(angle * 11)) * math.sin(angle * 61)
        shade = (0.75 + 0.25 * fibre + 0.25 * (radius - 0.25)) * (
            1 - 0.75 * _unit((radius - 0.34) / 0.1)
        )
        inside = _unit((0.475 - radius) / 0.05)
        r = _blend(r, colours[IRIS_RGB] * shade, inside)
        g = _blend(g, colours[IRIS_RGB + 1] * shade, inside)
        b = _blend(b, colours[IRIS_RGB + 2] * shade, inside)
        pupil = _unit((0.19 - radius) / 0.04)
        r, g, b = _blend(r, 0.004, pupil), _blend(g, 0.004, pupil), _blend(b, 0.004, pupil)
    return r, g, b


@njit(inline="always", fastmath=True)
def _highlight(nx, ny, nz, vx, vy, vz, lx, ly, lz, rough, f0, ndv):  # type: ignore[no-untyped-def]
    nl = nx * lx + ny * ly + nz * lz
    if nl <= 0:
        return 0.0
    hx, hy, hz = _normalise(lx + vx, ly + vy, lz + vz)
    nh = nx * hx + ny * hy + nz * hz
    vh = vx * hx + vy * hy + vz * hz
    a2 = rough**4
    spread = nh * nh * (a2 - 1) + 1
    k = (rough + 1) ** 2 / 8
    masking = 1 / ((nl * (1 - k) + k) * (ndv * (1 - k) + k) * 4)
    fresnel = f0 + (1 - f0) * (1 - vh) ** 5
    return a2 / (spread * spread) * masking * fresnel * nl


@njit(inline="always", fastmath=True)
def _lit_share(px, py, pz, shadow, axes, centre, scale):  # type: ignore[no-untyped-def]
    """0..1 of the key light that arrives, averaged over 16 samples of the shadow map."""
    size = shadow.shape[0]
    x, y, z = px - centre[0], py - centre[1], pz - centre[2]
    sx = (x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]) * scale + size / 2
    sy = (x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]) * scale + size / 2
    sz = x * axes[2, 0] + y * axes[2, 1] + z * axes[2, 2]
    total = 0.0
    for oy in range(-1, 3):
        for ox in range(-1, 3):
            ix, iy = int(sx + (ox - 0.5) * 3.4), int(sy + (oy - 0.5) * 3.4)
            if ix < 0 or iy < 0 or ix >= size or iy >= size:
                total += 1.0
            else:
                above = shadow[iy, ix] - sz - 0.03
                total += 1.0 if above <= 0 else max(0.0, 1 - above * 25)
    return total / 16.0


@njit(parallel=True, fastmath=True, cache=True)
def shade(  # type: ignore[no-untyped-def]
    triangle_at, weights, triangles, material, level, vertices, normals, rest, attributes,
    layers, colours, eye_point, key_dir, key, sky, ground, fill_dir, fill, shine,
    shadow, shadow_axes, shadow_centre, shadow_scale, out,
):  # fmt: skip
    """Write linear RGB and coverage of every visible sample into ``out`` (H, W, 4)."""
    height, width = triangle_at.shape
    for y in prange(height):
        for x in range(width):
            i = triangle_at[y, x]
            if i < 0:
                continue
            a, b, c = triangles[i, 0], triangles[i, 1], triangles[i, 2]
            q1, q2 = weights[y, x, 0], weights[y, x, 1]
            q0 = 1 - q1 - q2
            px = q0 * vertices[a, 0] + q1 * vertices[b, 0] + q2 * vertices[c, 0]
            py = q0 * vertices[a, 1] + q1 * vertices[b, 1] + q2 * vertices[c, 1]
            pz = q0 * vertices[a, 2] + q1 * vertices[b, 2] + q2 * vertices[c, 2]
            nx, ny, nz = _normalise(
                q0 * normals[a, 0] + q1 * normals[b, 0] + q2 * normals[c, 0],
                q0 * normals[a, 1] + q1 * normals[b, 1] + q2 * normals[c, 1],
                q0 * normals[a, 2] + q1 * normals[b, 2] + q2 * normals[c, 2],
            )
            rx = q0 * rest[a, 0] + q1 * rest[b, 0] + q2 * rest[c, 0]
            ry = q0 * rest[a, 1] + q1 * rest[b, 1] + q2 * rest[c, 1]
            rz = q0 * rest[a, 2] + q1 * rest[b, 2] + q2 * rest[c, 2]
            ao = q0 * attributes[a, 0] + q1 * attributes[b, 0] + q2 * attributes[c, 0]
            vx, vy, vz = _normalise(eye_point[0] - px, eye_point[1] - py, eye_point[2] - pz)
            m = material[i]
            if nx * vx + ny * vy + nz * vz < 0 and m in (SKIN, HAIR):
                nx, ny, nz = -nx, -ny, -nz
            u, v = unroll(rx, ry, rz)
            rough, gloss, f0 = 0.45, 1.0, 0.028
            wrap_r, wrap_g, wrap_b = 0.30, 0.12, 0.08
            if m == HAIR:
                strand = _look_up(layers, u, v, 6)
                depth = level[i] if level[i] >= 0 else 0.8
                tone = (0.35 + 0.65 * depth) * (0.6 + 0.8 * strand)
                r = colours[HAIR_RGB] * tone
                g = colours[HAIR_RGB + 1] * tone
                bl = colours[HAIR_RGB + 2] * tone
                rough, gloss, f0 = 0.42, 0.9, 0.045
                wrap_r, wrap_g, wrap_b = 0.25, 0.25, 0.25
                ao *= 0.35 + 0.65 * depth
                # Strands turn the normal, which breaks the highlight up.
                nx, ny, nz = _normalise(
                    nx + (strand - 0.5) * 0.5 * ny, ny + (strand - 0.5) * 0.7, nz
                )
            elif m == EYE:
                r, g, bl = _eye_colour(rx, ry, rz, colours)
                rough, f0 = 0.12, 0.035
                ao = ao * 0.9 + 0.05
            elif m == TEETH:
                r, g, bl = 0.62, 0.56, 0.45
                rough, gloss = 0.2, 0.8
                ao *= 0.25 + 0.75 * _unit((rz - 0.95) / 0.45)
            elif m == TONGUE:
                r, g, bl = 0.38, 0.13, 0.12
                rough, gloss = 0.3, 0.7
                ao *= 0.8
            elif m == LASHES:
                r = colours[HAIR_RGB] * 0.3
                g = colours[HAIR_RGB + 1] * 0.3
                bl = colours[HAIR_RGB + 2] * 0.3
                gloss = 0.2
            else:
                spread = min(abs(rx) / 0.8, 1.5)
                collar = 5.62 + 0.18 * spread * spread
                collar += -0.10 if rz > 0.3 else 0.25 * _unit(0.3 - rz)
                if ry < collar:
                    weave = (0.96 + 0.04 * math.sin(rx * 55)) * (1.0 if ry < collar - 0.06 else 0.7)
                    r = colours[SHIRT_RGB] * weave
                    g = colours[SHIRT_RGB + 1] * weave
                    bl = colours[SHIRT_RGB + 2] * weave
                    rough, gloss = 0.8, 0.3
                    wrap_r, wrap_g, wrap_b = 0.1, 0.1, 0.1
                else:
                    r, g = _look_up(layers, u, v, 0), _look_up(layers, u, v, 1)
                    bl = _look_up(layers, u, v, 2)
                    gloss = _look_up(layers, u, v, 5) * shine
                    lips = q0 * attributes[a, 1] + q1 * attributes[b, 1] + q2 * attributes[c, 1]
                    mouth = q0 * attributes[a, 2] + q1 * attributes[b, 2] + q2 * attributes[c, 2]
                    rim = q0 * attributes[a, 3] + q1 * attributes[b, 3] + q2 * attributes[c, 3]
                    k = _unit((lips - 0.25) / 0.5)
                    k = k * k * (3 - 2 * k) * 0.85
                    r = _blend(r, colours[LIP_RGB], k)
                    g = _blend(g, colours[LIP_RGB + 1], k)
                    bl = _blend(bl, colours[LIP_RGB + 2], k)
                    inner = _unit((mouth - 0.4) / 0.4) * (1 - k)
                    r, g, bl = (
                        _blend(r, 0.22, inner),
                        _blend(g, 0.06, inner),
                        _blend(bl, 0.055, inner),
                    )
                    ao *= 1 - inner * (1 - _unit((rz - 0.85) / 0.5)) * 0.8
                    rough = 0.48 - 0.14 * k
                    r *= 1 - 0.55 * rim
                    g *= 1 - 0.62 * rim
                    bl *= 1 - 0.62 * rim
                    # The bump map's slopes, in a tangent frame of a vertical cylinder.
                    du, dv = _look_up(layers, u, v, 3), _look_up(layers, u, v, 4)
                    length = math.sqrt(nz * nz + nx * nx + 1e-6)
                    tx, tz = nz / length, -nx / length
                    bx, by, bz = ny * tz, nz * tx - nx * tz, -ny * tx
                    nx, ny, nz = _normalise(
                        nx - du * tx - dv * bx, ny - dv * by, nz - du * tz - dv * bz
                    )
            lit = _lit_share(px, py, pz, shadow, shadow_axes, shadow_centre, shadow_scale)
            soft_lit = lit**0.75 if m == SKIN else lit
            ndl = nx * key_dir[0] + ny * key_dir[1] + nz * key_dir[2]
            facing = nx * fill_dir[0] + ny * fill_dir[1] + nz * fill_dir[2]
            filled = max(0.0, (facing + 0.3) / 1.3)
            up = 0.5 + 0.5 * ny
            ao_r = ao**0.8
            er = key[0] * max(0.0, (ndl + wrap_r) / (1 + wrap_r)) * soft_lit
            er += ao_r * (sky[0] * up + ground[0] * (1 - up) + fill[0] * filled)
            eg = key[1] * max(0.0, (ndl + wrap_g) / (1 + wrap_g)) * lit
            eg += ao * (sky[1] * up + ground[1] * (1 - up) + fill[1] * filled)
            eb = key[2] * max(0.0, (ndl + wrap_b) / (1 + wrap_b)) * lit
            eb += ao * (sky[2] * up + ground[2] * (1 - up) + fill[2] * filled)
            ndv = max(nx * vx + ny * vy + nz * vz, 0.02)
            limit = 0.5 if m == SKIN else 6.0
            from_key = gloss * _highlight(
                nx, ny, nz, vx, vy, vz, key_dir[0], key_dir[1], key_dir[2], rough, f0, ndv
            )
            from_fill = gloss * _highlight(
                nx, ny, nz, vx, vy, vz, fill_dir[0], fill_dir[1], fill_dir[2], rough, f0, ndv
            )
            from_key = min(from_key, limit) * lit
            from_fill = min(from_fill, limit) * ao
            edge = 0.05 if m == HAIR else 0.12
            mirror = (f0 + edge * (1 - ndv) ** 5) * gloss * ao * (1 - rough * 0.7)
            out[y, x, 0] = r * er + from_key * key[0] + from_fill * fill[0] + mirror * sky[0]
            out[y, x, 1] = g * eg + from_key * key[1] + from_fill * fill[1] + mirror * sky[1]
            out[y, x, 2] = bl * eb + from_key * key[2] + from_fill * fill[2] + mirror * sky[2]
            out[y, x, 3] = 1.0
