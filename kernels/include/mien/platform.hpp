// What differs between compilers: the host-and-device mark and the choice of lanes.
#pragma once

#if defined(__CUDACC__)
#define MIEN_HD __host__ __device__ __forceinline__
#elif defined(_MSC_VER)
#define MIEN_HD __forceinline
#else
#define MIEN_HD inline __attribute__((always_inline))
#endif

// Four-lane registers: SSE2 belongs to every x86-64; elsewhere, and on the device, plain code.
#if !defined(MIEN_SCALAR) && !defined(__CUDACC__) && \
    (defined(__SSE2__) || defined(_M_X64) || (defined(_M_IX86_FP) && _M_IX86_FP >= 2))
#define MIEN_SSE2 1
#else
#define MIEN_SSE2 0
#endif
