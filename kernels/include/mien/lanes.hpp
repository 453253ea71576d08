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
MIEN_HD Float4 load_lanes(const float* p) { return {_mm_loadu_ps(p)}; }
MIEN_HD void store_lanes(Float4 a, float* p) { _mm_storeu_ps(p, a.v); }
MIEN_HD Float4 add(Float4 a, Float4 b) { return {_mm_add_ps(a.v, b.v)}; }
MIEN_HD Float4 subtract(Float4 a, Float4 b) { return {_mm_sub_ps(a.v, b.v)}; }
MIEN_HD Float4 multiply(Float4 a, Float4 b) { return {_mm_mul_ps(a.v, b.v)}; }
MIEN_HD Float4 clamp(Float4 a, Float4 low, Float4 high) {
    return {_mm_min_ps(_mm_max_ps(a.v, low.v), high.v)};
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
// Bilinear mix of four pixels of four bytes each, lowest byte in lane 0, times 2^14; fx and fy
// are the weights, 0..128, of the right and the lower pixels.
MIEN_HD Int4 weigh_pixels(uint32_t p00, uint32_t p01, uint32_t p10, uint32_t p11, int32_t fx,
                          int32_t fy) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i upper = _mm_unpacklo_epi8(_mm_cvtsi32_si128(static_cast<int32_t>(p00)),
                                            _mm_cvtsi32_si128(static_cast<int32_t>(p01)));
    const __m128i lower = _mm_unpacklo_epi8(_mm_cvtsi32_si128(static_cast<int32_t>(p10)),
                                            _mm_cvtsi32_si128(static_cast<int32_t>(p11)));
    const __m128i across = _mm_set1_epi32((128 - fx) | (fx << 16));
    const __m128i lower_weights = _mm_mullo_epi16(across, _mm_set1_epi32(fy * 0x10001));
    const __m128i upper_weights = _mm_sub_epi16(_mm_slli_epi16(across, 7), lower_weights);
    return {_mm_add_epi32(_mm_madd_epi16(_mm_unpacklo_epi8(upper, zero), upper_weights),
                          _mm_madd_epi16(_mm_unpacklo_epi8(lower, zero), lower_weights))};
}
MIEN_HD Float4 lanes_of_bytes(uint32_t bytes) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i words = _mm_unpacklo_epi8(_mm_cvtsi32_si128(static_cast<int32_t>(bytes)), zero);
    return {_mm_cvtepi32_ps(_mm_unpacklo_epi16(words, zero))};
}
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
MIEN_HD Float4 load_lanes(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
MIEN_HD void store_lanes(Float4 a, float* p) {
    for (int i = 0; i < 4; ++i) p[i] = a.v[i];
}
MIEN_HD Float4 add(Float4 a, Float4 b) {
    return {{a.v[0] + b.v[0], a.v[1] + b.v[1], a.v[2] + b.v[2], a.v[3] + b.v[3]}};
}
MIEN_HD Float4 subtract(Float4 a, Float4 b) {
    return {{a.v[0] - b.v[0], a.v[1] - b.v[1], a.v[2] - b.v[2], a.v[3] - b.v[3]}};
}
MIEN_HD Float4 multiply(Float4 a, Float4 b) {
    return {{a.v[0] * b.v[0], a.v[1] * b.v[1], a.v[2] * b.v[2], a.v[3] * b.v[3]}};
}
MIEN_HD Float4 clamp(Float4 a, Float4 low, Float4 high) {
    Float4 out = a;
    for (int i = 0; i < 4; ++i) {
        const float raised = a.v[i] > low.v[i] ? a.v[i] : low.v[i];  // as maxps: NaN becomes low
        out.v[i] = raised < high.v[i] ? raised : high.v[i];
    }
    return out;
}
MIEN_HD Int4 round_lanes(Float4 a) {
    return {
        {round_to_int(a.v[0]), round_to_int(a.v[1]), round_to_int(a.v[2]), round_to_int(a.v[3])}};
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
MIEN_HD Int4 weigh_pixels(uint32_t p00, uint32_t p01, uint32_t p10, uint32_t p11, int32_t fx,
                          int32_t fy) {
    Int4 out{};
    for (int i = 0; i < 4; ++i) {
        const int32_t a = static_cast<int32_t>((p00 >> (8 * i)) & 255u);
        const int32_t b = static_cast<int32_t>((p01 >> (8 * i)) & 255u);
        const int32_t c = static_cast<int32_t>((p10 >> (8 * i)) & 255u);
        const int32_t d = static_cast<int32_t>((p11 >> (8 * i)) & 255u);
        out.v[i] = (a * (128 - fx) + b * fx) * (128 - fy) + (c * (128 - fx) + d * fx) * fy;
    }
    return out;
}
MIEN_HD Float4 lanes_of_bytes(uint32_t bytes) {
    return {{static_cast<float>(bytes & 255u), static_cast<float>((bytes >> 8) & 255u),
             static_cast<float>((bytes >> 16) & 255u), static_cast<float>(bytes >> 24)}};
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
