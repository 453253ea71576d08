// Rows of triangles, eight pixels at once, for x86-64-v3 (AVX2). The build compiles this file
// with -march=x86-64-v3: it must not emit inline functions that other files share.
#include "raster_row.hpp"

#if defined(MIEN_FL_X86_VERSIONS)
#if !defined(__AVX2__)
#error "compile this file with -march=x86-64-v3"
#endif
#include <immintrin.h>

#include <cstring>

namespace mien {
namespace v3 {
namespace {

struct Lanes4 {
    float v[4];
};

MIEN_HD Lanes4 unpack(Float4 a) {
    Lanes4 out;
    store_lanes(a, out.v);
    return out;
}

MIEN_HD __m256 at(float base, float slope, __m256 fx) {
    return _mm256_add_ps(_mm256_set1_ps(base), _mm256_mul_ps(_mm256_set1_ps(slope), fx));
}

MIEN_HD __m256 held(__m256 a, __m256 low, __m256 high) {
    return _mm256_min_ps(_mm256_max_ps(a, low), high);
}

// Whole pixels of a coordinate in 1/128, at most `last`, and what is left over.
struct Split {
    __m256i whole, rest;
};

MIEN_HD Split split(__m256i at128, int32_t last) {
    const __m256i whole =
        _mm256_min_epi32(_mm256_srai_epi32(at128, kSubBits), _mm256_set1_epi32(last));
    return {whole, _mm256_sub_epi32(at128, _mm256_slli_epi32(whole, kSubBits))};
}

// Pairs of 16-bit weights of the left and the right tap.
struct Weights {
    __m256i upper, lower;

    MIEN_HD __m256i of(__m256i upper_pair, __m256i lower_pair) const {
        return _mm256_add_epi32(_mm256_madd_epi16(upper_pair, upper),
                                _mm256_madd_epi16(lower_pair, lower));
    }
};

MIEN_HD Weights weights_of(__m256i fx, __m256i fy) {
    const __m256i across =
        _mm256_or_si256(_mm256_sub_epi32(_mm256_set1_epi32(kSub), fx), _mm256_slli_epi32(fx, 16));
    const __m256i down = _mm256_or_si256(fy, _mm256_slli_epi32(fy, 16));
    const __m256i lower = _mm256_mullo_epi16(across, down);
    return {_mm256_sub_epi16(_mm256_slli_epi16(across, kSubBits), lower), lower};
}

// The four channels of two neighbouring pixels as 16-bit pairs.
struct Pairs {
    __m256i channel[4];
};

// Two texels side by side, for each of two pixels.
MIEN_HD __m128i two_of(const uint8_t* first, const uint8_t* second) {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(first));
    return _mm_castps_si128(
        _mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(second)));
}

// Plain loads: AVX2's gather is slower than these (measured on Zen 4).
MIEN_HD Pairs pairs_at(const uint8_t* base, const int32_t offset[8]) {
    const __m256i by_channel =
        _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9,
                         13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i zero = _mm256_setzero_si256();
    const __m256i a =
        _mm256_shuffle_epi8(_mm256_set_m128i(two_of(base + offset[4], base + offset[5]),
                                             two_of(base + offset[0], base + offset[1])),
                            by_channel);
    const __m256i b =
        _mm256_shuffle_epi8(_mm256_set_m128i(two_of(base + offset[6], base + offset[7]),
                                             two_of(base + offset[2], base + offset[3])),
                            by_channel);
    const __m256i first = _mm256_unpacklo_epi32(a, b), second = _mm256_unpackhi_epi32(a, b);
    return {{_mm256_unpacklo_epi8(first, zero), _mm256_unpackhi_epi8(first, zero),
             _mm256_unpacklo_epi8(second, zero), _mm256_unpackhi_epi8(second, zero)}};
}

MIEN_HD int32_t load2(const uint8_t* p) {
    uint16_t value;
    std::memcpy(&value, p, 2);
    return value;
}

// A byte and the one to its right, for eight pixels.
MIEN_HD __m256i byte_pairs_at(const uint8_t* base, const int32_t offset[8]) {
    __m128i bytes = _mm_cvtsi32_si128(load2(base + offset[0]));
    bytes = _mm_insert_epi16(bytes, load2(base + offset[1]), 1);
    bytes = _mm_insert_epi16(bytes, load2(base + offset[2]), 2);
    bytes = _mm_insert_epi16(bytes, load2(base + offset[3]), 3);
    bytes = _mm_insert_epi16(bytes, load2(base + offset[4]), 4);
    bytes = _mm_insert_epi16(bytes, load2(base + offset[5]), 5);
    bytes = _mm_insert_epi16(bytes, load2(base + offset[6]), 6);
    bytes = _mm_insert_epi16(bytes, load2(base + offset[7]), 7);
    return _mm256_cvtepu8_epi16(bytes);
}

MIEN_HD void store_pixels(__m256i pixels, uint8_t* bgr) {
    const __m256i close = _mm256_shuffle_epi8(
        pixels, _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4,
                                 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    const __m128i halves[2] = {_mm256_castsi256_si128(close), _mm256_extracti128_si256(close, 1)};
    for (int half = 0; half < 2; ++half, bgr += 12) {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(bgr), halves[half]);
        const int32_t rest = _mm_extract_epi32(halves[half], 2);
        std::memcpy(bgr + 8, &rest, 4);
    }
}

MIEN_HD void store_mattes(__m256i mattes, uint8_t* matte) {
    const __m256i close = _mm256_shuffle_epi8(
        mattes, _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4,
                                 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    const int32_t first = _mm_cvtsi128_si32(_mm256_castsi256_si128(close));
    const int32_t second = _mm_cvtsi128_si32(_mm256_extracti128_si256(close, 1));
    std::memcpy(matte, &first, 4);
    std::memcpy(matte + 4, &second, 4);
}

}  // namespace

bool takes(const FacePictures& pictures) {
    const View<const uint8_t>&texture = pictures.texture, &aux = pictures.aux;
    constexpr std::ptrdiff_t most = std::ptrdiff_t{1} << 30;
    return texture.width >= 2 && texture.height >= 2 &&
           texture.row_stride * texture.height < most && aux.row_stride * aux.height < most;
}

void draw_row(const Triangle& t, const TriangleRow& row, const FacePictures& pictures,
              const Float4& limits, int32_t from, int32_t to, const RowTarget& out) {
    const View<const uint8_t>&texture = pictures.texture, &aux = pictures.aux;
    const Lanes4 where = unpack(row.where), where_dx = unpack(t.where.dx);
    const Lanes4 gain = unpack(row.gain), gain_dx = unpack(t.gain.dx);
    const Lanes4 offset = unpack(row.offset), offset_dx = unpack(t.offset.dx);
    const Lanes4 limit = unpack(limits);
    const __m256 zero = _mm256_setzero_ps(), white = _mm256_set1_ps(255.0f);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const int32_t texture_stride = static_cast<int32_t>(texture.row_stride);
    const int32_t aux_stride = static_cast<int32_t>(aux.row_stride);
    for (int32_t x = from; x <= to; x += 8) {
        const __m256i columns = _mm256_add_epi32(_mm256_set1_epi32(x), lane);
        const __m256 fx = _mm256_sub_ps(_mm256_cvtepi32_ps(columns), _mm256_set1_ps(t.x0));
        const __m256i in_row = _mm256_cmpgt_epi32(_mm256_set1_epi32(to + 1), columns);
        const __m256 z = at(row.z, t.z_dx, fx);
        const __m256 behind = _mm256_maskload_ps(out.depth + x, in_row);
        const __m256i drawn =
            _mm256_and_si256(in_row, _mm256_castps_si256(_mm256_cmp_ps(z, behind, _CMP_LT_OQ)));
        uint32_t bits = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(drawn)));
        if (bits == 0) continue;
        _mm256_maskstore_ps(out.depth + x, drawn, z);

        const __m256 tx = held(at(where.v[0], where_dx.v[0], fx), zero, _mm256_set1_ps(limit.v[0]));
        const __m256 ty = held(at(where.v[1], where_dx.v[1], fx), zero, _mm256_set1_ps(limit.v[1]));
        const Split sx = split(_mm256_cvtps_epi32(tx), texture.width - 2);
        const Split sy = split(_mm256_cvtps_epi32(ty), texture.height - 2);
        const Weights weights = weights_of(sx.rest, sy.rest);
        alignas(32) int32_t texel[8], grey[8];
        _mm256_store_si256(
            reinterpret_cast<__m256i*>(texel),
            _mm256_add_epi32(_mm256_mullo_epi32(sy.whole, _mm256_set1_epi32(texture_stride)),
                             _mm256_slli_epi32(sx.whole, 2)));
        _mm256_store_si256(
            reinterpret_cast<__m256i*>(grey),
            _mm256_add_epi32(_mm256_mullo_epi32(sy.whole, _mm256_set1_epi32(aux_stride)),
                             sx.whole));
        const Pairs upper = pairs_at(texture.data, texel);
        const Pairs lower = pairs_at(texture.data + texture_stride, texel);
        __m256 colour[4];
        for (int c = 0; c < 4; ++c) {
            const __m256 sample =
                _mm256_cvtepi32_ps(weights.of(upper.channel[c], lower.channel[c]));
            const __m256 lit = _mm256_mul_ps(sample, at(gain.v[c], gain_dx.v[c], fx));
            colour[c] = held(_mm256_add_ps(lit, at(offset.v[c], offset_dx.v[c], fx)), zero, white);
        }

        const __m256i mattes = _mm256_srli_epi32(
            _mm256_add_epi32(weights.of(byte_pairs_at(aux.data, grey),
                                        byte_pairs_at(aux.data + aux_stride, grey)),
                             _mm256_set1_epi32(kSub * kSub / 2)),
            2 * kSubBits);
        const __m256i pixels =
            _mm256_or_si256(_mm256_cvtps_epi32(colour[0]),
                            _mm256_or_si256(_mm256_slli_epi32(_mm256_cvtps_epi32(colour[1]), 8),
                                            _mm256_slli_epi32(_mm256_cvtps_epi32(colour[2]), 16)));
        // The performer's own pixels are few: one by one.
        const uint32_t own =
            bits &
            static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(colour[3], zero, _CMP_GT_OQ)));
        uint8_t* bgr = out.bgr + 3 * static_cast<std::ptrdiff_t>(x);
        if (bits == 0xff) {
            store_pixels(pixels, bgr);
            store_mattes(mattes, out.matte + x);
        } else {
            alignas(32) int32_t packed[8], packed_mattes[8];
            _mm256_store_si256(reinterpret_cast<__m256i*>(packed), pixels);
            _mm256_store_si256(reinterpret_cast<__m256i*>(packed_mattes), mattes);
            for (; bits != 0; bits &= bits - 1) {
                const int i = __builtin_ctz(bits);
                bgr[3 * i] = static_cast<uint8_t>(packed[i]);
                bgr[3 * i + 1] = static_cast<uint8_t>(packed[i] >> 8);
                bgr[3 * i + 2] = static_cast<uint8_t>(packed[i] >> 16);
                out.matte[x + i] = static_cast<uint8_t>(packed_mattes[i]);
            }
        }
        for (uint32_t rest = own; rest != 0; rest &= rest - 1) {
            const int32_t i = static_cast<int32_t>(__builtin_ctz(rest));
            shade(t, row, pictures, limits, x + i, bgr + 3 * i, out.matte + x + i);
        }
    }
}

}  // namespace v3
}  // namespace mien
#endif
