// filtered_lrelu on the CPU, and its binding.
#include "mien/filtered_lrelu.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MIEN_FL_X86_VERSIONS 1
#include <immintrin.h>
#endif

namespace nb = nanobind;

namespace mien {
namespace {

constexpr std::int32_t kMostTaps = 128;

// The same loop for each instruction set, chosen at run time.
namespace plain {
#if defined(__GNUC__)
#define MIEN_FL_LANE_BYTES 16
#else
#define MIEN_FL_LANE_BYTES 0
#endif
#include "filtered_lrelu_loop.hpp"
#undef MIEN_FL_LANE_BYTES
}  // namespace plain

#ifdef MIEN_FL_X86_VERSIONS
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
namespace v3 {
#define MIEN_FL_LANE_BYTES 32
#include "filtered_lrelu_loop.hpp"
#undef MIEN_FL_LANE_BYTES
}  // namespace v3
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
namespace v4 {
#define MIEN_FL_LANE_BYTES 64
#include "filtered_lrelu_loop.hpp"
#undef MIEN_FL_LANE_BYTES
}  // namespace v4
#pragma GCC pop_options
#endif

template <typename T>
using Jobs = void (*)(const FilteredLreluCall<T, T>&, std::int32_t, std::atomic<std::int64_t>&);

// level: 0 plain, 3 and 4 the x86-64 versions; the best one that the machine has, at most.
template <typename T>
Jobs<T> choose_jobs(std::int32_t level) {
#ifdef MIEN_FL_X86_VERSIONS
    __builtin_cpu_init();
    if (level >= 4 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd")) {
        return v4::filtered_lrelu_jobs<T>;
    }
    if (level >= 3 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2")) {
        return v3::filtered_lrelu_jobs<T>;
    }
#endif
    (void)level;
    return plain::filtered_lrelu_jobs<T>;
}

template <typename T>
void run_threads(const FilteredLreluCall<T, T>& call, std::int32_t threads, std::int32_t level) {
    const Jobs<T> jobs = choose_jobs<T>(level);
    const FilteredLreluShape& s = call.shape;
    // A band repeats the rows above it that its filter reaches: split only for want of jobs.
    const std::int64_t groups = std::int64_t(s.batch) * ((s.channels + 15) / 16);
    std::int32_t bands = 1;
    if (threads > 1 && groups < 2 * std::int64_t(threads)) {
        const std::int64_t wanted = (2 * std::int64_t(threads) + groups - 1) / groups;
        bands = static_cast<std::int32_t>(
            std::max<std::int64_t>(1, std::min<std::int64_t>(wanted, s.out_height / 16)));
    }
    const std::int64_t most = groups * bands;
    std::atomic<std::int64_t> next{0};
    std::vector<std::thread> pool;
    for (std::int32_t t = 1; t < threads && t < most; ++t) {
        pool.emplace_back([&] { jobs(call, bands, next); });
    }
    jobs(call, bands, next);
    for (std::thread& worker : pool) worker.join();
}

template <typename T>
using Image = nb::ndarray<const T, nb::ndim<4>, nb::device::cpu>;
template <typename T>
using Taps = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;

template <typename A>
Strides4 strides_of(const A& a) {
    return {a.stride(0), a.stride(1), a.stride(2), a.stride(3)};
}

void require(bool good, const char* message) {
    if (!good) throw std::invalid_argument(message);
}

template <typename T>
std::int32_t taps_of(const Taps<T>& taps, std::int32_t& is_2d) {
    require(taps.ndim() == 1 || (taps.ndim() == 2 && taps.shape(0) == taps.shape(1)),
            "filter taps must be (T,) or (T, T)");
    require(taps.shape(0) >= 1 && taps.shape(0) <= std::size_t(kMostTaps),
            "a filter must have 1 to 128 taps");
    is_2d = taps.ndim() == 2;
    return static_cast<std::int32_t>(taps.shape(0));
}

template <typename T>
void filtered_lrelu(Image<T> x, nb::ndarray<T, nb::ndim<4>, nb::device::cpu> y,
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
    run_threads(call, threads, level);
}

}  // namespace
}  // namespace mien
