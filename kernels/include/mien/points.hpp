// The colour of a picture at given points.
#pragma once

#include "mien/sample.hpp"

namespace mien {

constexpr int32_t kMostPointRadius = 64;

// Bilinear at the point, or the mean of the square of the given radius about its nearest pixel.
// Points outside take the nearest edge's colour; a point that is no number takes the first pixel's.
MIEN_HD void sample_point(const View<const uint8_t>& frame, float x, float y, int32_t radius,
                          float* bgr) {
    const float right = static_cast<float>(frame.width - 1);
    const float bottom = static_cast<float>(frame.height - 1);
    x = x > 0.0f ? (x < right ? x : right) : 0.0f;
    y = y > 0.0f ? (y < bottom ? y : bottom) : 0.0f;
    if (radius == 0) {
        const int32_t x0 = static_cast<int32_t>(x);
        const int32_t y0 = static_cast<int32_t>(y);
        const int32_t x1 = x0 + 1 < frame.width ? x0 + 1 : x0;
        const int32_t y1 = y0 + 1 < frame.height ? y0 + 1 : y0;
        const float fx = x - static_cast<float>(x0);
        const float fy = y - static_cast<float>(y0);
        for (int c = 0; c < 3; ++c) {
            const float a = frame.row(y0)[3 * x0 + c], b = frame.row(y0)[3 * x1 + c];
            const float d = frame.row(y1)[3 * x0 + c], e = frame.row(y1)[3 * x1 + c];
            const float upper = a + (b - a) * fx;
            const float lower = d + (e - d) * fx;
            bgr[c] = upper + (lower - upper) * fy;
        }
        return;
    }
    const int32_t cx = round_to_int(x), cy = round_to_int(y);
    int32_t sum[3] = {0, 0, 0};
    const float count = static_cast<float>((2 * radius + 1) * (2 * radius + 1));
    if (cx >= radius && cy >= radius && cx + radius < frame.width && cy + radius < frame.height) {
        // Most squares lie inside: no pixel's place needs to be looked at.
        for (int32_t dy = -radius; dy <= radius; ++dy) {
            const uint8_t* p = frame.row(cy + dy) + 3 * static_cast<std::ptrdiff_t>(cx - radius);
            for (const uint8_t* end = p + 3 * (2 * radius + 1); p != end; p += 3) {
                for (int c = 0; c < 3; ++c) sum[c] += p[c];
            }
        }
        for (int c = 0; c < 3; ++c) bgr[c] = static_cast<float>(sum[c]) / count;
        return;
    }
    for (int32_t dy = -radius; dy <= radius; ++dy) {
        const uint8_t* row = frame.row(clamp_to(cy + dy, 0, frame.height - 1));
        for (int32_t dx = -radius; dx <= radius; ++dx) {
            const uint8_t* p = row + 3 * clamp_to(cx + dx, 0, frame.width - 1);
            for (int c = 0; c < 3; ++c) sum[c] += p[c];
        }
    }
    for (int c = 0; c < 3; ++c) bgr[c] = static_cast<float>(sum[c]) / count;
}

}  // namespace mien
