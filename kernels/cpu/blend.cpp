#include "mien/blend.hpp"

#include <algorithm>
#include <cstring>

#include "kernels.hpp"
#include "parallel.hpp"

namespace mien {
namespace {

constexpr int32_t kChunk = 64;

bool all_zero(const uint8_t* bytes, int32_t count) {
    uint64_t seen = 0;
    int32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t eight;
        std::memcpy(&eight, bytes + i, 8);
        seen |= eight;
    }
    for (; i < count; ++i) seen |= bytes[i];
    return seen == 0;
}

// A chunk at a time, with the matte spread to one byte per channel so that the arithmetic is one
// flat loop. Chunks outside the face are skipped.
void blend_row(uint8_t* under, const uint8_t* over, const uint8_t* matte, int32_t width) {
    uint8_t spread[3 * kChunk];
    uint8_t mixed[3 * kChunk];
    for (int32_t x = 0; x < width; x += kChunk) {
        const int32_t count = std::min(kChunk, width - x);
        if (all_zero(matte + x, count)) continue;
        for (int32_t i = 0; i < count; ++i) {
            spread[3 * i] = spread[3 * i + 1] = spread[3 * i + 2] = matte[x + i];
        }
        const std::ptrdiff_t start = 3 * static_cast<std::ptrdiff_t>(x);
        for (int32_t i = 0; i < 3 * count; ++i) {
            mixed[i] = blend_channel(under[start + i], over[start + i], spread[i]);
        }
        std::memcpy(under + start, mixed, 3 * static_cast<std::size_t>(count));
    }
}

}  // namespace

void blend(View<uint8_t> frame, int32_t left, int32_t top, View<const uint8_t> bgr,
           View<const uint8_t> matte, int threads) {
    for_bands(bgr.height, threads, 64, [&](int32_t first, int32_t last) {
        for (int32_t y = first; y < last; ++y) {
            blend_row(frame.row(y + top) + 3 * static_cast<std::ptrdiff_t>(left), bgr.row(y),
                      matte.row(y), bgr.width);
        }
    });
}

}  // namespace mien
