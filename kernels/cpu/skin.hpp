// Light and gain of a face's vertices; bound by skin_binding.cpp.
#pragma once

#include <cstdint>

namespace mien {

// Everything that a persona's gain is made of. All arrays are packed, of `count` rows.
struct SkinScene {
    int32_t count;
    const float* colours;       // (N, 3) the performer's, 0..255
    const float* normals;       // (N, 3) the persona's, view axes
    const float* light;         // (9, 3)
    const float* skin_weights;  // (N,) 1 for plain skin
    const float* broad;         // (N, N) smoothing, each row adds up to 1
    const float* nearby;        // (N, N) the same over a shorter way
    const float* broad_bgr;     // (N, 3) the persona's colours under that smoothing
    const float* near_bgr;      // (N, 3)
    const float* skin_bgr;      // (N, 3) or (1, 3) the persona's mean skin
    int32_t skin_step;          // 3 or 0
    const float* own_bgr;       // (3,) the performer's mean skin
    const float* rim_distance;  // (N,) UV units to the face's edge
    float tone;                 // 0..1, performer's skin tone to persona's
};

// Light (9, 3) by iteratively reweighted least squares, and the mean (3,) of facing skin. `trust`
// (N,) starts the weights and is left as the last residuals give it.
void fit_light(int32_t count, const float* colours, const float* normals, const float* skin_weights,
               float* trust, int32_t iterations, float* light, float* mean);

// (N, 3) factor on the persona's texture.
void skin_gain(const SkinScene& scene, float* gain);

}  // namespace mien
