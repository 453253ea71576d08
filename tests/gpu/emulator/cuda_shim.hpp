// Enough of CUDA C++ to compile kernels/cuda/*.cu with a C++ compiler and run them on the host, a
// thread of a block at a time. Threads that wait for each other are fibres: all run to the next
// barrier, then all go on. Blocks run one after another, so what is shared is static.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define MIEN_DYNAMIC_SHARED(name) unsigned char* name = emulator::dynamic_shared
#define __launch_bounds__(...)

struct EmulatedIndex {
    unsigned int x, y, z;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

namespace emulator {

// One emulator a process; the fake driver calls it from one thread at a time.
inline EmulatedIndex thread_index, block_index, block_size, grid_size;
inline constexpr std::size_t kMostShared = 232448;  // what a block of sm_90 may have
alignas(16) inline unsigned char dynamic_shared[kMostShared];

inline unsigned int float_bits(float value) {
    unsigned int bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

inline constexpr std::size_t kStack = 64 * 1024;

// Fibres are started once and jump from then on: that takes no system call, and a kernel that
// waits runs some ten times as fast.
struct Fibre {
    ucontext_t context;
    jmp_buf jump;
    EmulatedIndex index;
    bool started, done;
    std::vector<unsigned char> stack;
};
inline std::vector<std::unique_ptr<Fibre>> fibres;
inline jmp_buf home;
inline Fibre* running = nullptr;
inline void (*body)(void*) = nullptr;
inline void* body_data = nullptr;

inline void back_home() {
    Fibre* self = running;
    if (_setjmp(self->jump) == 0) _longjmp(home, 1);
}

inline void wait_for_all() {
    back_home();
    thread_index = running->index;
}

inline void enter() {
    for (;;) {
        body(body_data);
        running->done = true;
        back_home();
    }
}

inline void go_on(Fibre* fibre) {
    running = fibre;
    thread_index = fibre->index;
    if (_setjmp(home) != 0) return;
    if (fibre->started) _longjmp(fibre->jump, 1);
    fibre->started = true;
    getcontext(&fibre->context);
    fibre->context.uc_stack.ss_sp = fibre->stack.data();
    fibre->context.uc_stack.ss_size = kStack;
    fibre->context.uc_link = nullptr;
    makecontext(&fibre->context, enter, 0);
    setcontext(&fibre->context);
}

inline void run_block(unsigned int threads, void (*work)(void*), void* data) {
    body = work;
    body_data = data;
    while (fibres.size() < threads) {
        fibres.push_back(std::make_unique<Fibre>());
        fibres.back()->stack.resize(kStack);
    }
    unsigned int n = 0;
    for (unsigned int z = 0; z < block_size.z; ++z)
        for (unsigned int y = 0; y < block_size.y; ++y)
            for (unsigned int x = 0; x < block_size.x; ++x, ++n) {
                fibres[n]->index = {x, y, z};
                fibres[n]->done = false;
            }
    for (bool alive = true; alive;) {
        alive = false;
        for (n = 0; n < threads; ++n) {
            if (fibres[n]->done) continue;
            go_on(fibres[n].get());
            alive = alive || !fibres[n]->done;
        }
    }
}

template <typename... A, std::size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(arguments[I])...);
}

struct Parameter {
    long size, alignment;
};

template <typename... A>
void launch(void (*kernel)(A...), bool waits, void** arguments) {
    const unsigned int threads = block_size.x * block_size.y * block_size.z;
    struct Call {
        void (*kernel)(A...);
        void** arguments;
    } one{kernel, arguments};
    const auto work = [](void* data) {
        const Call& c = *static_cast<Call*>(data);
        call(c.kernel, c.arguments, std::index_sequence_for<A...>());
    };
    for (unsigned int bz = 0; bz < grid_size.z; ++bz)
        for (unsigned int by = 0; by < grid_size.y; ++by)
            for (unsigned int bx = 0; bx < grid_size.x; ++bx) {
                block_index = {bx, by, bz};
                if (waits) {
                    // Nothing may rely on what an earlier block left in shared memory.
                    std::memset(dynamic_shared, 0xCD, sizeof dynamic_shared);
                    run_block(threads, work, &one);
                    continue;
                }
                for (unsigned int z = 0; z < block_size.z; ++z)
                    for (unsigned int y = 0; y < block_size.y; ++y)
                        for (unsigned int x = 0; x < block_size.x; ++x) {
                            thread_index = {x, y, z};
                            work(&one);
                        }
            }
}

template <typename... A>
long describe(void (*)(A...), Parameter* out) {
    const Parameter all[] = {{sizeof(A), alignof(A)}...};
    std::copy(std::begin(all), std::end(all), out);
    return sizeof...(A);
}

}  // namespace emulator

#define threadIdx emulator::thread_index
#define blockIdx emulator::block_index
#define blockDim emulator::block_size
#define gridDim emulator::grid_size

inline void __syncthreads() { emulator::wait_for_all(); }
inline void __syncwarp() { emulator::wait_for_all(); }
inline unsigned int __float_as_uint(float value) { return emulator::float_bits(value); }
template <typename T>
T atomicMin(T* at, T value) {
    const T old = *at;
    if (value < old) *at = value;
    return old;
}
