// CUDA side of the face kernels: find the element, call the shared maths. Every launch covers its
// picture with any grid of 2-D blocks (or 1-D where said); streams and launch checks are the
// caller's. Strides are in elements.
#include "mien/blend.hpp"
#include "mien/blur.hpp"
#include "mien/light.hpp"
#include "mien/points.hpp"
#include "mien/raster.hpp"
#include "mien/yuv.hpp"

namespace {

using mien::View;

__device__ int column() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }
__device__ int line() { return static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); }

// Floats in the order of unsigned integers; adding nothing turns -0 into 0.
__device__ unsigned int ordered(float value) {
    const unsigned int bits = __float_as_uint(value + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

}  // namespace

// Everything that the three passes of the rasteriser share; a plain struct, passed by value.
struct MienFace {
    mien::FaceMesh mesh;
    mien::FacePictures pictures;
    const int32_t* triangles;  // (M, 3)
    int32_t triangle_count;
    View<uint8_t> bgr;
    View<uint8_t> matte;
    View<float> depth;
    mien::Triangle* set_up;    // (M), scratch
    unsigned long long* keys;  // (h, w), scratch: depth in the high half, triangle in the low
};

// Pass 1, 2-D over the patch.
extern "C" __global__ void mien_raster_clear(MienFace face) {
    const int x = column(), y = line();
    if (x >= face.bgr.width || y >= face.bgr.height) return;
    const uint8_t* under = face.pictures.frame.row(y + face.mesh.top) + 3 * (x + face.mesh.left);
    uint8_t* out = face.bgr.row(y) + 3 * x;
    out[0] = under[0];
    out[1] = under[1];
    out[2] = under[2];
    face.matte.row(y)[x] = 0;
    face.depth.row(y)[x] = mien::kFarthest;
    face.keys[static_cast<size_t>(y) * face.bgr.width + x] = ~0ull;
}

// Pass 2, one block a triangle: the nearest wins, of equals the first, as on the CPU.
extern "C" __global__ void mien_raster_cover(MienFace face) {
    __shared__ mien::Triangle t;
    __shared__ bool drawn;
    const int index = static_cast<int>(blockIdx.x);
    if (index >= face.triangle_count) return;
    if (threadIdx.x == 0) {
        drawn = mien::set_up_triangle(face.mesh, face.pictures, face.triangles + 3 * index, t);
        if (drawn) face.set_up[index] = t;
    }
    __syncthreads();
    if (!drawn) return;
    const int first = t.y_first > 0 ? t.y_first : 0;
    const int last = t.y_last < face.bgr.height - 1 ? t.y_last : face.bgr.height - 1;
    for (int y = first; y <= last; ++y) {
        const mien::TriangleRow row = mien::triangle_row(t, y);
        for (int x = static_cast<int>(threadIdx.x); x < face.bgr.width;
             x += static_cast<int>(blockDim.x)) {
            if (!mien::covers(t, x, y)) continue;
            const float z = mien::depth_at(t, row, x);
            if (!(z < mien::kFarthest)) continue;
            atomicMin(face.keys + static_cast<size_t>(y) * face.bgr.width + x,
                      static_cast<unsigned long long>(ordered(z)) << 32 |
                          static_cast<unsigned int>(index));
        }
    }
}

// Pass 3, 2-D over the patch.
extern "C" __global__ void mien_raster_shade(MienFace face) {
    const int x = column(), y = line();
    if (x >= face.bgr.width || y >= face.bgr.height) return;
    const unsigned long long key = face.keys[static_cast<size_t>(y) * face.bgr.width + x];
    if (key == ~0ull) return;
    const mien::Triangle& t = face.set_up[static_cast<unsigned int>(key)];
    const mien::TriangleRow row = mien::triangle_row(t, y);
    face.depth.row(y)[x] = mien::depth_at(t, row, x);
    mien::shade(t, row, face.pictures, face.pictures.limits(), x, face.bgr.row(y) + 3 * x,
                face.matte.row(y) + x);
}

extern "C" __global__ void mien_blend(View<uint8_t> frame, int left, int top,
                                      View<const uint8_t> bgr, View<const uint8_t> matte) {
    const int x = column(), y = line();
    if (x >= bgr.width || y >= bgr.height) return;
    uint8_t* under = frame.row(y + top) + 3 * (x + left);
    const uint8_t* over = bgr.row(y) + 3 * x;
    for (int c = 0; c < 3; ++c) under[c] = mien::blend_channel(under[c], over[c], matte.row(y)[x]);
}

extern "C" __global__ void mien_blur_rows(View<const uint8_t> matte, int radius,
                                          View<uint32_t> sums) {
    const int x = column(), y = line();
    if (x >= matte.width || y >= matte.height) return;
    uint32_t sum = 0;
    for (int k = -radius; k <= radius; ++k)
        sum += matte.row(y)[mien::clamp_to(x + k, 0, matte.width - 1)];
    sums.row(y)[x] = sum;
}

extern "C" __global__ void mien_blur_columns(View<const uint32_t> sums, int radius,
                                             View<uint8_t> matte) {
    const int x = column(), y = line();
    if (x >= matte.width || y >= matte.height) return;
    uint32_t sum = 0;
    for (int k = -radius; k <= radius; ++k)
        sum += sums.row(mien::clamp_to(y + k, 0, matte.height - 1))[x];
    matte.row(y)[x] = mien::window_mean(sum, mien::inverse_window(radius));
}

extern "C" __global__ void mien_light_transfer(View<uint8_t> patch, View<const float> from,
                                               View<const float> to, float low, float high) {
    const int x = column(), y = line();
    if (x >= patch.width || y >= patch.height) return;
    const mien::GridPlace across = mien::grid_place(x, patch.width, from.width);
    const mien::GridPlace down = mien::grid_place(y, patch.height, from.height);
    const int right = from.width > 1 ? 1 : 0, below = from.height > 1 ? 1 : 0;
    const auto gain = [&](int j, int i) {
        const float *a = from.row(j) + 3 * i, *b = to.row(j) + 3 * i;
        return mien::make_lanes(mien::light_gain(a[0], b[0], low, high),
                                mien::light_gain(a[1], b[1], low, high),
                                mien::light_gain(a[2], b[2], low, high), 0.0f);
    };
    const int i = across.node, j = down.node;
    const mien::Float4 first = mien::mix(gain(j, i), gain(j + below, i), down.weight);
    const mien::Float4 second =
        mien::mix(gain(j, i + right), gain(j + below, i + right), down.weight);
    uint8_t* pixel = patch.row(y) + 3 * x;
    const uint32_t lit = mien::relight(mien::load3(pixel), mien::mix(first, second, across.weight));
    pixel[0] = static_cast<uint8_t>(lit);
    pixel[1] = static_cast<uint8_t>(lit >> 8);
    pixel[2] = static_cast<uint8_t>(lit >> 16);
}

// 1-D over the points.
extern "C" __global__ void mien_sample_points(View<const uint8_t> frame, const float* xy, int count,
                                              int radius, float* out) {
    const int i = column();
    if (i < count) mien::sample_point(frame, xy[2 * i], xy[2 * i + 1], radius, out + 3 * i);
}

// 2-D over the chroma plane: up to four pixels a thread. step 2 interleaves u and v (NV12).
extern "C" __global__ void mien_bgr_to_yuv(View<const uint8_t> bgr, View<uint8_t> luma,
                                           View<uint8_t> u, View<uint8_t> v, int step,
                                           mien::YuvMatrix matrix) {
    const int i = column(), j = line();
    if (i >= (bgr.width + 1) / 2 || j >= (bgr.height + 1) / 2) return;
    int b = 0, g = 0, r = 0;
    for (int k = 0; k < 4; ++k) {
        const int x = mien::clamp_to(2 * i + (k & 1), 0, bgr.width - 1);
        const int y = mien::clamp_to(2 * j + (k >> 1), 0, bgr.height - 1);
        const uint8_t* pixel = bgr.row(y) + 3 * x;
        b += pixel[0];
        g += pixel[1];
        r += pixel[2];
        luma.row(y)[x] = mien::luma_of(pixel[0], pixel[1], pixel[2], matrix);
    }
    const uint16_t b4 = static_cast<uint16_t>(b), g4 = static_cast<uint16_t>(g);
    const uint16_t r4 = static_cast<uint16_t>(r);
    u.row(j)[step * i] = mien::chroma_u(b4, g4, r4, matrix);
    v.row(j)[step * i] = mien::chroma_v(b4, g4, r4, matrix);
}

extern "C" __global__ void mien_yuv_to_bgr(View<const uint8_t> luma, View<const uint8_t> u,
                                           View<const uint8_t> v, int step, mien::YuvMatrix matrix,
                                           View<uint8_t> bgr) {
    const int x = column(), y = line();
    if (x >= bgr.width || y >= bgr.height) return;
    uint8_t* pixel = bgr.row(y) + 3 * x;
    const uint8_t cu = u.row(y / 2)[step * (x / 2)], cv = v.row(y / 2)[step * (x / 2)];
    pixel[0] = mien::blue_of(luma.row(y)[x], cu, matrix);
    pixel[1] = mien::green_of(luma.row(y)[x], cu, cv, matrix);
    pixel[2] = mien::red_of(luma.row(y)[x], cv, matrix);
}
