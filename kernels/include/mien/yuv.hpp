// BGR and Y'CbCr in limited range, BT.709 or BT.601, by whole numbers (ITU-R BT.709-6 section 3,
// BT.601-7 section 2.5). OpenCV has only BT.601 here.
#pragma once

#include <cstdint>

#include "mien/views.hpp"

namespace mien {

constexpr int32_t kYuvBits = 16;

// Coefficients times 2^16. Rows of chroma add up to nothing, so greys stay exactly grey.
struct YuvMatrix {
    int32_t y_b, y_g, y_r;
    int32_t u_b, u_g, u_r;
    int32_t v_b, v_g, v_r;
    int32_t luma, r_v, g_u, g_v, b_u;  // back to BGR
};

constexpr int32_t yuv_fixed(double value) {
    return static_cast<int32_t>(value * 65536.0 + (value < 0.0 ? -0.5 : 0.5));
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
    m.y_g = yuv_fixed(luma) - m.y_b - m.y_r;
    m.u_b = yuv_fixed(u * (1.0 - kb));
    m.u_r = yuv_fixed(-u * kr);
    m.u_g = -m.u_b - m.u_r;
    m.v_r = yuv_fixed(v * (1.0 - kr));
    m.v_b = yuv_fixed(-v * kb);
    m.v_g = -m.v_r - m.v_b;
    m.luma = yuv_fixed(1.0 / luma);
    m.r_v = yuv_fixed(1.0 / v);
    m.b_u = yuv_fixed(1.0 / u);
    m.g_u = yuv_fixed(-kb / (kg * u));
    m.g_v = yuv_fixed(-kr / (kg * v));
    return m;
}

constexpr YuvMatrix kBt709 = make_yuv_matrix(0.2126, 0.0722);
constexpr YuvMatrix kBt601 = make_yuv_matrix(0.299, 0.114);

MIEN_HD uint8_t luma_of(int32_t b, int32_t g, int32_t r, const YuvMatrix& m) {
    return static_cast<uint8_t>(
        ((m.y_b * b + m.y_g * g + m.y_r * r + (1 << (kYuvBits - 1))) >> kYuvBits) + 16);
}

// From sums over the four pixels that share a chroma sample.
MIEN_HD uint8_t chroma_u(int32_t b4, int32_t g4, int32_t r4, const YuvMatrix& m) {
    return static_cast<uint8_t>(
        ((m.u_b * b4 + m.u_g * g4 + m.u_r * r4 + (1 << (kYuvBits + 1))) >> (kYuvBits + 2)) + 128);
}

MIEN_HD uint8_t chroma_v(int32_t b4, int32_t g4, int32_t r4, const YuvMatrix& m) {
    return static_cast<uint8_t>(
        ((m.v_b * b4 + m.v_g * g4 + m.v_r * r4 + (1 << (kYuvBits + 1))) >> (kYuvBits + 2)) + 128);
}

MIEN_HD uint8_t yuv_byte(int32_t fixed) {
    return static_cast<uint8_t>(clamp_to((fixed + (1 << (kYuvBits - 1))) >> kYuvBits, 0, 255));
}

MIEN_HD void bgr_of(uint8_t y, uint8_t u, uint8_t v, const YuvMatrix& m, uint8_t* bgr) {
    const int32_t luma = m.luma * (y - 16);
    bgr[0] = yuv_byte(luma + m.b_u * (u - 128));
    bgr[1] = yuv_byte(luma + m.g_u * (u - 128) + m.g_v * (v - 128));
    bgr[2] = yuv_byte(luma + m.r_v * (v - 128));
}

}  // namespace mien
