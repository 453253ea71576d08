// An upright picture of a turned square: what a landmark network looks at.
#pragma once

#include "mien/sample.hpp"

namespace mien {

// Frame pixel from crop pixel: x = xx * i + xy * j + x0, y = yx * i + yy * j + y0.
struct Affine {
    float xx, xy, x0;
    float yx, yy, y0;
};

// B, G, R and 0 at crop pixel (i, j), code values, bilinear in steps of 1/128 pixel; places
// outside take the nearest edge's colour, and one that is no number the first pixel's.
MIEN_HD Float4 warp_pixel(const View<const uint8_t>& frame, const Affine& map, int32_t i,
                          int32_t j) {
    const float fi = static_cast<float>(i), fj = static_cast<float>(j);
    const Float4 place =
        make_lanes((map.xx * fi + map.xy * fj + map.x0) * kSub,
                   (map.yx * fi + map.yy * fj + map.y0) * kSub, 0.0f, 0.0f);
    const Float4 limits = make_lanes(static_cast<float>((frame.width - 1) * kSub),
                                     static_cast<float>((frame.height - 1) * kSub), 0.0f, 0.0f);
    const Int4 where = round_lanes(clamp(place, splat(0.0f), limits));
    const Taps taps = taps_inside(lane0(where), lane1(where), frame.width, frame.height);
    return multiply(to_float(sample_bgr(frame, taps)), splat(kUnweigh));
}

}  // namespace mien
