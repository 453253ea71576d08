// Textured triangles: which pixels a triangle covers, how deep it lies there, what it shows.
//
// Coverage is exact: vertices snap to 1/256 pixel, edge functions are 64-bit integers, and the
// top-left rule gives every pixel on a shared edge to one triangle (Pineda 1988, "A Parallel
// Algorithm for Polygon Rasterization"). Attributes are planes in the picture: a weak-perspective
// view needs no division by depth.
#pragma once

#include <cmath>

#include "mien/lanes.hpp"
#include "mien/sample.hpp"
#include "mien/views.hpp"

namespace mien {

constexpr int32_t kSnap = 256;
constexpr float kFarthest = 3.0e38f;  // depth of the empty picture
constexpr float kReach = 32000.0f;    // vertices farther out than this drop their triangle

// Everything a face is drawn from. Vertices are frame pixels; the patch starts at (left, top).
struct FaceMesh {
    const float* uv;         // (N, 2) 0..1, the texture's edges lie at 0 and 1
    const float* vertices;   // (N, 3) x, y, depth; nearer is smaller
    const float* source_xy;  // (N, 2) frame pixels of the performer's own skin
    const float* gain;       // (N, 3) BGR
    const float* offset;     // (N, 3) BGR
    int32_t left, top;
};

struct FacePictures {
    View<const uint8_t> texture;  // BGRA, A = weight of the performer's own pixels
    View<const uint8_t> aux;      // matte
    View<const uint8_t> frame;    // BGR

    // The last pixel's centre of texture and frame, in 1/128 pixel.
    MIEN_HD Float4 limits() const {
        return make_lanes(static_cast<float>((texture.width - 1) * kSub),
                          static_cast<float>((texture.height - 1) * kSub),
                          static_cast<float>((frame.width - 1) * kSub),
                          static_cast<float>((frame.height - 1) * kSub));
    }
};

// A plane of four attributes over the patch, measured from the triangle's first vertex.
struct Plane4 {
    Float4 base, dx, dy;
};

struct Triangle {
    // Edge k covers where a*x + b*y + c >= 0 with x, y in whole pixels; c holds the fill rule.
    // (The edge functions are divided by kSnap, rounding down, which keeps the sign.)
    int64_t a[3], b[3], c[3];
    int32_t y_first, y_last;  // rows that it may touch, not clipped
    float x0, y0;             // first vertex, pixels of the patch
    float z, z_dx, z_dy;
    Plane4 where;  // texture x, y and source x, y in 1/128 pixel
    Plane4 gain;   // of B, G, R and weight, over 2^14
    Plane4 offset;
};

MIEN_HD int64_t floor_div_snap(int64_t value) { return value >> 8; }

MIEN_HD Float4 plane_row(const Plane4& p, Float4 fy) { return add(p.base, multiply(p.dy, fy)); }

MIEN_HD Plane4 plane_through(Float4 a, Float4 b, Float4 c, float ux, float uy, float vx, float vy) {
    // Solves for the slopes from the values at three corners; (ux, uy) and (vx, vy) already
    // hold the inverse of the corner matrix.
    const Float4 ab = subtract(b, a);
    const Float4 ac = subtract(c, a);
    return {a, add(multiply(ab, splat(ux)), multiply(ac, splat(uy))),
            add(multiply(ab, splat(vx)), multiply(ac, splat(vy)))};
}

// False for a triangle that faces away (its turn in the picture differs from its turn in the
// texture), has no area, or lies too far out.
MIEN_HD bool set_up_triangle(const FaceMesh& mesh, const FacePictures& pictures,
                             const int32_t corner[3], Triangle& t) {
    float px[3], py[3];
    int64_t sx[3], sy[3];
    for (int k = 0; k < 3; ++k) {
        const float* v = mesh.vertices + 3 * static_cast<std::ptrdiff_t>(corner[k]);
        px[k] = v[0] - static_cast<float>(mesh.left);
        py[k] = v[1] - static_cast<float>(mesh.top);
        // Written so that NaN fails too.
        if (!(px[k] > -kReach && px[k] < kReach && py[k] > -kReach && py[k] < kReach)) return false;
        sx[k] = round_to_int(px[k] * kSnap);
        sy[k] = round_to_int(py[k] * kSnap);
    }
    const int64_t area = (sx[1] - sx[0]) * (sy[2] - sy[0]) - (sx[2] - sx[0]) * (sy[1] - sy[0]);
    if (area == 0) return false;
    const float* uv0 = mesh.uv + 2 * static_cast<std::ptrdiff_t>(corner[0]);
    const float* uv1 = mesh.uv + 2 * static_cast<std::ptrdiff_t>(corner[1]);
    const float* uv2 = mesh.uv + 2 * static_cast<std::ptrdiff_t>(corner[2]);
    const float uv_area =
        (uv1[0] - uv0[0]) * (uv2[1] - uv0[1]) - (uv2[0] - uv0[0]) * (uv1[1] - uv0[1]);
    if ((area > 0) != (uv_area > 0.0f)) return false;

    const int64_t turn = area > 0 ? 1 : -1;
    int64_t low = sy[0], high = sy[0];
    for (int k = 0; k < 3; ++k) {
        const int from = k, to = k == 2 ? 0 : k + 1;
        // In the direction that keeps the inside on the positive side.
        const int64_t ex = turn * (sx[to] - sx[from]);
        const int64_t ey = turn * (sy[to] - sy[from]);
        const bool top_left = ey < 0 || (ey == 0 && ex > 0);
        t.a[k] = -ey;
        t.b[k] = ex;
        t.c[k] = floor_div_snap(ey * sx[from] - ex * sy[from] - (top_left ? 0 : 1));
        low = sy[k] < low ? sy[k] : low;
        high = sy[k] > high ? sy[k] : high;
    }
    t.y_first = static_cast<int32_t>((low + kSnap - 1) >> 8);
    t.y_last = static_cast<int32_t>(high >> 8);

    constexpr float unsnap = 1.0f / kSnap;
    t.x0 = static_cast<float>(sx[0]) * unsnap;
    t.y0 = static_cast<float>(sy[0]) * unsnap;
    const float bx = static_cast<float>(sx[1] - sx[0]) * unsnap;
    const float by = static_cast<float>(sy[1] - sy[0]) * unsnap;
    const float cx = static_cast<float>(sx[2] - sx[0]) * unsnap;
    const float cy = static_cast<float>(sy[2] - sy[0]) * unsnap;
    const float inverse = static_cast<float>(kSnap * kSnap) / static_cast<float>(area);
    const float ux = cy * inverse, uy = -by * inverse, vx = -cx * inverse, vy = bx * inverse;

    Float4 where[3], gain[3], offset[3];
    float z[3];
    const float texture_w = static_cast<float>(pictures.texture.width);
    const float texture_h = static_cast<float>(pictures.texture.height);
    for (int k = 0; k < 3; ++k) {
        const std::ptrdiff_t i = corner[k];
        where[k] = make_lanes((mesh.uv[2 * i] * texture_w - 0.5f) * kSub,
                              (mesh.uv[2 * i + 1] * texture_h - 0.5f) * kSub,
                              mesh.source_xy[2 * i] * kSub, mesh.source_xy[2 * i + 1] * kSub);
        gain[k] = make_lanes(mesh.gain[3 * i] * kUnweigh, mesh.gain[3 * i + 1] * kUnweigh,
                             mesh.gain[3 * i + 2] * kUnweigh, kUnweigh);
        offset[k] =
            make_lanes(mesh.offset[3 * i], mesh.offset[3 * i + 1], mesh.offset[3 * i + 2], 0.0f);
        z[k] = mesh.vertices[3 * i + 2];
    }
    t.where = plane_through(where[0], where[1], where[2], ux, uy, vx, vy);
    t.gain = plane_through(gain[0], gain[1], gain[2], ux, uy, vx, vy);
    t.offset = plane_through(offset[0], offset[1], offset[2], ux, uy, vx, vy);
    t.z = z[0];
    t.z_dx = (z[1] - z[0]) * ux + (z[2] - z[0]) * uy;
    t.z_dy = (z[1] - z[0]) * vx + (z[2] - z[0]) * vy;
    return true;
}

// A triangle's attributes at the start of one row of the patch.
struct TriangleRow {
    float z;
    Float4 where, gain, offset;
};

MIEN_HD TriangleRow triangle_row(const Triangle& t, int32_t y) {
    const float fy = static_cast<float>(y) - t.y0;
    const Float4 fy4 = splat(fy);
    return {t.z + t.z_dy * fy, plane_row(t.where, fy4), plane_row(t.gain, fy4),
            plane_row(t.offset, fy4)};
}

MIEN_HD bool covers(const Triangle& t, int32_t x, int32_t y) {
    return t.a[0] * x + t.b[0] * y + t.c[0] >= 0 && t.a[1] * x + t.b[1] * y + t.c[1] >= 0 &&
           t.a[2] * x + t.b[2] * y + t.c[2] >= 0;
}

MIEN_HD float depth_at(const Triangle& t, const TriangleRow& row, int32_t x) {
    return row.z + t.z_dx * (static_cast<float>(x) - t.x0);
}

// Where pixel x of the row samples, in 1/128 pixel: x and y of the texture, x and y of the frame,
// no nearer to an edge than low and high.
MIEN_HD Int4 where_at(const Triangle& t, const TriangleRow& row, const Float4& low,
                      const Float4& high, int32_t x) {
    const Float4 fx = splat(static_cast<float>(x) - t.x0);
    return round_lanes(clamp(add(row.where, multiply(t.where.dx, fx)), low, high));
}

MIEN_HD Taps texture_taps(const FacePictures& pictures, const Int4& where) {
    return taps_inside(lane0(where), lane1(where), pictures.texture.width, pictures.texture.height);
}

// The colour at pixel x of the row, whose samples lie there: three bytes.
MIEN_HD void colour_at(const Triangle& t, const TriangleRow& row, const FacePictures& pictures,
                       const Int4& where, const Taps& taps, int32_t x, uint8_t* bgr) {
    const Float4 fx = splat(static_cast<float>(x) - t.x0);
    const Float4 texel = to_float(sample_bgra(pictures.texture, taps));
    const Float4 gain = add(row.gain, multiply(t.gain.dx, fx));
    const Float4 offset = add(row.offset, multiply(t.offset.dx, fx));
    Float4 colour = clamp(add(multiply(texel, gain), offset), splat(0.0f), splat(255.0f));
    const float own = last_lane(colour);
    if (own > 0.0f) {
        const Taps own_taps =
            taps_inside(lane2(where), lane3(where), pictures.frame.width, pictures.frame.height);
        const Float4 pixel =
            multiply(to_float(sample_bgr(pictures.frame, own_taps)), splat(kUnweigh));
        colour = add(colour, multiply(subtract(pixel, colour), splat(own * (1.0f / 255.0f))));
    }
    const uint32_t bytes = pack_bytes(round_lanes(colour));
    bgr[0] = static_cast<uint8_t>(bytes);
    bgr[1] = static_cast<uint8_t>(bytes >> 8);
    bgr[2] = static_cast<uint8_t>(bytes >> 16);
}

// What the triangle shows at pixel x of the row: three bytes of colour, one of matte.
MIEN_HD void shade(const Triangle& t, const TriangleRow& row, const FacePictures& pictures,
                   const Float4& limits, int32_t x, uint8_t* bgr, uint8_t* matte) {
    const Int4 where = where_at(t, row, splat(0.0f), limits, x);
    const Taps taps = texture_taps(pictures, where);
    colour_at(t, row, pictures, where, taps, x, bgr);
    *matte = sample_grey(pictures.aux, taps);
}

}  // namespace mien
