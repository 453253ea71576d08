// Filtered leaky ReLU: bias, upsample, leaky ReLU, clamp, downsample, in one pass.
//
// The nonlinearity of an alias-free generator (Karras et al. 2021, "Alias-Free Generative
// Adversarial Networks", section 3.2): the leaky ReLU is applied at a higher sampling rate, so
// that the frequencies it creates can be filtered away before they fold back. This header holds
// the arithmetic and the index algebra, once, for the CPU loop and the CUDA kernel; those only
// decide which memory the values lie in.
//
// Along one axis, with taps a (up) and b (down) in correlation order:
//     u[k] = sum_j a[j] z[k + j - pad],   z[i * up] = x[i] + bias, z = 0 elsewhere
//     y[o] = sum_j b[j] act(u[o * down + j])
// Of the up taps only every up-th one meets a sample that is not zero: they are walked in phases.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define MIEN_FL_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define MIEN_FL_HD inline __attribute__((always_inline))
#else
#define MIEN_FL_HD inline
#endif

namespace mien {

/// What is kept of the activation for its derivative, one byte per upsampled value.
enum SlopeCode : std::uint8_t { kNegative = 0, kPositive = 1, kClamped = 2 };

/// What the activation does at the upsampled rate.
enum class SlopeMode : std::int32_t {
    kActivate = 0,  ///< leaky ReLU, gain, clamp
    kRecord = 1,    ///< the same, and writes the slope codes
    kReplay = 2,    ///< multiplies by the slope that the codes stand for: the derivative
};

/// Sizes of one call, the same for every plane. Vertical and horizontal factors are equal.
struct FilteredLreluShape {
    std::int32_t batch, channels, in_height, in_width, out_height, out_width;
    std::int32_t up, down, pad_y, pad_x;  ///< padding before the first row and column
    std::int32_t up_taps, down_taps;
    std::int32_t up_is_2d, down_is_2d;  ///< taps hold taps x taps values instead of taps
};

/// Element strides of (n, c, h, w).
struct Strides4 {
    std::int64_t n, c, h, w;
};

/// The activation's constants. `clamp` < 0 means none.
template <typename T>
struct Activation {
    T gain, slope, clamp;
};

/// One call: where everything lies. Plain data, handed to the CUDA kernel by value.
template <typename Storage, typename T>
struct FilteredLreluCall {
    FilteredLreluShape shape;
    Activation<T> activation;
    SlopeMode mode;
    const Storage* x;
    const T* bias;  ///< one per channel, or null
    const T* up_taps;
    const T* down_taps;
    Storage* y;
    std::uint8_t* codes;  ///< (n, c, codes_height, codes_width), or null
    Strides4 x_strides, y_strides, codes_strides;
    std::int32_t codes_height, codes_width;
    std::int32_t codes_y, codes_x;  ///< place of this call's u[0, 0] in the codes; outside is 0
};

/// Which up taps meet a sample for u[k], and which sample the first of them meets.
struct Phase {
    std::int32_t tap;    ///< first tap; the next ones are `up` apart
    std::int32_t input;  ///< index of the sample under it; the next ones are 1 apart
};

MIEN_FL_HD Phase phase_of(std::int32_t k, std::int32_t pad, std::int32_t up) {
    const std::int32_t at = k - pad;
    const std::int32_t below = at >= 0 ? at / up : -((-at + up - 1) / up);  // floor
    const std::int32_t tap = below * up == at ? 0 : (below + 1) * up - at;
    return {tap, below * up == at ? below : below + 1};
}

/// Taps in the phase that starts at `first`: first, first + up, ...
MIEN_FL_HD std::int32_t phase_taps(std::int32_t first, std::int32_t taps, std::int32_t up) {
    return first < taps ? (taps - first + up - 1) / up : 0;
}

/// Upsampled values under `outputs` outputs.
MIEN_FL_HD std::int32_t upsampled_extent(std::int32_t outputs, std::int32_t down,
                                         std::int32_t down_taps) {
    return (outputs - 1) * down + down_taps;
}

/// Leaky ReLU, gain, clamp. V is a scalar or a vector of lanes. NaN stays NaN.
template <typename V, typename T>
MIEN_FL_HD V activate(V value, const Activation<T>& act) {
    const V zero{};
    const V scaled = value * act.slope;
    V out = (value > zero ? value : scaled) * act.gain;
    if (act.clamp >= T(0)) {
        const V high = zero + act.clamp;
        const V low = zero - act.clamp;
        out = out > high ? high : out;
        out = out < low ? low : out;
    }
    return out;
}

/// Which slope `activate` had at this value.
template <typename T>
MIEN_FL_HD std::uint8_t code_of(T value, const Activation<T>& act) {
    const T out = (value > T(0) ? value : value * act.slope) * act.gain;
    if (act.clamp >= T(0) && (out > act.clamp || out < -act.clamp)) {
        return kClamped;
    }
    return value > T(0) ? kPositive : kNegative;
}

/// The derivative that a code stands for.
template <typename T>
MIEN_FL_HD T slope_of(std::uint8_t code, const Activation<T>& act) {
    return code == kPositive ? act.gain : (code == kNegative ? act.slope * act.gain : T(0));
}

/// sum_j taps[j * tap_step] * values[j * step]. V is a scalar (CUDA) or a vector of lanes (CPU).
template <typename V, typename T, typename MulAdd>
MIEN_FL_HD V correlate(const V* values, std::ptrdiff_t step, const T* taps, std::int32_t tap_step,
                       std::int32_t count, MulAdd muladd) {
    V sum = muladd(taps[0], values[0], V{});
    for (std::int32_t j = 1; j < count; ++j) {
        sum = muladd(taps[j * tap_step], values[j * step], sum);
    }
    return sum;
}

}  // namespace mien
