// CUDA side of the patch kernels: blend, matte, light, points, and the crop for a network. Streams
// and launch checks are the caller's. Strides are in elements.
#include "launch.cuh"
#include "mien/blend.hpp"
#include "mien/blur.hpp"
#include "mien/light.hpp"
#include "mien/points.hpp"
#include "mien/warp.hpp"

namespace {

constexpr int kFeatherWidth = 32, kFeatherHeight = 8;  // the block of mien_feather_blend
constexpr int kFeatherRadius = 8;                      // its largest radius

__device__ __forceinline__ void blend_pixel(uint8_t* under, const uint8_t* over, uint8_t matte) {
    for (int c = 0; c < 3; ++c) under[c] = mien::blend_channel(under[c], over[c], matte);
}

__device__ __forceinline__ mien::Float4 gain_at(const View<const float>& from,
                                                const View<const float>& to, int j, int i,
                                                float low, float high) {
    const float *a = from.row(j) + 3 * i, *b = to.row(j) + 3 * i;
    return mien::make_lanes(mien::light_gain(a[0], b[0], low, high),
                            mien::light_gain(a[1], b[1], low, high),
                            mien::light_gain(a[2], b[2], low, high), 0.0f);
}

}  // namespace

// 2-D over the patch, four pixels across a thread: twelve bytes of each picture in three words
// where they start at one.
extern "C" __global__ void mien_blend(View<uint8_t> frame, int left, int top,
                                      View<const uint8_t> bgr, View<const uint8_t> matte) {
    const int x = 4 * column(), y = line();
    if (x >= bgr.width || y >= bgr.height) return;
    uint8_t* under = frame.row(y + top) + 3 * static_cast<std::ptrdiff_t>(x + left);
    const uint8_t* over = bgr.row(y) + 3 * static_cast<std::ptrdiff_t>(x);
    const uint8_t* weights = matte.row(y) + x;
    if (x + 4 > bgr.width || !aligned(under, 4) || !aligned(over, 4) || !aligned(weights, 4)) {
        const int count = bgr.width - x < 4 ? bgr.width - x : 4;
        for (int i = 0; i < count; ++i) blend_pixel(under + 3 * i, over + 3 * i, weights[i]);
        return;
    }
    const uint32_t weight = *reinterpret_cast<const uint32_t*>(weights);
    if (weight == 0) return;
    const uint32_t* under_words = reinterpret_cast<const uint32_t*>(under);
    const uint32_t* over_words = reinterpret_cast<const uint32_t*>(over);
    const uint32_t below[3] = {under_words[0], under_words[1], under_words[2]};
    const uint32_t above[3] = {over_words[0], over_words[1], over_words[2]};
    uint32_t mixed[3] = {0, 0, 0};
#pragma unroll
    for (int n = 0; n < 12; ++n) {
        put_byte(mixed, n,
                 mien::blend_channel(byte_of(below, n), byte_of(above, n), byte_of(&weight, n / 3)));
    }
    for (int k = 0; k < 3; ++k) reinterpret_cast<uint32_t*>(under)[k] = mixed[k];
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

// One pass of the matte's softening and the blend, in one trip through memory: blocks of (32, 8)
// over the patch, radius 0..8. The matte itself stays as it is.
extern "C" __global__ void __launch_bounds__(kFeatherWidth* kFeatherHeight)
    mien_feather_blend(View<uint8_t> frame, int left, int top, View<const uint8_t> bgr,
                       View<const uint8_t> matte, int radius) {
    __shared__ uint8_t tile[kFeatherHeight + 2 * kFeatherRadius][kFeatherWidth + 2 * kFeatherRadius];
    __shared__ uint16_t sums[kFeatherHeight + 2 * kFeatherRadius][kFeatherWidth];
    const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
    const int x0 = static_cast<int>(blockIdx.x) * kFeatherWidth - radius;
    const int y0 = static_cast<int>(blockIdx.y) * kFeatherHeight - radius;
    const int rows = kFeatherHeight + 2 * radius, columns = kFeatherWidth + 2 * radius;
    for (int j = ty; j < rows; j += kFeatherHeight) {
        const uint8_t* row = matte.row(mien::clamp_to(y0 + j, 0, matte.height - 1));
        for (int i = tx; i < columns; i += kFeatherWidth) {
            tile[j][i] = row[mien::clamp_to(x0 + i, 0, matte.width - 1)];
        }
    }
    __syncthreads();
    for (int j = ty; j < rows; j += kFeatherHeight) {
        uint32_t sum = 0;
        for (int k = 0; k <= 2 * radius; ++k) sum += tile[j][tx + k];
        sums[j][tx] = static_cast<uint16_t>(sum);
    }
    __syncthreads();
    const int x = x0 + radius + tx, y = y0 + radius + ty;
    if (x >= bgr.width || y >= bgr.height) return;
    uint32_t sum = 0;
    for (int k = 0; k <= 2 * radius; ++k) sum += sums[ty + k][tx];
    const uint8_t weight = mien::window_mean(sum, mien::inverse_window(radius));
    if (weight == 0) return;
    blend_pixel(frame.row(y + top) + 3 * static_cast<std::ptrdiff_t>(x + left),
                bgr.row(y) + 3 * static_cast<std::ptrdiff_t>(x), weight);
}

// 2-D over the patch. Dynamic shared memory: 16 bytes a node for the gains of all nodes, made once
// a block; without it (`shared_nodes` 0) each pixel makes its own four.
extern "C" __global__ void mien_light_transfer(View<uint8_t> patch, View<const float> from,
                                               View<const float> to, float low, float high,
                                               int shared_nodes) {
    MIEN_DYNAMIC_SHARED(memory);
    mien::Float4* gains = reinterpret_cast<mien::Float4*>(memory);
    const int nodes = from.width * from.height;
    const bool held = shared_nodes >= nodes;
    if (held) {
        const int threads = static_cast<int>(blockDim.x * blockDim.y);
        for (int n = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x); n < nodes;
             n += threads) {
            gains[n] = gain_at(from, to, n / from.width, n % from.width, low, high);
        }
        __syncthreads();
    }
    const int x = column(), y = line();
    if (x >= patch.width || y >= patch.height) return;
    const mien::GridPlace across = mien::grid_place(x, patch.width, from.width);
    const mien::GridPlace down = mien::grid_place(y, patch.height, from.height);
    const int right = from.width > 1 ? 1 : 0, below = from.height > 1 ? 1 : 0;
    const auto gain = [&](int j, int i) {
        return held ? gains[j * from.width + i] : gain_at(from, to, j, i, low, high);
    };
    const int i = across.node, j = down.node;
    const mien::Float4 first = mien::mix(gain(j, i), gain(j + below, i), down.weight);
    const mien::Float4 second =
        mien::mix(gain(j, i + right), gain(j + below, i + right), down.weight);
    uint8_t* pixel = patch.row(y) + 3 * static_cast<std::ptrdiff_t>(x);
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

// 2-D over the crop, which is written as R, G, B times `scale`: planes (channel_step = height *
// width, pixel_step = 1) or pixels (channel_step = 1, pixel_step = 3).
extern "C" __global__ void mien_warp_crop(View<const uint8_t> frame, mien::Affine map, int width,
                                          int height, float scale, int channel_step, int pixel_step,
                                          float* out) {
    const int i = column(), j = line();
    if (i >= width || j >= height) return;
    float bgr[4];
    mien::store_lanes(mien::warp_pixel(frame, map, i, j), bgr);
    float* pixel = out + static_cast<std::ptrdiff_t>(pixel_step) * (j * width + i);
    for (int c = 0; c < 3; ++c) pixel[c * channel_step] = bgr[2 - c] * scale;
}
