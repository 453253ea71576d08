// filtered_lrelu for x86-64-v4 (AVX-512). The build compiles this file, and no other, with
// -march=x86-64-v4: it must not emit inline functions that other files share.
#if defined(MIEN_FL_X86_VERSIONS)
#if !defined(__AVX512F__)
#error "compile this file with -march=x86-64-v4"
#endif
#include "filtered_lrelu.hpp"

#include <immintrin.h>

#include <atomic>
#include <cstdint>

namespace mien {
namespace v4 {

#define MIEN_FL_LANE_BYTES 64
#include "filtered_lrelu_loop.hpp"

template void filtered_lrelu_jobs<float>(const FilteredLreluCall<float, float>&, std::int32_t,
                                         std::atomic<std::int64_t>&);
template void filtered_lrelu_jobs<double>(const FilteredLreluCall<double, double>&, std::int32_t,
                                          std::atomic<std::int64_t>&);

}  // namespace v4
}  // namespace mien
#endif
