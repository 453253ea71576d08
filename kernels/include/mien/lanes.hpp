// Four floats or four integers that go through the same operation: the B, G, R and weight of
// a pixel. One meaning, two spellings (SSE2 and plain), bit for bit the same.
#pragma once

#include <cmath>
#include <cstdint>

#include "mien/platform.hpp"

#if MIEN_SSE2
#include <emmintrin.h>
#endif

namespace mien {

// Nearest integer, ties to even.
MIEN_HD int32_t round_to_int(float value) {
#if defined(__CUDA_ARCH__)
    return __float2int_rn(value);
#elif MIEN_SSE2
    return _mm_cvtss_si32(_mm_set_ss(value));
#else
    return static_cast<int32_t>(std::lrintf(value));
#endif
}

#if MIEN_SSE2

struct Float4 {
    __m128 v;
};
struct Int4 {
    __m128i v;
};

MIEN_HD Float4 make_lanes(float a, float b, float c, float d) { return {_mm_setr_ps(a, b, c, d)}; }
MIEN_HD Float4 splat(float a) { return {_mm_set1_ps(a)}; }
MIEN_HD Float4 add(Float4 a, Float4 b) { return {_mm_add_ps(a.v, b.v)}; }
MIEN_HD Float4 subtract(Float4 a, Float4 b) { return {_mm_sub_ps(a.v, b.v)}; }
MIEN_HD Float4 multiply(Float4 a, Float4 b) { return {_mm_mul_ps(a.v, b.v)}; }
MIEN_HD Float4 clamp(Float4 a, float low, float high) {
    return {_mm_min_ps(_mm_max_ps(a.v, _mm_set1_ps(low)), _mm_set1_ps(high))};
}
MIEN_HD Int4 round_lanes(Float4 a) { return {_mm_cvtps_epi32(a.v)}; }
MIEN_HD Float4 to_float(Int4 a) { return {_mm_cvtepi32_ps(a.v)}; }
MIEN_HD int32_t lane0(Int4 a) { return _mm_cvtsi128_si32(a.v); }
MIEN_HD int32_t lane1(Int4 a) {
    return _mm_cvtsi128_si32(_mm_shuffle_epi32(a.v, _MM_SHUFFLE(1, 1, 1, 1)));
}
MIEN_HD int32_t lane2(Int4 a) {
    return _mm_cvtsi128_si32(_mm_shuffle_epi32(a.v, _MM_SHUFFLE(2, 2, 2, 2)));
}
MIEN_HD int32_t lane3(Int4 a) {
    return _mm_cvtsi128_si32(_mm_shuffle_epi32(a.v, _MM_SHUFFLE(3, 3, 3, 3)));
}
MIEN_HD float last_lane(Float4 a) {
    return _mm_cvtss_f32(_mm_shuffle_ps(a.v, a.v, _MM_SHUFFLE(3, 3, 3, 3)));
}
// a * weight_a + b * weight_b of four bytes each, packed little-endian; weights below 2^15.
MIEN_HD Int4 weigh_pair(uint32_t a, uint32_t b, int32_t weight_a, int32_t weight_b) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i bytes = _mm_unpacklo_epi8(_mm_cvtsi32_si128(static_cast<int32_t>(a)),
                                            _mm_cvtsi32_si128(static_cast<int32_t>(b)));
    const __m128i weights = _mm_set1_epi32(weight_a | (weight_b << 16));
    return {_mm_madd_epi16(_mm_unpacklo_epi8(bytes, zero), weights)};
}
MIEN_HD Int4 add(Int4 a, Int4 b) { return {_mm_add_epi32(a.v, b.v)}; }
// Four lanes of 0..255 packed into the bytes of an integer, lane 0 lowest.
MIEN_HD uint32_t pack_bytes(Int4 a) {
    const __m128i words = _mm_packs_epi32(a.v, a.v);
    return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_packus_epi16(words, words)));
}

#else

struct Float4 {
    float v[4];
};
struct Int4 {
    int32_t v[4];
};

MIEN_HD Float4 make_lanes(float a, float b, float c, float d) { return {{a, b, c, d}}; }
MIEN_HD Float4 splat(float a) { return {{a, a, a, a}}; }
MIEN_HD Float4 add(Float4 a, Float4 b) {
    return {{a.v[0] + b.v[0], a.v[1] + b.v[1], a.v[2] + b.v[2], a.v[3] + b.v[3]}};
}
MIEN_HD Float4 subtract(Float4 a, Float4 b) {
    return {{a.v[0] - b.v[0], a.v[1] - b.v[1], a.v[2] - b.v[2], a.v[3] - b.v[3]}};
}
MIEN_HD Float4 multiply(Float4 a, Float4 b) {
    return {{a.v[0] * b.v[0], a.v[1] * b.v[1], a.v[2] * b.v[2], a.v[3] * b.v[3]}};
}
MIEN_HD Float4 clamp(Float4 a, float low, float high) {
    Float4 out = a;
    for (int i = 0; i < 4; ++i) {
        const float raised = a.v[i] > low ? a.v[i] : low;  // as maxps: NaN becomes low
        out.v[i] = raised < high ? raised : high;
    }
    return out;
}
MIEN_HD Int4 round_lanes(Float4 a) {
    return {{round_to_int(a.v[0]), round_to_int(a.v[1]), round_to_int(a.v[2]),
             round_to_int(a.v[3])}};
}
MIEN_HD Float4 to_float(Int4 a) {
    return {{static_cast<float>(a.v[0]), static_cast<float>(a.v[1]), static_cast<float>(a.v[2]),
             static_cast<float>(a.v[3])}};
}
MIEN_HD int32_t lane0(Int4 a) { return a.v[0]; }
MIEN_HD int32_t lane1(Int4 a) { return a.v[1]; }
MIEN_HD int32_t lane2(Int4 a) { return a.v[2]; }
MIEN_HD int32_t lane3(Int4 a) { return a.v[3]; }
MIEN_HD float last_lane(Float4 a) { return a.v[3]; }
MIEN_HD Int4 weigh_pair(uint32_t a, uint32_t b, int32_t weight_a, int32_t weight_b) {
    Int4 out{};
    for (int i = 0; i < 4; ++i) {
        out.v[i] = static_cast<int32_t>((a >> (8 * i)) & 255u) * weight_a +
                   static_cast<int32_t>((b >> (8 * i)) & 255u) * weight_b;
    }
    return out;
}
MIEN_HD Int4 add(Int4 a, Int4 b) {
    return {{a.v[0] + b.v[0], a.v[1] + b.v[1], a.v[2] + b.v[2], a.v[3] + b.v[3]}};
}
MIEN_HD uint32_t pack_bytes(Int4 a) {
    uint32_t out = 0;
    for (int i = 0; i < 4; ++i) {
        const int32_t value = a.v[i] < 0 ? 0 : (a.v[i] > 255 ? 255 : a.v[i]);
        out |= static_cast<uint32_t>(value) << (8 * i);
    }
    return out;
}

#endif

}  // namespace mien
