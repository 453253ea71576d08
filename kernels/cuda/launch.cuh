// What every kernel shares: which element a thread has, and loads of several bytes at once.
#pragma once

#include "mien/views.hpp"

// The dynamic shared memory of a launch, as bytes.
#if !defined(MIEN_DYNAMIC_SHARED)
#define MIEN_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#endif

namespace {

using mien::View;

__device__ __forceinline__ int column() {
    return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}
__device__ __forceinline__ int line() {
    return static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
}

__device__ __forceinline__ bool aligned(const void* address, unsigned int bytes) {
    return reinterpret_cast<unsigned long long>(address) % bytes == 0;
}

// Byte n of words loaded together; n is known when the loop around it is unrolled.
__device__ __forceinline__ uint8_t byte_of(const uint32_t* words, int n) {
    return static_cast<uint8_t>(words[n >> 2] >> (8 * (n & 3)));
}

// Puts byte n; words start as 0.
__device__ __forceinline__ void put_byte(uint32_t* words, int n, uint8_t value) {
    words[n >> 2] |= static_cast<uint32_t>(value) << (8 * (n & 3));
}

}  // namespace
