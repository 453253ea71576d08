// Another colour for an iris.
#pragma once

#include <cmath>

#include "mien/lanes.hpp"
#include "mien/views.hpp"

namespace mien {

constexpr float kHighlight = 60.0f;  // code values over which a pixel turns into a highlight
// The colour fades out over the iris's last fifth and a little beyond (chosen by eye).
constexpr float kIrisReach = 1.15f;
constexpr float kIrisSteepness = 5.0f;

struct Iris {
    float x, y, radius;  // frame pixels
    float tint[3];       // colour for a brightness of 1
    float brightest;     // code value of the brightest part that is no highlight
    float opening;       // 0..1
};

// Only brightness is taken from the pixel: a few pixels of iris have no colour to trust.
MIEN_HD void tint_pixel(const Iris& iris, int32_t x, int32_t y, uint8_t inside, uint8_t* bgr) {
    const float dx = static_cast<float>(x) - iris.x, dy = static_cast<float>(y) - iris.y;
    const float away = std::sqrt(dx * dx + dy * dy) / iris.radius;
    const float edge = clamp_to((kIrisReach - away) * kIrisSteepness, 0.0f, 1.0f);
    const int32_t b = bgr[0], g = bgr[1], r = bgr[2];
    const int32_t least = b < g ? (b < r ? b : r) : (g < r ? g : r);
    const float over = static_cast<float>(least) - iris.brightest;
    const float plain = clamp_to(1.0f - over * (1.0f / kHighlight), 0.0f, 1.0f);
    const float mix = edge * plain * iris.opening * (static_cast<float>(inside) * (1.0f / 255.0f));
    const float brightness = static_cast<float>(b + g + r) * (1.0f / 3.0f);
    for (int c = 0; c < 3; ++c) {
        const float before = bgr[c];
        const float value = before + (iris.tint[c] * brightness - before) * mix;
        bgr[c] = static_cast<uint8_t>(round_to_int(clamp_to(value, 0.0f, 255.0f)));
    }
}

}  // namespace mien
