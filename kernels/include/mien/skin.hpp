// Light on a face from the colours of its vertices, and the gain that lights a persona alike.
//
// Ramamoorthi & Hanrahan 2001, "An Efficient Representation for Irradiance Environment Maps":
// nine spherical harmonics hold what a matt surface can show of distant light.
#pragma once

#include <cmath>
#include <cstdint>

#include "mien/platform.hpp"

namespace mien {

constexpr int kHarmonics = 9;
constexpr int kBasis = 12;  // nine, padded to whole registers

// A surface seen at a grazing angle shows hair and background as often as skin.
constexpr float kGrazing = 0.15f;
constexpr float kFacing = 0.50f;

constexpr float kLightRidge = 0.02f;
constexpr float kLightResidual = 0.12f;  // relative; what differs more is not plain skin
constexpr float kDarkestShade = 8.0f;    // code values

// A fit says nothing of normals it has not seen: shade stays near what was observed.
constexpr float kShadeMargin = 1.15f;
constexpr float kShadeSpread = 2.2f;
constexpr float kPlainSkin = 0.3f;  // light weight above which a vertex was observed

// Share of the local colour ratio in the gain; the rest is the harmonics' (measured on the
// ground-truth clip: 0.4-0.55 is best, both ends are 6% worse).
constexpr float kLocalShare = 0.45f;
constexpr float kLeastRatio = 1e-3f;

// UV units over which the persona's skin tone sets in. A larger difference needs a longer way
// to go unseen.
constexpr float kToneRim = 0.08f;
constexpr float kToneRimPerShift = 0.4f;

// Brightness of skin says as much of the photo's exposure as of the person.
constexpr float kBrightnessShare = 0.5f;
constexpr float kMostToneShift = 0.9f;

MIEN_HD float bounded(float value, float low, float high) {
    return value < low ? low : (value > high ? high : value);
}

// The real spherical harmonics to order 2 of a unit normal in view axes, without constants.
MIEN_HD void harmonics(const float* n, float basis[kBasis]) {
    const float x = n[0], y = n[1], z = n[2];
    basis[0] = 1.0f;
    basis[1] = x;
    basis[2] = y;
    basis[3] = z;
    basis[4] = x * y;
    basis[5] = x * z;
    basis[6] = y * z;
    basis[7] = x * x - y * y;
    basis[8] = 3.0f * z * z - 1.0f;
    basis[9] = basis[10] = basis[11] = 0.0f;
}

// 0 for a vertex seen at a grazing angle or from behind, 1 for one that faces the viewer.
MIEN_HD float facing_weight(const float* n) {
    return bounded((n[2] - kGrazing) / (kFacing - kGrazing), 0.0f, 1.0f);
}

MIEN_HD float shade_of(const float basis[kBasis], const float* light, int channel) {
    float sum = 0.0f;
    for (int k = 0; k < kHarmonics; ++k) sum += basis[k] * light[3 * k + channel];
    return sum;
}

// How far a colour is to be trusted to be plain skin, given the shade that plain skin would have.
MIEN_HD float trust_in(const float* colour, const float shade[3]) {
    float residual = 0.0f;
    for (int c = 0; c < 3; ++c) {
        const float fair = shade[c] > kDarkestShade ? shade[c] : kDarkestShade;
        residual += std::fabs(colour[c] / fair - 1.0f);
    }
    const float relative = residual * (1.0f / (3.0f * kLightResidual));
    return 1.0f / (1.0f + relative * relative);
}

// Log gain, by channel, that turns one skin's mean colour into another's.
MIEN_HD void tone_shift(const float* wanted, const float* own, float tone, float shift[3]) {
    float brightness = 0.0f;
    for (int c = 0; c < 3; ++c) {
        const float to = wanted[c] > 1.0f ? wanted[c] : 1.0f;
        const float from = own[c] > 1.0f ? own[c] : 1.0f;
        shift[c] = std::log(to / from);
        brightness += shift[c] * (1.0f / 3.0f);
    }
    for (int c = 0; c < 3; ++c) {
        const float eased = shift[c] - brightness * (1.0f - kBrightnessShare);
        shift[c] = bounded(eased, -kMostToneShift, kMostToneShift) * tone;
    }
}

MIEN_HD float smooth_step(float value) {
    const float t = bounded(value, 0.0f, 1.0f);
    return t * t * (3.0f - 2.0f * t);
}

}  // namespace mien
