#include "mien/blur.hpp"

#include <cstring>
#include <vector>

#include "kernels.hpp"
#include "parallel.hpp"

namespace mien {
namespace {

// Rows are functions of plain pointers and counts, so that stores of bytes cannot be suspected of
// changing a bound, and loops vectorise.

// Sums over 2 * radius + 1 neighbours; taps holds radius more pixels on each side. Small windows
// are added up tap by tap, which vectorises; large ones run along.
void sum_row(const uint8_t* taps, int32_t width, int32_t radius, uint16_t* sums) {
    if (radius <= 8) {
        for (int32_t x = 0; x < width; ++x) {
            sums[x] = static_cast<uint16_t>(taps[x] + taps[x + 1] + taps[x + 2]);
        }
        for (int32_t k = 3; k <= 2 * radius; k += 2) {
            for (int32_t x = 0; x < width; ++x) {
                sums[x] = static_cast<uint16_t>(sums[x] + taps[x + k] + taps[x + k + 1]);
            }
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

void pad_row(const uint8_t* row, int32_t width, int32_t radius, uint8_t* padded) {
    std::memset(padded, row[0], static_cast<std::size_t>(radius));
    std::memcpy(padded + radius, row, static_cast<std::size_t>(width));
    std::memset(padded + radius + width, row[width - 1], static_cast<std::size_t>(radius));
}

void add_row(uint32_t* sums, const uint16_t* entering, int32_t width) {
    for (int32_t x = 0; x < width; ++x) sums[x] += entering[x];
}

void mean_row(uint32_t* sums, const uint16_t* entering, const uint16_t* leaving, int32_t width,
              float inverse, uint8_t* out) {
    for (int32_t x = 0; x < width; ++x) {
        out[x] = window_mean(sums[x], inverse);
        sums[x] = sums[x] + entering[x] - leaving[x];
    }
}

}  // namespace

void blur_matte(View<uint8_t> matte, int32_t radius, int32_t passes, int threads) {
    const int32_t height = matte.height, width = matte.width;
    const std::size_t columns = static_cast<std::size_t>(width);
    thread_local std::vector<uint16_t> scratch;  // kept: its pages cost more than the sums
    scratch.resize(columns * static_cast<std::size_t>(height));
    uint16_t* const sums = scratch.data();
    const auto row = [=](int32_t y) {
        return sums + columns * static_cast<std::size_t>(clamp_to(y, 0, height - 1));
    };
    for (int32_t pass = 0; pass < passes; ++pass) {
        for_bands(height, threads, 64, [&](int32_t first, int32_t last) {
            std::vector<uint8_t> padded(columns + 2 * static_cast<std::size_t>(radius));
            for (int32_t y = first; y < last; ++y) {
                pad_row(matte.row(y), width, radius, padded.data());
                sum_row(padded.data(), width, radius, row(y));
            }
        });
        for_bands(height, threads, 64, [&](int32_t first, int32_t last) {
            std::vector<uint32_t> column(columns, 0u);
            for (int32_t y = first - radius; y <= first + radius; ++y) {
                add_row(column.data(), row(y), width);
            }
            for (int32_t y = first; y < last; ++y) {
                mean_row(column.data(), row(y + radius + 1), row(y - radius), width,
                         inverse_window(radius), matte.row(y));
            }
        });
    }
}

}  // namespace mien
