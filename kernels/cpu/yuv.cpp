#include "mien/yuv.hpp"

#include <vector>

#include "kernels.hpp"
#include "parallel.hpp"

namespace mien {
namespace {

// One row of BGR taken apart, so that the arithmetic runs over whole registers. The last pixel
// is doubled where the width is odd.
struct PlanarRow {
    std::vector<uint8_t> b, g, r;

    explicit PlanarRow(int32_t width)
        : b(static_cast<std::size_t>(width) + 1), g(b.size()), r(b.size()) {}

    void take(const uint8_t* bgr, int32_t width) {
        uint8_t *to_b = b.data(), *to_g = g.data(), *to_r = r.data();
        for (int32_t x = 0; x < width; ++x) {
            to_b[x] = bgr[3 * x];
            to_g[x] = bgr[3 * x + 1];
            to_r[x] = bgr[3 * x + 2];
        }
        to_b[width] = to_b[width - 1];
        to_g[width] = to_g[width - 1];
        to_r[width] = to_r[width - 1];
    }

    void luma(uint8_t* out, int32_t width, const YuvMatrix& m) const {
        const uint8_t *from_b = b.data(), *from_g = g.data(), *from_r = r.data();
        for (int32_t x = 0; x < width; ++x) out[x] = luma_of(from_b[x], from_g[x], from_r[x], m);
    }
};

void pair_sums(const std::vector<uint8_t>& upper, const std::vector<uint8_t>& lower, int32_t count,
               int32_t* sums) {
    const uint8_t *a = upper.data(), *b = lower.data();
    for (int32_t x = 0; x < count; ++x) sums[x] = a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1];
}

}  // namespace

void bgr_to_yuv(View<const uint8_t> bgr, const YuvPlanes<uint8_t>& out, const YuvMatrix& matrix,
                int threads) {
    const int32_t width = bgr.width, height = bgr.height;
    const int32_t pairs = (width + 1) / 2;
    for_bands((height + 1) / 2, threads, 32, [&](int32_t first, int32_t last) {
        PlanarRow upper(width), lower(width);
        const std::size_t size = static_cast<std::size_t>(pairs);
        std::vector<int32_t> b(size), g(size), r(size);
        std::vector<uint8_t> u(size), v(size);
        const YuvMatrix m = matrix;  // a copy that no store of bytes can touch
        for (int32_t j = first; j < last; ++j) {
            upper.take(bgr.row(2 * j), width);
            upper.luma(out.y.row(2 * j), width, m);
            const bool has_lower = 2 * j + 1 < height;
            if (has_lower) {
                lower.take(bgr.row(2 * j + 1), width);
                lower.luma(out.y.row(2 * j + 1), width, m);
            }
            const PlanarRow& second = has_lower ? lower : upper;
            pair_sums(upper.b, second.b, pairs, b.data());
            pair_sums(upper.g, second.g, pairs, g.data());
            pair_sums(upper.r, second.r, pairs, r.data());
            const int32_t *bs = b.data(), *gs = g.data(), *rs = r.data();
            uint8_t* us = out.step == 1 ? out.u.row(j) : u.data();
            uint8_t* vs = out.step == 1 ? out.v.row(j) : v.data();
            for (int32_t x = 0; x < pairs; ++x) us[x] = chroma_u(bs[x], gs[x], rs[x], m);
            for (int32_t x = 0; x < pairs; ++x) vs[x] = chroma_v(bs[x], gs[x], rs[x], m);
            if (out.step == 2) {
                uint8_t* uv = out.u.row(j);
                for (int32_t x = 0; x < pairs; ++x) {
                    uv[2 * x] = us[x];
                    uv[2 * x + 1] = vs[x];
                }
            }
        }
    });
}

void yuv_to_bgr(const YuvPlanes<const uint8_t>& in, View<uint8_t> bgr, const YuvMatrix& matrix,
                int threads) {
    const int32_t width = bgr.width;
    for_bands(bgr.height, threads, 64, [&](int32_t first, int32_t last) {
        const std::size_t size = static_cast<std::size_t>(width) + 1;
        std::vector<uint8_t> u(size), v(size), b(size), g(size), r(size);
        const YuvMatrix m = matrix;
        for (int32_t y = first; y < last; ++y) {
            const uint8_t *us = in.u.row(y / 2), *vs = in.v.row(y / 2);
            uint8_t *wide_u = u.data(), *wide_v = v.data();
            const std::ptrdiff_t step = in.step;
            for (std::ptrdiff_t x = 0; x < (width + 1) / 2; ++x) {
                wide_u[2 * x] = wide_u[2 * x + 1] = us[step * x];
                wide_v[2 * x] = wide_v[2 * x + 1] = vs[step * x];
            }
            const uint8_t* luma = in.y.row(y);
            uint8_t *to_b = b.data(), *to_g = g.data(), *to_r = r.data();
            for (int32_t x = 0; x < width; ++x) {
                uint8_t pixel[3];
                bgr_of(luma[x], wide_u[x], wide_v[x], m, pixel);
                to_b[x] = pixel[0];
                to_g[x] = pixel[1];
                to_r[x] = pixel[2];
            }
            uint8_t* out = bgr.row(y);
            for (int32_t x = 0; x < width; ++x) {
                out[3 * x] = to_b[x];
                out[3 * x + 1] = to_g[x];
                out[3 * x + 2] = to_r[x];
            }
        }
    });
}

}  // namespace mien
