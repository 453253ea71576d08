// filtered_lrelu on the CPU: the instruction sets, the jobs and the threads.
#include "filtered_lrelu.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "mien/filtered_lrelu_tile.hpp"

namespace mien {

template <typename T>
using Jobs = void (*)(const FilteredLreluCall<T, T>&, std::int32_t, std::atomic<std::int64_t>&);

// filtered_lrelu_v3.cpp and _v4.cpp hold the same loop, compiled for newer machines.
#ifdef MIEN_FL_X86_VERSIONS
namespace v3 {
template <typename T>
void filtered_lrelu_jobs(const FilteredLreluCall<T, T>&, std::int32_t, std::atomic<std::int64_t>&);
}
namespace v4 {
template <typename T>
void filtered_lrelu_jobs(const FilteredLreluCall<T, T>&, std::int32_t, std::atomic<std::int64_t>&);
}
#endif

namespace plain {
#if defined(__GNUC__)
#define MIEN_FL_LANE_BYTES 16
#else
#define MIEN_FL_LANE_BYTES 0
#endif
#include "filtered_lrelu_loop.hpp"
}  // namespace plain

namespace {

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

struct BlockOfOne {
    std::int32_t index() const { return 0; }
    std::int32_t count() const { return 1; }
    void sync() const {}
};

// The CUDA kernel's work in the CUDA kernel's order, for tests on machines without a GPU.
template <typename T>
void run_tiles(const FilteredLreluCall<T, T>& call) {
    const FilteredLreluShape& s = call.shape;
    const FilteredLreluTile tile = tile_of(s, 8, 16);
    std::vector<T> shared(tile.values(s));
    for (std::int64_t plane = 0; plane < std::int64_t(s.batch) * s.channels; ++plane) {
        for (std::int32_t y = 0; y * tile.out_height < s.out_height; ++y) {
            for (std::int32_t x = 0; x * tile.out_width < s.out_width; ++x) {
                filtered_lrelu_tile(call, tile, plane, y, x, shared.data(), BlockOfOne());
            }
        }
    }
}

}  // namespace

template <typename T>
void filtered_lrelu(const FilteredLreluCall<T, T>& call, std::int32_t threads,
                    std::int32_t level) {
    if (level == kCudaTiles) {
        run_tiles(call);
        return;
    }
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
    try {
        for (std::int32_t t = 1; t < threads && t < most; ++t) {
            pool.emplace_back([&] { jobs(call, bands, next); });
        }
    } catch (...) {
        // No thread to be had: the caller does the rest.
    }
    jobs(call, bands, next);
    for (std::thread& worker : pool) worker.join();
}

template void filtered_lrelu<float>(const FilteredLreluCall<float, float>&, std::int32_t,
                                    std::int32_t);
template void filtered_lrelu<double>(const FilteredLreluCall<double, double>&, std::int32_t,
                                     std::int32_t);

}  // namespace mien
