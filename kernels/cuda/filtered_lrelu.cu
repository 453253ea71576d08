// CUDA side of filtered_lrelu: one block a tile, tiles of all planes on a grid of (tiles across,
// tiles down, planes); planes beyond the grid's depth are reached in strides. Dynamic shared memory:
// FilteredLreluTile::values() of the compute type. Streams and launch checks are the caller's.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "launch.cuh"
#include "mien/filtered_lrelu_tile.hpp"

namespace {

struct CudaBlock {
    __device__ __forceinline__ int index() const { return static_cast<int>(threadIdx.x); }
    __device__ __forceinline__ int count() const { return static_cast<int>(blockDim.x); }
    __device__ __forceinline__ void sync() const { __syncthreads(); }
};

template <typename Storage, typename T>
__device__ __forceinline__ void run(const mien::FilteredLreluCall<Storage, T>& call,
                                    const mien::FilteredLreluTile& tile) {
    MIEN_DYNAMIC_SHARED(memory);
    const std::int64_t planes = std::int64_t(call.shape.batch) * call.shape.channels;
    for (std::int64_t plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        mien::filtered_lrelu_tile(call, tile, plane, static_cast<int>(blockIdx.y),
                                  static_cast<int>(blockIdx.x), reinterpret_cast<T*>(memory),
                                  CudaBlock());
    }
}

}  // namespace

extern "C" __global__ void mien_filtered_lrelu_f32(mien::FilteredLreluCall<float, float> call,
                                                   mien::FilteredLreluTile tile) {
    run(call, tile);
}

extern "C" __global__ void mien_filtered_lrelu_f64(mien::FilteredLreluCall<double, double> call,
                                                   mien::FilteredLreluTile tile) {
    run(call, tile);
}

extern "C" __global__ void mien_filtered_lrelu_f16(mien::FilteredLreluCall<__half, float> call,
                                                   mien::FilteredLreluTile tile) {
    run(call, tile);
}

extern "C" __global__ void mien_filtered_lrelu_bf16(
    mien::FilteredLreluCall<__nv_bfloat16, float> call, mien::FilteredLreluTile tile) {
    run(call, tile);
}
