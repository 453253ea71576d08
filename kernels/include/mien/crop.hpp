// What a landmark network looks at: a turned square of the frame, made smaller by averaging whole
// blocks first and sampled then. OpenCV's fixed point, so that the numbers are the CPU's.
#pragma once

#include "mien/head.hpp"

namespace mien {

// Where to look. Block pixel from crop pixel in `map`; blocks of `shrink` x `shrink` pixels begin at
// the first pixel of `part`, and are as many as `part` holds whole.
struct CropPart {
    View<const uint8_t> part;
    double map[6];
    int32_t shrink;
    float scale;  // of code values
};

// B, G and R of a block, rounded.
MIEN_HD void block_mean(const View<const uint8_t>& part, int32_t shrink, int32_t i, int32_t j,
                        int32_t* bgr) {
    int32_t sum[3] = {0, 0, 0};
    for (int32_t y = j * shrink; y < (j + 1) * shrink; ++y) {
        const uint8_t* p = part.row(y) + 3 * static_cast<std::ptrdiff_t>(i * shrink);
        for (int32_t x = 0; x < shrink; ++x, p += 3) {
            for (int c = 0; c < 3; ++c) sum[c] += p[c];
        }
    }
    if (shrink == 1) {
        for (int c = 0; c < 3; ++c) bgr[c] = sum[c];
    } else if (shrink == 2) {
        for (int c = 0; c < 3; ++c) bgr[c] = (sum[c] + 2) >> 2;
    } else {
        const float share = 1.0f / static_cast<float>(shrink * shrink);
        for (int c = 0; c < 3; ++c) bgr[c] = round_to_int(static_cast<float>(sum[c]) * share);
    }
}

// B, G and R, 0..255, at crop pixel (x, y).
MIEN_HD void crop_pixel(const CropPart& crop, int32_t x, int32_t y, int32_t* bgr) {
    const double unit = 1 << kMapBits;
    const double* map = crop.map;
    const int32_t half = 1 << (kMapBits - kStepBits - 1), steps = 1 << kStepBits;
    const int32_t sx =
        (round_double((map[1] * y + map[2]) * unit) + half + round_double(map[0] * x * unit)) >>
        (kMapBits - kStepBits);
    const int32_t sy =
        (round_double((map[4] * y + map[5]) * unit) + half + round_double(map[3] * x * unit)) >>
        (kMapBits - kStepBits);
    const int32_t fx = sx & (steps - 1), fy = sy & (steps - 1);
    const int32_t columns = crop.part.width / crop.shrink, rows = crop.part.height / crop.shrink;
    int32_t sum[3] = {0, 0, 0};
    for (int n = 0; n < 4; ++n) {
        const int32_t weight = (n & 1 ? fx : steps - fx) * (n & 2 ? fy : steps - fy);
        if (weight == 0) continue;
        int32_t mean[3];
        block_mean(crop.part, crop.shrink, clamp_to((sx >> kStepBits) + (n & 1), 0, columns - 1),
                   clamp_to((sy >> kStepBits) + (n >> 1), 0, rows - 1), mean);
        for (int c = 0; c < 3; ++c) sum[c] += weight * mean[c];
    }
    for (int c = 0; c < 3; ++c) bgr[c] = (sum[c] + (1 << (2 * kStepBits - 1))) >> (2 * kStepBits);
}

}  // namespace mien
