// BGR and Y'CbCr in limited range, BT.709 or BT.601, by whole numbers (ITU-R BT.709-6 section 3,
// BT.601-7 section 2.5). OpenCV has only BT.601 here.
#pragma once

#include <cstdint>

#include "mien/views.hpp"

namespace mien {

// Sixteen bits suffice throughout: values fill the upper bits of a word and only the upper half of
// each product is kept, which every vector unit does in one step. A sum of three products is low by
// less than 3/256 of a code value; greys come out exactly grey.
struct YuvMatrix {
    uint16_t y_b, y_g, y_r;  // times 2^16
    uint16_t u_b, u_g, u_r;  // u_g and u_r are taken away
    uint16_t v_r, v_g, v_b;  // v_g and v_b are taken away
    int16_t luma;            // back to BGR, times 2^13
    int16_t r_v, g_u, g_v, b_u;
};

constexpr uint16_t yuv_fixed(double value) { return static_cast<uint16_t>(value * 65536.0 + 0.5); }

constexpr int16_t yuv_back(double value) {
    return static_cast<int16_t>(value * 8192.0 + (value < 0.0 ? -0.5 : 0.5));
}

constexpr YuvMatrix make_yuv_matrix(double kr, double kb) {
    const double kg = 1.0 - kr - kb;
    const double luma = 219.0 / 255.0;
    const double chroma = 224.0 / 255.0;
    const double u = chroma * 0.5 / (1.0 - kb);
    const double v = chroma * 0.5 / (1.0 - kr);
    YuvMatrix m{};
    m.y_b = yuv_fixed(luma * kb);
    m.y_r = yuv_fixed(luma * kr);
    m.y_g = static_cast<uint16_t>(yuv_fixed(luma) - m.y_b - m.y_r);
    m.u_b = yuv_fixed(u * (1.0 - kb));
    m.u_r = yuv_fixed(u * kr);
    m.u_g = static_cast<uint16_t>(m.u_b - m.u_r);
    m.v_r = yuv_fixed(v * (1.0 - kr));
    m.v_b = yuv_fixed(v * kb);
    m.v_g = static_cast<uint16_t>(m.v_r - m.v_b);
    m.luma = yuv_back(1.0 / luma);
    m.r_v = yuv_back(1.0 / v);
    m.b_u = yuv_back(1.0 / u);
    m.g_u = yuv_back(-kb / (kg * u));
    m.g_v = yuv_back(-kr / (kg * v));
    return m;
}

constexpr YuvMatrix kBt709 = make_yuv_matrix(0.2126, 0.0722);
constexpr YuvMatrix kBt601 = make_yuv_matrix(0.299, 0.114);

MIEN_HD uint16_t upper_half(uint16_t a, uint16_t b) {
    return static_cast<uint16_t>((static_cast<uint32_t>(a) * b) >> 16);
}

MIEN_HD int16_t upper_half_signed(int16_t a, int16_t b) {
    return static_cast<int16_t>((static_cast<int32_t>(a) * b) >> 16);
}

MIEN_HD uint8_t luma_of(uint8_t b, uint8_t g, uint8_t r, const YuvMatrix& m) {
    const uint16_t fixed = static_cast<uint16_t>(upper_half(static_cast<uint16_t>(b << 8), m.y_b) +
                                                 upper_half(static_cast<uint16_t>(g << 8), m.y_g) +
                                                 upper_half(static_cast<uint16_t>(r << 8), m.y_r));
    return static_cast<uint8_t>(static_cast<uint16_t>(fixed + 16 * 256 + 128) >> 8);
}

// U and V from sums over the four pixels that share a sample: the main colour less the others.
MIEN_HD uint8_t chroma_of(uint16_t main4, uint16_t other4, uint16_t third4, uint16_t main,
                          uint16_t other, uint16_t third) {
    const uint16_t fixed = static_cast<uint16_t>(
        128 * 256 + 128 + upper_half(static_cast<uint16_t>(main4 << 6), main) -
        upper_half(static_cast<uint16_t>(other4 << 6), other) -
        upper_half(static_cast<uint16_t>(third4 << 6), third));
    return static_cast<uint8_t>(fixed >> 8);
}

MIEN_HD uint8_t chroma_u(uint16_t b4, uint16_t g4, uint16_t r4, const YuvMatrix& m) {
    return chroma_of(b4, g4, r4, m.u_b, m.u_g, m.u_r);
}

MIEN_HD uint8_t chroma_v(uint16_t b4, uint16_t g4, uint16_t r4, const YuvMatrix& m) {
    return chroma_of(r4, g4, b4, m.v_r, m.v_g, m.v_b);
}

// Back: terms in 1/32 code value, each low by less than one of those; the half that rounds is one
// larger to make up for it.
MIEN_HD int16_t luma_term(uint8_t y, const YuvMatrix& m) {
    const int16_t black = upper_half_signed(16 * 256, m.luma);
    return static_cast<int16_t>(
        upper_half(static_cast<uint16_t>(y << 8), static_cast<uint16_t>(m.luma)) - black);
}

MIEN_HD int16_t chroma_term(uint8_t code, int16_t factor) {
    return upper_half_signed(static_cast<int16_t>((code - 128) * 256), factor);
}

MIEN_HD uint8_t back_byte(int32_t fixed) {
    const int16_t value = static_cast<int16_t>(static_cast<int16_t>(fixed + 17) >> 5);
    return static_cast<uint8_t>(value < 0 ? 0 : (value > 255 ? 255 : value));
}

MIEN_HD uint8_t blue_of(uint8_t y, uint8_t u, const YuvMatrix& m) {
    return back_byte(luma_term(y, m) + chroma_term(u, m.b_u));
}

MIEN_HD uint8_t green_of(uint8_t y, uint8_t u, uint8_t v, const YuvMatrix& m) {
    return back_byte(luma_term(y, m) + chroma_term(u, m.g_u) + chroma_term(v, m.g_v));
}

MIEN_HD uint8_t red_of(uint8_t y, uint8_t v, const YuvMatrix& m) {
    return back_byte(luma_term(y, m) + chroma_term(v, m.r_v));
}

}  // namespace mien
