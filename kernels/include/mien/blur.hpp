// Mean over a square window, one pass of the repeated box blur (Wells 1986, "Efficient Synthesis
// of Gaussian Filters by Cascaded Uniform Filters"). Edges are repeated.
#pragma once

#include <cstdint>

#include "mien/views.hpp"

namespace mien {

constexpr int32_t kMostBlurRadius = 64;

// The window's mean, rounded. Windows have an odd number of pixels, so no mean lies halfway
// between two code values and single precision rounds all of them rightly.
MIEN_HD uint8_t window_mean(uint32_t sum, float inverse_count) {
    return static_cast<uint8_t>(
        static_cast<int32_t>(static_cast<float>(static_cast<int32_t>(sum)) * inverse_count + 0.5f));
}

MIEN_HD float inverse_window(int32_t radius) {
    return 1.0f / static_cast<float>((2 * radius + 1) * (2 * radius + 1));
}

}  // namespace mien
