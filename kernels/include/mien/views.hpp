// Views of pixels that someone else owns: rows may be far apart, pixels of a row touch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mien/platform.hpp"

namespace mien {

template <typename T>
struct View {
    T* data;
    std::ptrdiff_t row_stride;  // in elements of T
    int32_t height;
    int32_t width;

    MIEN_HD T* row(int32_t y) const { return data + y * row_stride; }
};

template <typename T>
MIEN_HD T clamp_to(T value, T low, T high) {
    return value < low ? low : (value > high ? high : value);
}

}  // namespace mien
