// CUDA side of the face rasteriser: which triangle is nearest at each pixel, then what it shows.
// Streams and launch checks are the caller's. Strides are in elements.
#include "face.cuh"
#include "mien/blend.hpp"

namespace {

// A key holds the depth in its high half and the triangle in its low one; all ones is no triangle.
constexpr unsigned long long kNothing = ~0ull;
constexpr int kDepthShift = 32;

// The colour and matte at a pixel that a triangle covers.
__device__ __forceinline__ void show(const MienFace& face, unsigned long long key, int x, int y,
                                     uint8_t* bgr, uint8_t* matte, float* depth) {
    const mien::Triangle& t = face.set_up[static_cast<unsigned int>(key)];
    const mien::TriangleRow row = mien::triangle_row(t, y);
    *depth = mien::depth_at(t, row, x);
    mien::shade(t, row, face.pictures, face.pictures.limits(), x, bgr, matte);
}

}  // namespace

// Pass 1; the keys are all ones before it, and again after pass 2.
extern "C" __global__ void mien_raster_cover(MienFace face) {
    __shared__ mien::Triangle triangles[kMostTeams];
    __shared__ int boxes[kMostTeams][4];
    cover_triangles(face, 0, kDepthShift, triangles, boxes);
}

// Pass 2, 2-D over the patch: writes all of it and leaves the keys clean for the next face.
extern "C" __global__ void mien_raster_shade(MienFace face) {
    const int x = column(), y = line();
    if (x >= face.bgr.width || y >= face.bgr.height) return;
    unsigned long long* key = face.keys + static_cast<size_t>(y) * face.bgr.width + x;
    uint8_t* bgr = face.bgr.row(y) + 3 * static_cast<std::ptrdiff_t>(x);
    if (*key == kNothing) {
        const uint8_t* under = face.pictures.frame.row(y + face.mesh.top) +
                               3 * static_cast<std::ptrdiff_t>(x + face.mesh.left);
        bgr[0] = under[0];
        bgr[1] = under[1];
        bgr[2] = under[2];
        face.matte.row(y)[x] = 0;
        face.depth.row(y)[x] = mien::kFarthest;
        return;
    }
    show(face, *key, x, y, bgr, face.matte.row(y) + x, face.depth.row(y) + x);
    *key = kNothing;
}

// Pass 2 with the blend in it, for a matte that needs no softening: neither patch nor matte goes
// through memory. `out` is another frame of the same size (pixels are read from anywhere in the
// first), of which the patch's rectangle is written; face.bgr gives only the patch's size.
extern "C" __global__ void mien_raster_shade_blend(MienFace face, View<uint8_t> out) {
    const int x = column(), y = line();
    if (x >= face.bgr.width || y >= face.bgr.height) return;
    unsigned long long* key = face.keys + static_cast<size_t>(y) * face.bgr.width + x;
    const std::ptrdiff_t at = 3 * static_cast<std::ptrdiff_t>(x + face.mesh.left);
    const uint8_t* under = face.pictures.frame.row(y + face.mesh.top) + at;
    uint8_t* to = out.row(y + face.mesh.top) + at;
    uint8_t bgr[3] = {0, 0, 0};
    uint8_t matte = 0;
    if (*key != kNothing) {
        float depth;
        show(face, *key, x, y, bgr, &matte, &depth);
        *key = kNothing;
    }
    for (int c = 0; c < 3; ++c) to[c] = mien::blend_channel(under[c], bgr[c], matte);
}
