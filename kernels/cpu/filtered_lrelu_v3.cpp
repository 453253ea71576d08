// filtered_lrelu for x86-64-v3 (AVX2 and FMA). The build compiles this file, and no other, with
// -march=x86-64-v3: it must not emit inline functions that other files share.
#if defined(MIEN_FL_X86_VERSIONS)
#if !defined(__AVX2__)
#error "compile this file with -march=x86-64-v3"
#endif
#include "filtered_lrelu.hpp"

#include <immintrin.h>

#include <atomic>
#include <cstdint>

namespace mien {
namespace v3 {

#define MIEN_FL_LANE_BYTES 32
#include "filtered_lrelu_loop.hpp"

template void filtered_lrelu_jobs<float>(const FilteredLreluCall<float, float>&, std::int32_t,
                                         std::atomic<std::int64_t>&);
template void filtered_lrelu_jobs<double>(const FilteredLreluCall<double, double>&, std::int32_t,
                                          std::atomic<std::int64_t>&);

}  // namespace v3
}  // namespace mien
#endif
