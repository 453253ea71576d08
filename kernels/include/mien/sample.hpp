// Bilinear sampling in fixed point: coordinates in 1/128 pixel, pixel centres at integers,
// edges repeated. Weights of the four taps add up to 2^14, so sums are exact integers.
#pragma once

#include <cstring>

#include "mien/lanes.hpp"
#include "mien/views.hpp"

namespace mien {

constexpr int32_t kSubBits = 7;
constexpr int32_t kSub = 1 << kSubBits;
constexpr float kUnweigh = 1.0f / (kSub * kSub);

// Where the four taps of a sample lie and how much each counts.
struct Taps {
    int32_t x, y;          // first tap
    int32_t right, below;  // steps to the other taps, 0 in a picture one pixel wide or high
    int32_t fx, fy;        // weights of the right and lower taps, 0..128
};

// Taps for x128 in 0..(width - 1) * 128 and y128 likewise.
MIEN_HD Taps taps_inside(int32_t x128, int32_t y128, int32_t width, int32_t height) {
    Taps t{};
    t.right = width > 1 ? 1 : 0;
    t.below = height > 1 ? 1 : 0;
    t.x = x128 >> kSubBits;
    t.y = y128 >> kSubBits;
    // The last pixel is reached from its neighbour with the full weight.
    if (t.x > width - 1 - t.right) t.x = width - 1 - t.right;
    if (t.y > height - 1 - t.below) t.y = height - 1 - t.below;
    t.fx = x128 - (t.x << kSubBits);
    t.fy = y128 - (t.y << kSubBits);
    return t;
}

MIEN_HD uint32_t load4(const uint8_t* p) {
#if defined(__CUDA_ARCH__)
    return static_cast<uint32_t>(p[0]) | (static_cast<uint32_t>(p[1]) << 8) |
           (static_cast<uint32_t>(p[2]) << 16) | (static_cast<uint32_t>(p[3]) << 24);
#else
    uint32_t value;
    std::memcpy(&value, p, 4);
    return value;
#endif
}

MIEN_HD uint32_t load3(const uint8_t* p) {
    return static_cast<uint32_t>(p[0]) | (static_cast<uint32_t>(p[1]) << 8) |
           (static_cast<uint32_t>(p[2]) << 16);
}

// Four channels, times 2^14.
MIEN_HD Int4 sample_bgra(const View<const uint8_t>& picture, const Taps& t) {
    const uint8_t* top = picture.row(t.y) + 4 * t.x;
    const uint8_t* bottom = top + t.below * picture.row_stride;
    return weigh_pixels(load4(top), load4(top + 4 * t.right), load4(bottom),
                        load4(bottom + 4 * t.right), t.fx, t.fy);
}

// Three channels and 0, times 2^14.
MIEN_HD Int4 sample_bgr(const View<const uint8_t>& picture, const Taps& t) {
    const uint8_t* top = picture.row(t.y) + 3 * t.x;
    const uint8_t* bottom = top + t.below * picture.row_stride;
    return weigh_pixels(load3(top), load3(top + 3 * t.right), load3(bottom),
                        load3(bottom + 3 * t.right), t.fx, t.fy);
}

// One channel, rounded.
MIEN_HD uint8_t sample_grey(const View<const uint8_t>& picture, const Taps& t) {
    const uint8_t* top = picture.row(t.y) + t.x;
    const uint8_t* bottom = top + t.below * picture.row_stride;
    // Inside a matte everything is the same.
    if (top[0] == top[t.right] && top[0] == bottom[0] && top[0] == bottom[t.right]) return top[0];
    const int32_t upper = top[0] * (kSub - t.fx) + top[t.right] * t.fx;
    const int32_t lower = bottom[0] * (kSub - t.fx) + bottom[t.right] * t.fx;
    return static_cast<uint8_t>((upper * (kSub - t.fy) + lower * t.fy + kSub * kSub / 2) >>
                                (2 * kSubBits));
}

}  // namespace mien
