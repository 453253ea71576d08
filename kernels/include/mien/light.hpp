// Light moved from one picture to another: a coarse grid of gains, spread over the pixels.
#pragma once

#include "mien/lanes.hpp"
#include "mien/views.hpp"

namespace mien {

// Added to both sides of the ratio, code values: keeps black from asking for endless gain.
constexpr float kLightFloor = 1.0f;

MIEN_HD float light_gain(float from, float to, float low, float high) {
    const float gain = (to + kLightFloor) / (from + kLightFloor);
    const float raised = gain > low ? gain : low;
    return raised < high ? raised : high;
}

// Grid nodes are the centres of equal cells that tile the picture: node and weight for a pixel.
struct GridPlace {
    int32_t node;
    float weight;  // of the next node
};

MIEN_HD GridPlace grid_place(int32_t pixel, int32_t pixels, int32_t nodes) {
    const float at = (static_cast<float>(pixel) + 0.5f) *
                         (static_cast<float>(nodes) / static_cast<float>(pixels)) -
                     0.5f;
    const float inside = clamp_to(at, 0.0f, static_cast<float>(nodes - 1));
    int32_t node = static_cast<int32_t>(inside);
    if (node > nodes - 2) node = nodes > 1 ? nodes - 2 : 0;
    return {node, inside - static_cast<float>(node)};
}

MIEN_HD Float4 mix(Float4 a, Float4 b, float weight_b) {
    return add(a, multiply(subtract(b, a), splat(weight_b)));
}

// A pixel under a gain: packed bytes in, packed bytes out.
MIEN_HD uint32_t relight(uint32_t bgr, Float4 gain) {
    return pack_bytes(
        round_lanes(clamp(multiply(lanes_of_bytes(bgr), gain), splat(0.0f), splat(255.0f))));
}

}  // namespace mien
