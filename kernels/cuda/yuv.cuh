// Sixteen pixels across and two down, from BGR to 4:2:0.
#pragma once

#include "launch.cuh"
#include "mien/yuv.hpp"

namespace {

constexpr int kAcross = 16;

__device__ __forceinline__ void load16(const uint8_t* from, uint32_t* words) {
    const uint4 v = *reinterpret_cast<const uint4*>(from);
    words[0] = v.x;
    words[1] = v.y;
    words[2] = v.z;
    words[3] = v.w;
}

__device__ __forceinline__ void store16(uint8_t* to, const uint32_t* words) {
    *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
}

__device__ __forceinline__ void load48(const uint8_t* from, uint32_t* words) {
    for (int k = 0; k < 3; ++k) load16(from + 16 * k, words + 4 * k);
}

__device__ __forceinline__ void store48(uint8_t* to, const uint32_t* words) {
    for (int k = 0; k < 3; ++k) store16(to + 16 * k, words + 4 * k);
}

// Chroma sample i of row j, and its up to four pixels of luma.
__device__ void quad_to_yuv(const View<const uint8_t>& bgr, const View<uint8_t>& luma,
                            const View<uint8_t>& u, const View<uint8_t>& v, int step,
                            const mien::YuvMatrix& matrix, int i, int j) {
    int b = 0, g = 0, r = 0;
    for (int k = 0; k < 4; ++k) {
        const int x = mien::clamp_to(2 * i + (k & 1), 0, bgr.width - 1);
        const int y = mien::clamp_to(2 * j + (k >> 1), 0, bgr.height - 1);
        const uint8_t* pixel = bgr.row(y) + 3 * static_cast<std::ptrdiff_t>(x);
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

// The tile whose first pixel is (x0, 2 * j). Step 2 interleaves u and v (NV12): v is u + 1.
__device__ __forceinline__ void tile_to_yuv(const View<const uint8_t>& bgr,
                                            const View<uint8_t>& luma, const View<uint8_t>& u,
                                            const View<uint8_t>& v, int step,
                                            const mien::YuvMatrix& matrix, int x0, int j) {
    const uint8_t* from = bgr.row(2 * j) + 3 * static_cast<std::ptrdiff_t>(x0);
    uint8_t* to = luma.row(2 * j) + x0;
    uint8_t* to_u = u.row(j) + step * (x0 / 2);
    uint8_t* to_v = v.row(j) + step * (x0 / 2);
    const bool whole = x0 + kAcross <= bgr.width && 2 * j + 2 <= bgr.height;
    const bool straight =
        aligned(from, 16) && aligned(to, 16) && bgr.row_stride % 16 == 0 &&
        luma.row_stride % 16 == 0 &&
        (step == 2 ? aligned(to_u, 16) : aligned(to_u, 4) && aligned(to_v, 4));
    if (!whole || !straight) {
        const int last = (bgr.width + 1) / 2;
        for (int i = x0 / 2; i < x0 / 2 + kAcross / 2 && i < last; ++i) {
            quad_to_yuv(bgr, luma, u, v, step, matrix, i, j);
        }
        return;
    }
    uint32_t in[2][12], out[2][4] = {};
    load48(from, in[0]);
    load48(from + bgr.row_stride, in[1]);
    uint32_t us[2] = {0, 0}, vs[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < kAcross / 2; ++i) {
        int sum[3] = {0, 0, 0};
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const int x = 2 * i + (k & 1), row = k >> 1;
            const uint8_t b = byte_of(in[row], 3 * x), g = byte_of(in[row], 3 * x + 1);
            const uint8_t r = byte_of(in[row], 3 * x + 2);
            sum[0] += b;
            sum[1] += g;
            sum[2] += r;
            put_byte(out[row], x, mien::luma_of(b, g, r, matrix));
        }
        const uint16_t b4 = static_cast<uint16_t>(sum[0]), g4 = static_cast<uint16_t>(sum[1]);
        const uint16_t r4 = static_cast<uint16_t>(sum[2]);
        put_byte(us, i, mien::chroma_u(b4, g4, r4, matrix));
        put_byte(vs, i, mien::chroma_v(b4, g4, r4, matrix));
    }
    store16(to, out[0]);
    store16(to + luma.row_stride, out[1]);
    if (step == 2) {
        uint32_t both[4] = {};
#pragma unroll
        for (int n = 0; n < kAcross; ++n) {
            put_byte(both, n, n & 1 ? byte_of(vs, n / 2) : byte_of(us, n / 2));
        }
        store16(to_u, both);
    } else {
        for (int k = 0; k < 2; ++k) {
            reinterpret_cast<uint32_t*>(to_u)[k] = us[k];
            reinterpret_cast<uint32_t*>(to_v)[k] = vs[k];
        }
    }
}

}  // namespace
