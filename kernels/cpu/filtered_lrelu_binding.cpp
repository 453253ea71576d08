// Python binding of filtered_lrelu: check, let go of the GIL, call.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cstdint>
#include <optional>
#include <stdexcept>

#include "filtered_lrelu.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace mien {
namespace {

template <typename T>
using Image = nb::ndarray<const T, nb::ndim<4>, nb::device::cpu>;
template <typename T>
using Taps = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;

template <typename A>
Strides4 strides_of(const A& a) {
    return {a.stride(0), a.stride(1), a.stride(2), a.stride(3)};
}

void require(bool good, const char* message) {
    if (!good) throw nb::value_error(message);
}

template <typename T>
std::int32_t taps_of(const Taps<T>& taps, std::int32_t& is_2d) {
    require(taps.ndim() == 1 || (taps.ndim() == 2 && taps.shape(0) == taps.shape(1)),
            "filter taps must be (T,) or (T, T)");
    require(taps.shape(0) >= 1 && taps.shape(0) <= std::size_t(kMostFilterTaps),
            "a filter must have 1 to 128 taps");
    is_2d = taps.ndim() == 2;
    return static_cast<std::int32_t>(taps.shape(0));
}

template <typename T>
void bind_call(Image<T> x, nb::ndarray<T, nb::ndim<4>, nb::device::cpu> y,
                    std::optional<Taps<T>> bias, Taps<T> up_taps, Taps<T> down_taps,
                    std::int32_t up, std::int32_t down, std::int32_t pad_y, std::int32_t pad_x,
                    T gain, T slope, T clamp, std::int32_t mode,
                    std::optional<nb::ndarray<std::uint8_t, nb::ndim<4>, nb::device::cpu>> codes,
                    std::int32_t codes_y, std::int32_t codes_x, std::int32_t threads,
                    std::int32_t level) {
    FilteredLreluCall<T, T> call{};
    FilteredLreluShape& s = call.shape;
    for (std::size_t axis = 0; axis < 4; ++axis) {
        require(x.shape(axis) > 0 && x.shape(axis) < (1u << 30), "x must not be empty");
        require(y.shape(axis) > 0 && y.shape(axis) < (1u << 30), "y must not be empty");
    }
    require(x.shape(0) == y.shape(0) && x.shape(1) == y.shape(1),
            "x and y must agree in batch and channels");
    require(up >= 1 && down >= 1 && up <= 64 && down <= 64, "up and down must lie in 1..64");
    require(pad_y > -(1 << 24) && pad_y < (1 << 24) && pad_x > -(1 << 24) && pad_x < (1 << 24),
            "the padding is out of range");
    require(threads >= 1, "threads must be at least 1");
    s.batch = static_cast<std::int32_t>(x.shape(0));
    s.channels = static_cast<std::int32_t>(x.shape(1));
    s.in_height = static_cast<std::int32_t>(x.shape(2));
    s.in_width = static_cast<std::int32_t>(x.shape(3));
    s.out_height = static_cast<std::int32_t>(y.shape(2));
    s.out_width = static_cast<std::int32_t>(y.shape(3));
    s.up = up;
    s.down = down;
    s.pad_y = pad_y;
    s.pad_x = pad_x;
    s.up_taps = taps_of<T>(up_taps, s.up_is_2d);
    s.down_taps = taps_of<T>(down_taps, s.down_is_2d);
    call.activation = {gain, slope, clamp};
    call.mode = static_cast<SlopeMode>(mode);
    call.x = x.data();
    call.y = y.data();
    call.up_taps = up_taps.data();
    call.down_taps = down_taps.data();
    call.x_strides = strides_of(x);
    call.y_strides = strides_of(y);
    if (bias) {
        require(bias->ndim() == 1 && bias->shape(0) == x.shape(1),
                "bias must hold one value for each channel");
        call.bias = bias->data();
    }
    require(mode >= 0 && mode <= 2, "mode must be 0, 1 or 2");
    require(mode == 0 || codes.has_value(), "this mode needs slope codes");
    if (codes) {
        require(codes->shape(0) == x.shape(0) && codes->shape(1) == x.shape(1),
                "the slope codes must agree with x in batch and channels");
        call.codes = codes->data();
        call.codes_strides = strides_of(*codes);
        call.codes_height = static_cast<std::int32_t>(codes->shape(2));
        call.codes_width = static_cast<std::int32_t>(codes->shape(3));
        call.codes_y = codes_y;
        call.codes_x = codes_x;
    }
    nb::gil_scoped_release release;
    filtered_lrelu(call, threads, level);
}

template <typename T>
void def_filtered_lrelu(nb::module_& m) {
    m.def("filtered_lrelu", &bind_call<T>, "x"_a, "y"_a, "bias"_a.none(), "up_taps"_a,
          "down_taps"_a, "up"_a, "down"_a, "pad_y"_a, "pad_x"_a, "gain"_a, "slope"_a, "clamp"_a,
          "mode"_a = 0, "codes"_a.none() = nb::none(), "codes_y"_a = 0, "codes_x"_a = 0,
          "threads"_a = 1, "level"_a = 4,
          R"(Bias, upsampling, leaky ReLU, clamp and downsampling in one pass.

Taps are in correlation order and carry their own gain; ``pad_y`` and ``pad_x`` are the zeros
before the first row and column, negative to crop; what follows after the last ones is given
by the size of ``y``. Any strides will do; channels last is quickest.

Args:
    x: (N, C, H, W) float32 or float64.
    y: (N, C, h, w) of the same type, written; must not overlap x.
    bias: (C,) or None.
    up_taps: (T,) for separable filters, (T, T) for others.
    down_taps: the same.
    up: samples after upsampling for each one before, per axis.
    down: samples before downsampling for each one after, per axis.
    pad_y: zeros above the first row, at the upsampled rate.
    pad_x: zeros left of the first column.
    gain: factor after the leaky ReLU.
    slope: factor of negative values.
    clamp: largest magnitude after the gain; negative for none.
    mode: 0 activates, 1 activates and writes codes, 2 multiplies by the slopes of codes.
    codes: (N, C, h', w') uint8, which slope each upsampled value had, or None.
    codes_y: row of the codes at the first upsampled row.
    codes_x: column of the codes at the first upsampled column.
    threads: most threads to use.
    level: highest x86-64 version to use: 4 (AVX-512), 3 (AVX2), 0 (the build's own);
        -1 runs the tiles of the CUDA kernel, for tests.

Raises:
    TypeError: arrays of another type.
    ValueError: shapes or settings that do not fit.)");
}

}  // namespace

void register_filtered_lrelu(nb::module_& m) {
    def_filtered_lrelu<float>(m);
    def_filtered_lrelu<double>(m);
}

}  // namespace mien
