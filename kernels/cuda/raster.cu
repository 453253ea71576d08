// CUDA side of the face rasteriser: which triangle is nearest at each pixel, then what it shows.
// Streams and launch checks are the caller's. Strides are in elements.
#include "launch.cuh"
#include "mien/blend.hpp"
#include "mien/raster.hpp"

namespace {

constexpr int kLanes = 32;       // threads that share a triangle: one warp
constexpr int kMostTeams = 8;    // triangles of a block
constexpr unsigned long long kNothing = ~0ull;

// Floats in the order of unsigned integers; adding nothing turns -0 into 0.
__device__ __forceinline__ unsigned int ordered(float value) {
    const unsigned int bits = __float_as_uint(value + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

}  // namespace

// Everything that the passes share; a plain struct, passed by value.
struct MienFace {
    mien::FaceMesh mesh;
    mien::FacePictures pictures;
    const int32_t* triangles;  // (M, 3)
    int32_t triangle_count;
    View<uint8_t> bgr;
    View<uint8_t> matte;
    View<float> depth;
    mien::Triangle* set_up;    // (M), scratch
    unsigned long long* keys;  // (h, w), scratch: depth in the high half, triangle in the low;
                               // all ones before the first pass, and again after the second
};

// The host makes room for these and packs those; it knows the sizes as numbers.
static_assert(sizeof(MienFace) == 224, "mien.gpu.packing.Face must follow");
#if defined(__CUDACC__)
static_assert(sizeof(mien::Triangle) == 248, "mien.gpu.packing.TRIANGLE_BYTES must follow");
#endif

namespace {

// Columns that a triangle may touch, not clipped; its rows are in the triangle.
__device__ __forceinline__ void columns_of(const MienFace& face, const int32_t* corner, int* first,
                                           int* last) {
    int low = 0, high = 0;
    for (int k = 0; k < 3; ++k) {
        const float x = face.mesh.vertices[3 * static_cast<std::ptrdiff_t>(corner[k])];
        const int at = mien::round_to_int((x - static_cast<float>(face.mesh.left)) * mien::kSnap);
        low = k == 0 || at < low ? at : low;
        high = k == 0 || at > high ? at : high;
    }
    *first = (low + mien::kSnap - 1) >> 8;
    *last = high >> 8;
}

// The colour and matte at a pixel that a triangle covers.
__device__ __forceinline__ void show(const MienFace& face, unsigned long long key, int x, int y,
                                     uint8_t* bgr, uint8_t* matte, float* depth) {
    const mien::Triangle& t = face.set_up[static_cast<unsigned int>(key)];
    const mien::TriangleRow row = mien::triangle_row(t, y);
    *depth = mien::depth_at(t, row, x);
    mien::shade(t, row, face.pictures, face.pictures.limits(), x, bgr, matte);
}

}  // namespace

// Pass 1: blocks of (32, triangles of a block), 1-D grid over the triangles. The nearest wins, of
// equals the first, as on the CPU. A warp walks its triangle's box: faces have some 900 triangles
// of a few hundred pixels.
extern "C" __global__ void mien_raster_cover(MienFace face) {
    __shared__ mien::Triangle triangles[kMostTeams];
    __shared__ int boxes[kMostTeams][4];
    const int team = static_cast<int>(threadIdx.y), lane = static_cast<int>(threadIdx.x);
    const int index = static_cast<int>(blockIdx.x * blockDim.y) + team;
    if (index >= face.triangle_count) return;  // a whole warp
    mien::Triangle& t = triangles[team];
    int* box = boxes[team];
    if (lane == 0) {
        const int32_t* corner = face.triangles + 3 * static_cast<std::ptrdiff_t>(index);
        box[0] = 0;
        box[2] = -1;
        if (mien::set_up_triangle(face.mesh, face.pictures, corner, t)) {
            columns_of(face, corner, &box[0], &box[2]);
            box[0] = box[0] > 0 ? box[0] : 0;
            box[2] = box[2] < face.bgr.width - 1 ? box[2] : face.bgr.width - 1;
            face.set_up[index] = t;
        }
        box[1] = t.y_first > 0 ? t.y_first : 0;
        box[3] = t.y_last < face.bgr.height - 1 ? t.y_last : face.bgr.height - 1;
    }
    __syncwarp();
    const int width = box[2] - box[0] + 1;
    if (width <= 0 || box[3] < box[1]) return;
    const long long pixels = static_cast<long long>(width) * (box[3] - box[1] + 1);
    for (long long i = lane; i < pixels; i += kLanes) {
        const int down = static_cast<int>(i / width);
        const int x = box[0] + static_cast<int>(i - static_cast<long long>(down) * width);
        const int y = box[1] + down;
        if (!mien::covers(t, x, y)) continue;
        const float z = mien::depth_at(t, mien::triangle_row(t, y), x);
        if (!(z < mien::kFarthest)) continue;
        atomicMin(face.keys + static_cast<size_t>(y) * face.bgr.width + x,
                  static_cast<unsigned long long>(ordered(z)) << 32 |
                      static_cast<unsigned int>(index));
    }
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
