// Checks of what Python hands in, with messages that say what was expected and what came.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "mien/views.hpp"

namespace mien {

namespace nb = nanobind;

// Any CPU array; shapes and types are checked here so that messages can be ours.
using Array = nb::ndarray<nb::device::cpu>;
using ConstArray = nb::ndarray<nb::ro, nb::device::cpu>;

constexpr int64_t kAny = -1;

template <typename T>
const char* type_name();
template <>
inline const char* type_name<uint8_t>() {
    return "uint8";
}
template <>
inline const char* type_name<float>() {
    return "float32";
}
template <>
inline const char* type_name<int32_t>() {
    return "int32";
}

inline std::string shape_text(std::initializer_list<int64_t> shape) {
    std::string text = "(";
    for (const int64_t size : shape) {
        if (text.size() > 1) text += ", ";
        text += size == kAny ? std::string("any") : std::to_string(size);
    }
    return text + ")";
}

template <typename A>
std::string describe(const A& array) {
    std::string text = "(";
    for (std::size_t i = 0; i < array.ndim(); ++i) {
        if (i > 0) text += ", ";
        text += std::to_string(array.shape(i));
    }
    const nb::dlpack::dtype type = array.dtype();
    const char* kinds[] = {"int", "uint", "float"};
    text += ") ";
    text += type.code < 3 ? kinds[type.code] : "other";
    return text + std::to_string(type.bits);
}

// Throws TypeError for a wrong type, ValueError for a wrong shape or layout.
template <typename T, typename A>
void check_array(const A& array, const char* name, std::initializer_list<int64_t> shape) {
    const std::string wanted =
        std::string("expected ") + name + " " + shape_text(shape) + " " + type_name<T>();
    if (array.dtype() != nb::dtype<T>()) {
        throw nb::type_error((wanted + ", got " + describe(array)).c_str());
    }
    bool fits = array.ndim() == shape.size();
    std::size_t axis = 0;
    for (const int64_t size : shape) {
        if (!fits) break;
        fits = size == kAny || static_cast<int64_t>(array.shape(axis)) == size;
        ++axis;
    }
    if (!fits) throw nb::value_error((wanted + ", got " + describe(array)).c_str());
    if (array.size() == 0) return;  // strides of nothing mean nothing
    // All but the first axis must be packed; rows may lie apart, but never backwards.
    int64_t packed = 1;
    for (std::size_t i = array.ndim(); i-- > 1;) {
        if (array.shape(i) > 1 && array.stride(i) != packed) {
            throw nb::value_error(
                (wanted + " with packed pixels (only rows may lie apart), got strides that "
                          "are not; pass np.ascontiguousarray(...)")
                    .c_str());
        }
        packed *= static_cast<int64_t>(array.shape(i));
    }
    if (array.ndim() > 1 && array.shape(0) > 1 && array.stride(0) < packed) {
        throw nb::value_error((wanted + " whose rows do not overlap or run backwards; pass "
                                        "np.ascontiguousarray(...)")
                                  .c_str());
    }
    constexpr std::size_t most = std::size_t{1} << 20;  // far beyond any picture, keeps int32 safe
    for (std::size_t i = 0; i < array.ndim(); ++i) {
        if (array.shape(i) > most) {
            throw nb::value_error(
                (wanted + " of at most 1048576 along an axis, got " + describe(array)).c_str());
        }
    }
}

// Lists of points and the like, where rows must touch too.
template <typename A>
void check_packed(const A& array, const char* name) {
    if (array.size() == 0) return;
    int64_t row = 1;
    for (std::size_t i = 1; i < array.ndim(); ++i) row *= static_cast<int64_t>(array.shape(i));
    if (array.shape(0) > 1 && array.stride(0) != row) {
        throw nb::value_error((std::string("expected ") + name +
                               " packed, got rows that lie apart; pass np.ascontiguousarray(...)")
                                  .c_str());
    }
}

template <typename T>
View<T> view_of(const Array& array) {
    return {static_cast<T*>(array.data()),
            array.shape(0) > 1 ? static_cast<std::ptrdiff_t>(array.stride(0)) : 0,
            static_cast<int32_t>(array.shape(0)),
            array.ndim() > 1 ? static_cast<int32_t>(array.shape(1)) : 1};
}

template <typename T>
View<const T> view_of(const ConstArray& array) {
    return {static_cast<const T*>(array.data()),
            array.shape(0) > 1 ? static_cast<std::ptrdiff_t>(array.stride(0)) : 0,
            static_cast<int32_t>(array.shape(0)),
            array.ndim() > 1 ? static_cast<int32_t>(array.shape(1)) : 1};
}

// A patch that must lie wholly inside a frame.
inline void check_inside(int left, int top, int32_t patch_height, int32_t patch_width,
                         int32_t height, int32_t width) {
    if (left < 0 || top < 0 || left > width - patch_width || top > height - patch_height) {
        throw nb::value_error(("expected a patch inside the frame of " + std::to_string(height) +
                               " x " + std::to_string(width) + ", got " +
                               std::to_string(patch_height) + " x " + std::to_string(patch_width) +
                               " at left " + std::to_string(left) + ", top " + std::to_string(top))
                                  .c_str());
    }
}

inline void check_range(int value, const char* name, int low, int high) {
    if (value < low || value > high) {
        throw nb::value_error((std::string("expected ") + name + " " + std::to_string(low) + ".." +
                               std::to_string(high) + ", got " + std::to_string(value))
                                  .c_str());
    }
}

inline void check_filled(const View<const uint8_t>& picture, const char* name) {
    if (picture.width < 1 || picture.height < 1) {
        throw nb::value_error(
            (std::string("expected ") + name + " with at least one pixel, got none").c_str());
    }
}

}  // namespace mien
