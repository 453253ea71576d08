#include "mien/blur.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels.hpp"
#include "parallel.hpp"

namespace mien {
namespace {

// Sums over 2 * radius + 1 neighbours in the row. Small windows are added up tap by tap, which
// vectorises; large ones run along.
void sum_row(const uint8_t* row, int32_t width, int32_t radius, std::vector<uint8_t>& padded,
             uint16_t* sums) {
    const std::size_t pad = static_cast<std::size_t>(radius);
    const std::size_t count = static_cast<std::size_t>(width);
    padded.resize(count + 2 * pad);
    std::memset(padded.data(), row[0], pad);
    std::memcpy(padded.data() + pad, row, count);
    std::memset(padded.data() + pad + count, row[width - 1], pad);
    const uint8_t* taps = padded.data();
    if (radius <= 8) {
        for (int32_t x = 0; x < width; ++x) sums[x] = taps[x];
        for (int32_t k = 1; k <= 2 * radius; ++k) {
            for (int32_t x = 0; x < width; ++x)
                sums[x] = static_cast<uint16_t>(sums[x] + taps[x + k]);
        }
        return;
    }
    uint32_t sum = 0;
    for (int32_t k = 0; k <= 2 * radius; ++k) sum += taps[k];
    sums[0] = static_cast<uint16_t>(sum);
    for (int32_t x = 1; x < width; ++x) {
        sum += taps[x + 2 * radius];
        sum -= taps[x - 1];
        sums[x] = static_cast<uint16_t>(sum);
    }
}

}  // namespace

void blur_matte(View<uint8_t> matte, int32_t radius, int32_t passes, int threads) {
    const int32_t height = matte.height, width = matte.width;
    const std::size_t columns = static_cast<std::size_t>(width);
    std::vector<uint16_t> sums(columns * static_cast<std::size_t>(height));
    const float inverse = inverse_window(radius);
    for (int32_t pass = 0; pass < passes; ++pass) {
        for_bands(height, threads, 64, [&](int32_t first, int32_t last) {
            std::vector<uint8_t> padded;
            for (int32_t y = first; y < last; ++y) {
                sum_row(matte.row(y), width, radius, padded,
                        sums.data() + columns * static_cast<std::size_t>(y));
            }
        });
        for_bands(height, threads, 64, [&](int32_t first, int32_t last) {
            const auto row = [&](int32_t y) {
                return sums.data() + columns * static_cast<std::size_t>(clamp_to(y, 0, height - 1));
            };
            std::vector<uint32_t> column(columns, 0u);
            for (int32_t y = first - radius; y <= first + radius; ++y) {
                const uint16_t* entering = row(y);
                for (std::size_t x = 0; x < columns; ++x) column[x] += entering[x];
            }
            for (int32_t y = first; y < last; ++y) {
                uint8_t* out = matte.row(y);
                const uint16_t* entering = row(y + radius + 1);
                const uint16_t* leaving = row(y - radius);
                uint32_t* sum = column.data();
                for (std::size_t x = 0; x < columns; ++x) {
                    out[x] = window_mean(sum[x], inverse);
                    sum[x] = sum[x] + entering[x] - leaving[x];
                }
            }
        });
    }
}

}  // namespace mien
