// CUDA side of the colour conversions. Each thread has sixteen pixels across and two down: one
// 16-byte load or store a row and plane, three for BGR; where rows do not start at multiples of 16
// bytes, or the picture ends, byte by byte. Streams and launch checks are the caller's.
#include "yuv.cuh"

namespace {

__device__ void pixel_to_bgr(const View<const uint8_t>& luma, const View<const uint8_t>& u,
                             const View<const uint8_t>& v, int step, const mien::YuvMatrix& matrix,
                             const View<uint8_t>& bgr, int x, int y) {
    uint8_t* pixel = bgr.row(y) + 3 * static_cast<std::ptrdiff_t>(x);
    const uint8_t cu = u.row(y / 2)[step * (x / 2)], cv = v.row(y / 2)[step * (x / 2)];
    pixel[0] = mien::blue_of(luma.row(y)[x], cu, matrix);
    pixel[1] = mien::green_of(luma.row(y)[x], cu, cv, matrix);
    pixel[2] = mien::red_of(luma.row(y)[x], cv, matrix);
}

}  // namespace

// 2-D over (width / 16, height / 2), rounded up. Step 2 interleaves u and v (NV12): v is u + 1.
extern "C" __global__ void mien_bgr_to_yuv(View<const uint8_t> bgr, View<uint8_t> luma,
                                           View<uint8_t> u, View<uint8_t> v, int step,
                                           mien::YuvMatrix matrix) {
    const int x0 = kAcross * column(), j = line();
    if (x0 >= bgr.width || 2 * j >= bgr.height) return;
    tile_to_yuv(bgr, luma, u, v, step, matrix, x0, j);
}

// 2-D over (width / 16, height / 2), rounded up.
extern "C" __global__ void mien_yuv_to_bgr(View<const uint8_t> luma, View<const uint8_t> u,
                                           View<const uint8_t> v, int step, mien::YuvMatrix matrix,
                                           View<uint8_t> bgr) {
    const int x0 = kAcross * column(), j = line();
    if (x0 >= bgr.width || 2 * j >= bgr.height) return;
    const uint8_t* from = luma.row(2 * j) + x0;
    const uint8_t* from_u = u.row(j) + step * (x0 / 2);
    const uint8_t* from_v = v.row(j) + step * (x0 / 2);
    uint8_t* to = bgr.row(2 * j) + 3 * static_cast<std::ptrdiff_t>(x0);
    const bool whole = x0 + kAcross <= bgr.width && 2 * j + 2 <= bgr.height;
    const bool straight =
        aligned(from, 16) && aligned(to, 16) && bgr.row_stride % 16 == 0 &&
        luma.row_stride % 16 == 0 &&
        (step == 2 ? aligned(from_u, 16) : aligned(from_u, 4) && aligned(from_v, 4));
    if (!whole || !straight) {
        for (int k = 0; k < 2 * kAcross; ++k) {
            const int x = x0 + k % kAcross, y = 2 * j + k / kAcross;
            if (x < bgr.width && y < bgr.height)
                pixel_to_bgr(luma, u, v, step, matrix, bgr, x, y);
        }
        return;
    }
    uint32_t in[2][4], chroma[4] = {};
    load16(from, in[0]);
    load16(from + luma.row_stride, in[1]);
    if (step == 2) {
        load16(from_u, chroma);
    } else {
#pragma unroll
        for (int n = 0; n < kAcross; ++n) {
            const uint32_t* words = reinterpret_cast<const uint32_t*>(n & 1 ? from_v : from_u);
            put_byte(chroma, n, static_cast<uint8_t>(words[n / 8] >> (8 * (n / 2 % 4))));
        }
    }
#pragma unroll
    for (int row = 0; row < 2; ++row) {
        uint32_t out[12] = {};
#pragma unroll
        for (int x = 0; x < kAcross; ++x) {
            const uint8_t y = byte_of(in[row], x);
            const uint8_t cu = byte_of(chroma, x & ~1), cv = byte_of(chroma, x | 1);
            put_byte(out, 3 * x, mien::blue_of(y, cu, matrix));
            put_byte(out, 3 * x + 1, mien::green_of(y, cu, cv, matrix));
            put_byte(out, 3 * x + 2, mien::red_of(y, cv, matrix));
        }
        store48(to + row * bgr.row_stride, out);
    }
}
