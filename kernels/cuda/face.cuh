// A face to be drawn, and the first pass over it: which triangle is nearest at each pixel.
#pragma once

#include "launch.cuh"
#include "mien/raster.hpp"

// Everything that the passes share; a plain struct.
struct MienFace {
    mien::FaceMesh mesh;
    mien::FacePictures pictures;
    const int32_t* triangles;  // (M, 3)
    int32_t triangle_count;
    View<uint8_t> bgr;
    View<uint8_t> matte;
    View<float> depth;
    mien::Triangle* set_up;    // (M), scratch
    unsigned long long* keys;  // (h, w), scratch: nearer is smaller
};

// The host makes room for these and packs those; it knows the sizes as numbers.
static_assert(sizeof(MienFace) == 224, "mien.gpu.packing.Face must follow");
#if defined(__CUDACC__)
static_assert(sizeof(mien::Triangle) == 248, "mien.gpu.packing.TRIANGLE_BYTES must follow");
#endif

namespace {

constexpr int kLanes = 32;     // threads that share a triangle: one warp
constexpr int kMostTeams = 8;  // triangles of a block

// Floats in the order of unsigned integers; adding nothing turns -0 into 0.
__device__ __forceinline__ unsigned int ordered(float value) {
    const unsigned int bits = __float_as_uint(value + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

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

// Blocks of (32, triangles of a block), 1-D grid over the triangles. The nearest wins, of equals
// the first, as on the CPU. A warp walks its triangle's box: faces have some 900 triangles of a
// few hundred pixels. A key is `above`, the depth shifted up by `depth_shift`, and the triangle.
__device__ __forceinline__ void cover_triangles(const MienFace& face, unsigned long long above,
                                                int depth_shift, mien::Triangle* triangles,
                                                int (*boxes)[4]) {
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
                  above | static_cast<unsigned long long>(ordered(z)) << depth_shift |
                      static_cast<unsigned int>(index));
    }
}

}  // namespace
