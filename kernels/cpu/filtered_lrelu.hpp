// filtered_lrelu on the CPU.
#pragma once

#include "mien/filtered_lrelu.hpp"

namespace mien {

constexpr std::int32_t kMostFilterTaps = 128;
constexpr std::int32_t kCudaTiles = -1;

/// Runs one call. The arrays must have been checked; `y` must not overlap `x`.
/// `threads` is the most threads used. `level` is the highest version of x86-64 to use (4:
/// AVX-512, 3: AVX2 and FMA, 0: what the build was made for; kCudaTiles: the CUDA kernel's tiles).
template <typename T>
void filtered_lrelu(const FilteredLreluCall<T, T>& call, std::int32_t threads, std::int32_t level);

}  // namespace mien
