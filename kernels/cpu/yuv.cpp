#include "mien/yuv.hpp"

#include <vector>

#include "kernels.hpp"
#include "parallel.hpp"

namespace mien {
namespace {

// Rows are functions of plain pointers and counts: a byte store may change anything reached by
// reference, a captured width included, and then no loop vectorises.

using Bytes = std::vector<uint8_t>;

// One row of BGR taken apart, so that the arithmetic runs over whole registers. The last pixel
// is doubled where the width is odd.
struct PlanarRow {
    Bytes b, g, r;

    explicit PlanarRow(int32_t width)
        : b(static_cast<std::size_t>(width) + 1), g(b.size()), r(b.size()) {}
};

void split(const uint8_t* bgr, int32_t width, uint8_t* b, uint8_t* g, uint8_t* r) {
    for (int32_t x = 0; x < width; ++x) {
        b[x] = bgr[3 * x];
        g[x] = bgr[3 * x + 1];
        r[x] = bgr[3 * x + 2];
    }
    b[width] = b[width - 1];
    g[width] = g[width - 1];
    r[width] = r[width - 1];
}

void luma_row(const uint8_t* b, const uint8_t* g, const uint8_t* r, int32_t width, YuvMatrix m,
              uint8_t* y) {
    for (int32_t x = 0; x < width; ++x) y[x] = luma_of(b[x], g[x], r[x], m);
}

void pair_sums(const uint8_t* upper, const uint8_t* lower, int32_t pairs, uint16_t* sums) {
    for (int32_t x = 0; x < pairs; ++x) {
        sums[x] = static_cast<uint16_t>(upper[2 * x] + upper[2 * x + 1] + lower[2 * x] +
                                        lower[2 * x + 1]);
    }
}

void chroma_row(const uint16_t* b, const uint16_t* g, const uint16_t* r, int32_t pairs, YuvMatrix m,
                uint8_t* u, uint8_t* v) {
    for (int32_t x = 0; x < pairs; ++x) u[x] = chroma_u(b[x], g[x], r[x], m);
    for (int32_t x = 0; x < pairs; ++x) v[x] = chroma_v(b[x], g[x], r[x], m);
}

void interleave(const uint8_t* u, const uint8_t* v, int32_t pairs, uint8_t* uv) {
    for (int32_t x = 0; x < pairs; ++x) {
        uv[2 * x] = u[x];
        uv[2 * x + 1] = v[x];
    }
}

void repeat(const uint8_t* chroma, int32_t step, int32_t pairs, uint8_t* wide) {
    if (step == 1) {
        for (int32_t x = 0; x < pairs; ++x) wide[2 * x] = wide[2 * x + 1] = chroma[x];
        return;
    }
    for (int32_t x = 0; x < pairs; ++x) wide[2 * x] = wide[2 * x + 1] = chroma[2 * x];
}

void colour_rows(const uint8_t* y, const uint8_t* u, const uint8_t* v, int32_t width, YuvMatrix m,
                 uint8_t* b, uint8_t* g, uint8_t* r) {
    for (int32_t x = 0; x < width; ++x) b[x] = blue_of(y[x], u[x], m);
    for (int32_t x = 0; x < width; ++x) g[x] = green_of(y[x], u[x], v[x], m);
    for (int32_t x = 0; x < width; ++x) r[x] = red_of(y[x], v[x], m);
}

void join(const uint8_t* b, const uint8_t* g, const uint8_t* r, int32_t width, uint8_t* bgr) {
    for (int32_t x = 0; x < width; ++x) {
        bgr[3 * x] = b[x];
        bgr[3 * x + 1] = g[x];
        bgr[3 * x + 2] = r[x];
    }
}

}  // namespace

void bgr_to_yuv(View<const uint8_t> bgr, const YuvPlanes<uint8_t>& out, const YuvMatrix& matrix,
                int threads) {
    const int32_t width = bgr.width, height = bgr.height;
    const int32_t pairs = (width + 1) / 2;
    for_bands((height + 1) / 2, threads, 32, [&](int32_t first, int32_t last) {
        PlanarRow upper(width), lower(width);
        const std::size_t size = static_cast<std::size_t>(pairs);
        std::vector<uint16_t> b(size), g(size), r(size);
        Bytes u(size), v(size);
        const auto take = [&](PlanarRow& row, int32_t y) {
            split(bgr.row(y), width, row.b.data(), row.g.data(), row.r.data());
            luma_row(row.b.data(), row.g.data(), row.r.data(), width, matrix, out.y.row(y));
        };
        for (int32_t j = first; j < last; ++j) {
            const bool whole = 2 * j + 1 < height;
            take(upper, 2 * j);
            if (whole) take(lower, 2 * j + 1);
            const PlanarRow& second = whole ? lower : upper;
            pair_sums(upper.b.data(), second.b.data(), pairs, b.data());
            pair_sums(upper.g.data(), second.g.data(), pairs, g.data());
            pair_sums(upper.r.data(), second.r.data(), pairs, r.data());
            if (out.step == 1) {
                chroma_row(b.data(), g.data(), r.data(), pairs, matrix, out.u.row(j), out.v.row(j));
            } else {
                chroma_row(b.data(), g.data(), r.data(), pairs, matrix, u.data(), v.data());
                interleave(u.data(), v.data(), pairs, out.u.row(j));
            }
        }
    });
}

void yuv_to_bgr(const YuvPlanes<const uint8_t>& in, View<uint8_t> bgr, const YuvMatrix& matrix,
                int threads) {
    const int32_t width = bgr.width;
    const int32_t pairs = (width + 1) / 2;
    for_bands(bgr.height, threads, 64, [&](int32_t first, int32_t last) {
        const std::size_t size = 2 * static_cast<std::size_t>(pairs);
        Bytes u(size), v(size), b(size), g(size), r(size);
        for (int32_t y = first; y < last; ++y) {
            repeat(in.u.row(y / 2), in.step, pairs, u.data());
            repeat(in.v.row(y / 2), in.step, pairs, v.data());
            colour_rows(in.y.row(y), u.data(), v.data(), width, matrix, b.data(), g.data(),
                        r.data());
            join(b.data(), g.data(), r.data(), width, bgr.row(y));
        }
    });
}

}  // namespace mien
