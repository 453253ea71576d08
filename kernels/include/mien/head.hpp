// A head as a generator draws it, and its way into a frame: colours carried beyond the matte, the
// tone, and two resamplings. What OpenCV does on the CPU, in the same fixed point where it has any.
#pragma once

#include <cmath>
#include <cstdint>

#include "mien/lanes.hpp"
#include "mien/views.hpp"

namespace mien {

constexpr int32_t kBleed = 7;  // colours are carried so far beyond the matte
constexpr float kNobody = 1e-4f;
constexpr float kHeadEdge = 5.0f;    // the square's border fades over so many pixels
constexpr int32_t kMapBits = 10;     // of a place in the scaled picture
constexpr int32_t kStepBits = 5;     // of the steps that bilinear weights go in
constexpr int32_t kCubicBits = 11;   // of a cubic weight

MIEN_HD int32_t round_double(double value) {
#if defined(__CUDA_ARCH__)
    return __double2int_rn(value);
#else
    return static_cast<int32_t>(std::lrint(value));
#endif
}

MIEN_HD float between(float value, float low, float high) {
    return value > low ? (value < high ? value : high) : low;
}

MIEN_HD bool is_number(float value) {
    return value >= -3.4028235e38f && value <= 3.4028235e38f;
}

// As OpenCV's BORDER_REFLECT_101: the border's own pixel is not repeated.
MIEN_HD int32_t reflect(int32_t i, int32_t size) {
    if (size == 1) return 0;
    while (i < 0 || i >= size) i = i < 0 ? -i : 2 * size - 2 - i;
    return i;
}

MIEN_HD uint8_t to_byte(float value) { return static_cast<uint8_t>(between(value, 0.0f, 255.0f)); }

// The value 0..255 of channel c at a pixel, cut off as a picture of bytes would hold it.
MIEN_HD float drawn_byte(const float* image, int32_t size, int32_t c, int32_t x, int32_t y) {
    return static_cast<float>(to_byte(image[(c * size + y) * size + x] * 255.0f));
}

// As sample_point, of a generator's planes.
MIEN_HD void sample_drawn(const float* image, int32_t size, float x, float y, int32_t radius,
                          float* bgr) {
    const float last = static_cast<float>(size - 1);
    x = between(x, 0.0f, last);
    y = between(y, 0.0f, last);
    if (radius == 0) {
        const int32_t x0 = static_cast<int32_t>(x), y0 = static_cast<int32_t>(y);
        const int32_t x1 = x0 + 1 < size ? x0 + 1 : x0, y1 = y0 + 1 < size ? y0 + 1 : y0;
        const float fx = x - static_cast<float>(x0), fy = y - static_cast<float>(y0);
        for (int32_t c = 0; c < 3; ++c) {
            const float a = drawn_byte(image, size, c, x0, y0);
            const float d = drawn_byte(image, size, c, x0, y1);
            const float upper = a + (drawn_byte(image, size, c, x1, y0) - a) * fx;
            const float lower = d + (drawn_byte(image, size, c, x1, y1) - d) * fx;
            bgr[c] = upper + (lower - upper) * fy;
        }
        return;
    }
    const int32_t cx = round_to_int(x), cy = round_to_int(y);
    const float count = static_cast<float>((2 * radius + 1) * (2 * radius + 1));
    for (int32_t c = 0; c < 3; ++c) {
        float sum = 0.0f;  // of whole numbers below 2^24: exact
        for (int32_t dy = -radius; dy <= radius; ++dy) {
            for (int32_t dx = -radius; dx <= radius; ++dx) {
                sum += drawn_byte(image, size, c, clamp_to(cx + dx, 0, size - 1),
                                  clamp_to(cy + dy, 0, size - 1));
            }
        }
        bgr[c] = sum / count;
    }
}

// From the drawn skin's tone towards the performer's, one channel; the ratio is for the next frame.
struct HeadTone {
    float ratio[3], gain[3];
    uint32_t broken;  // not 0 where the generator drew what is no number
    uint32_t unused;
};

// 0 on the square's border, 1 inside.
MIEN_HD float head_edge(int32_t x, int32_t y, int32_t size) {
    const int32_t near_x = x < size - 1 - x ? x : size - 1 - x;
    const int32_t near_y = y < size - 1 - y ? y : size - 1 - y;
    const float rise =
        between(static_cast<float>(near_x < near_y ? near_x : near_y) / kHeadEdge, 0.0f, 1.0f);
    return rise * rise * (3.0f - 2.0f * rise);
}

// Weights of the four cubic taps at a place between the second and the third, as OpenCV has them.
MIEN_HD void cubic_weights(float x, int32_t* weights) {
    const float a = -0.75f;
    float w[4];
    w[0] = ((a * (x + 1.0f) - 5.0f * a) * (x + 1.0f) + 8.0f * a) * (x + 1.0f) - 4.0f * a;
    w[1] = ((a + 2.0f) * x - (a + 3.0f)) * x * x + 1.0f;
    w[2] = ((a + 2.0f) * (1.0f - x) - (a + 3.0f)) * (1.0f - x) * (1.0f - x) + 1.0f;
    w[3] = 1.0f - w[0] - w[1] - w[2];
    for (int k = 0; k < 4; ++k) {
        weights[k] = round_to_int(w[k] * static_cast<float>(1 << kCubicBits));
    }
}

// A pixel of the picture made larger: channels first..3 of BGRA.
MIEN_HD void enlarged(const uint8_t* bgra, int32_t size, double step, int32_t i, int32_t j,
                      int32_t first, int32_t* out) {
    const float x = static_cast<float>((i + 0.5) * step - 0.5);
    const float y = static_cast<float>((j + 0.5) * step - 0.5);
    const int32_t x0 = static_cast<int32_t>(std::floor(x)), y0 = static_cast<int32_t>(std::floor(y));
    int32_t across[4], down[4];
    cubic_weights(x - static_cast<float>(x0), across);
    cubic_weights(y - static_cast<float>(y0), down);
    int32_t sum[4] = {0, 0, 0, 0};
    for (int n = 0; n < 4; ++n) {
        const uint8_t* row =
            bgra + 4 * static_cast<std::ptrdiff_t>(clamp_to(y0 - 1 + n, 0, size - 1)) * size;
        int32_t line[4] = {0, 0, 0, 0};
        for (int m = 0; m < 4; ++m) {
            const uint8_t* p = row + 4 * clamp_to(x0 - 1 + m, 0, size - 1);
            for (int32_t c = first; c < 4; ++c) line[c] += across[m] * p[c];
        }
        for (int32_t c = first; c < 4; ++c) sum[c] += down[n] * line[c];
    }
    for (int32_t c = first; c < 4; ++c) {
        out[c] = clamp_to((sum[c] + (1 << (2 * kCubicBits - 1))) >> (2 * kCubicBits), 0, 255);
    }
}

// A pixel of the picture made smaller: the mean of what it covers, pixels at its rim in part.
MIEN_HD void reduced(const uint8_t* bgra, int32_t size, double step, int32_t i, int32_t j,
                     int32_t first, int32_t* out) {
    const double left = i * step, right = left + step, top = j * step, bottom = top + step;
    const int32_t x_end = static_cast<int32_t>(std::ceil(right - 1e-6));
    const int32_t y_end = static_cast<int32_t>(std::ceil(bottom - 1e-6));
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f}, whole = 0.0f;
    for (int32_t y = static_cast<int32_t>(std::floor(top + 1e-6)); y < y_end && y < size; ++y) {
        const double low = y > top ? y : top, high = y + 1 < bottom ? y + 1 : bottom;
        for (int32_t x = static_cast<int32_t>(std::floor(left + 1e-6)); x < x_end && x < size; ++x) {
            const double near = x > left ? x : left, far = x + 1 < right ? x + 1 : right;
            const float share = static_cast<float>((high - low) * (far - near));
            const uint8_t* p = bgra + 4 * (static_cast<std::ptrdiff_t>(y) * size + x);
            whole += share;
            for (int32_t c = first; c < 4; ++c) sum[c] += share * static_cast<float>(p[c]);
        }
    }
    for (int32_t c = first; c < 4; ++c) out[c] = round_to_int(sum[c] / whole);
}

// Four channels of the head at pixel (x, y) of the patch, from `first` on: bilinear in the picture
// that is `side` pixels wide after scaling.
MIEN_HD void head_at(const uint8_t* bgra, int32_t size, int32_t side, const double* map, int32_t x,
                     int32_t y, int32_t first, int32_t* out) {
    const double unit = 1 << kMapBits;
    const int32_t half = 1 << (kMapBits - kStepBits - 1);
    const int32_t sx =
        (round_double((map[1] * y + map[2]) * unit) + half + round_double(map[0] * x * unit)) >>
        (kMapBits - kStepBits);
    const int32_t sy =
        (round_double((map[4] * y + map[5]) * unit) + half + round_double(map[3] * x * unit)) >>
        (kMapBits - kStepBits);
    const int32_t steps = 1 << kStepBits;
    const int32_t fx = sx & (steps - 1), fy = sy & (steps - 1);
    const double step = 1.0 / (static_cast<double>(side) / size);
    int32_t sum[4] = {0, 0, 0, 0};
    for (int n = 0; n < 4; ++n) {
        const int32_t weight = (n & 1 ? fx : steps - fx) * (n & 2 ? fy : steps - fy);
        if (weight == 0) continue;
        const int32_t i = clamp_to((sx >> kStepBits) + (n & 1), 0, side - 1);
        const int32_t j = clamp_to((sy >> kStepBits) + (n >> 1), 0, side - 1);
        int32_t pixel[4];
        if (side < size) {
            reduced(bgra, size, step, i, j, first, pixel);
        } else {
            enlarged(bgra, size, step, i, j, first, pixel);
        }
        for (int32_t c = first; c < 4; ++c) sum[c] += weight * pixel[c];
    }
    for (int32_t c = first; c < 4; ++c) {
        out[c] = (sum[c] + (1 << (2 * kStepBits - 1))) >> (2 * kStepBits);
    }
}

}  // namespace mien
