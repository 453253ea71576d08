// What lies between networks inside one graph: the crop that a landmark network is given, what a
// generator is told, and its picture's way into the frame. Everything that differs from frame to
// frame comes in memory that the frame's own upload fills. Streams and launch checks are the
// caller's.
#include "launch.cuh"
#include "mien/blend.hpp"
#include "mien/blur.hpp"
#include "mien/crop.hpp"
#include "mien/head.hpp"

// One head of one frame.
struct MienHeadPart {
    View<const uint8_t> frame;  // what lies under the patch
    View<uint8_t> bgr, matte;   // the patch, which is written
    const float* points;        // (count, 2) crop pixels: where the drawn skin is looked at
    const float* weights;       // (count,), which add up to 1
    double map[6];              // pixel of the scaled picture from pixel of the patch
    int32_t count, reach;       // of the points; the square round each that counts
    float own[3], ratio[3];     // the performer's tone, and the ratio after the frame before
    int32_t has_ratio;
    float newest, most, share;  // of the newest ratio; its bound; how much of it is applied
    int32_t side;               // of the scaled picture
    int32_t radius;             // 0..8, of the matte's softening
    float opacity;
    int32_t unused;
};

static_assert(sizeof(MienHeadPart) == 200, "mien.gpu.packing.HeadPart must follow");
static_assert(sizeof(mien::HeadTone) == 32, "mien.gpu.packing.HeadTone must follow");
static_assert(sizeof(mien::CropPart) == 80, "mien.gpu.packing.CropPart must follow");

namespace {

constexpr int kHeadWidth = 32, kHeadHeight = 8;  // of the blocks over a picture
constexpr int kHeadRadius = 8;
constexpr int kToneThreads = 256;

struct Weighed {
    float b, g, r, weight;
};

__device__ __forceinline__ Weighed plus(const Weighed& a, const Weighed& b) {
    return {a.b + b.b, a.g + b.g, a.r + b.r, a.weight + b.weight};
}

template <typename T>
__device__ __forceinline__ void fetch_part(const T* from, T& part) {
    const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
    const int threads = static_cast<int>(blockDim.x * blockDim.y);
    for (int i = thread; i < static_cast<int>(sizeof(T) / 4); i += threads) {
        reinterpret_cast<uint32_t*>(&part)[i] = reinterpret_cast<const uint32_t*>(from)[i];
    }
    __syncthreads();
}

}  // namespace

// 2-D over a square crop, which is written as planes of R, G, B times the scale.
extern "C" __global__ void mien_face_crop(const mien::CropPart* parts, int size, float* out) {
    const int x = column(), y = line();
    if (x >= size || y >= size) return;
    int32_t bgr[3];
    mien::crop_pixel(*parts, x, y, bgr);
    float* pixel = out + y * size + x;
    for (int c = 0; c < 3; ++c) {
        pixel[c * size * size] = static_cast<float>(bgr[2 - c]) * parts->scale;
    }
}

// 1-D over layers x width: what every layer is told, mixed from what `count` passes of the encoder
// gave.
extern "C" __global__ void mien_head_mix(const float* encoded, const float* shares, int count,
                                         int layers, int width, float* out) {
    const int i = column();
    if (i >= layers * width) return;
    const int layer = i / width, at = i % width;
    float sum = 0.0f;
    for (int k = 0; k < count; ++k) sum += shares[layer * count + k] * encoded[k * width + at];
    out[i] = sum;
}

// One block: the tone of the drawn skin, and what it is multiplied by.
extern "C" __global__ void __launch_bounds__(kToneThreads, 1)
    mien_head_tone(const MienHeadPart* parts, const float* image, int size, mien::HeadTone* tone) {
    __shared__ float sums[3][kToneThreads];
    const int thread = static_cast<int>(threadIdx.x);
    float own[3] = {0.0f, 0.0f, 0.0f};
    for (int i = thread; i < parts->count; i += kToneThreads) {
        float bgr[3];
        mien::sample_drawn(image, size, parts->points[2 * i], parts->points[2 * i + 1],
                           parts->reach, bgr);
        for (int c = 0; c < 3; ++c) own[c] += parts->weights[i] * bgr[c];
    }
    for (int c = 0; c < 3; ++c) sums[c][thread] = own[c];
    __syncthreads();
    for (int half = kToneThreads / 2; half > 0; half /= 2) {
        if (thread < half) {
            for (int c = 0; c < 3; ++c) sums[c][thread] += sums[c][thread + half];
        }
        __syncthreads();
    }
    if (thread >= 3) return;
    const float drawn = sums[thread][0], wanted = parts->own[thread];
    const float now = mien::between((wanted > 4.0f ? wanted : 4.0f) / (drawn > 4.0f ? drawn : 4.0f),
                                    1.0f / parts->most, parts->most);
    const float before = parts->has_ratio ? parts->ratio[thread] : now;
    const float ratio = before + (now - before) * parts->newest;
    tone->ratio[thread] = ratio;
    tone->gain[thread] = powf(ratio, parts->share);
    if (thread == 0) tone->broken = 0;
}

// Blocks of (32, 8) over the generator's picture: bytes of B, G, R and matte, straight. What the
// network paints where nothing of it shows is anything at all; colours that do show take its place,
// by normalised averaging.
extern "C" __global__ void __launch_bounds__(kHeadWidth* kHeadHeight)
    mien_head_picture(const MienHeadPart* parts, const float* image, int size, mien::HeadTone* tone,
                      uint8_t* bgra) {
    constexpr int kReach = mien::kBleed, kRows = kHeadHeight + 2 * kReach;
    __shared__ Weighed tile[kRows][kHeadWidth + 2 * kReach];
    __shared__ Weighed sums[kRows][kHeadWidth];
    const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
    const int x0 = static_cast<int>(blockIdx.x) * kHeadWidth - kReach;
    const int y0 = static_cast<int>(blockIdx.y) * kHeadHeight - kReach;
    const int plane = size * size;
    for (int j = ty; j < kRows; j += kHeadHeight) {
        for (int i = tx; i < kHeadWidth + 2 * kReach; i += kHeadWidth) {
            const float* p = image + mien::reflect(y0 + j, size) * size + mien::reflect(x0 + i, size);
            const float matte = mien::between(p[3 * plane], 0.0f, 1.0f), weight = matte * matte;
            tile[j][i] = {mien::between(p[0], 0.0f, 1.0f) * weight,
                          mien::between(p[plane], 0.0f, 1.0f) * weight,
                          mien::between(p[2 * plane], 0.0f, 1.0f) * weight, weight};
        }
    }
    __syncthreads();
    for (int j = ty; j < kRows; j += kHeadHeight) {
        Weighed sum = {0.0f, 0.0f, 0.0f, 0.0f};
        for (int k = 0; k <= 2 * kReach; ++k) sum = plus(sum, tile[j][tx + k]);
        sums[j][tx] = sum;
    }
    __syncthreads();
    const int x = x0 + kReach + tx, y = y0 + kReach + ty;
    if (x >= size || y >= size) return;
    Weighed near = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int k = 0; k <= 2 * kReach; ++k) near = plus(near, sums[ty + k][tx]);
    const float count = static_cast<float>((2 * kReach + 1) * (2 * kReach + 1));
    const float under = near.weight / count + mien::kNobody;
    const float around[3] = {near.b / count / under, near.g / count / under,
                             near.r / count / under};
    const float* p = image + y * size + x;
    const float matte = mien::between(p[3 * plane], 0.0f, 1.0f);
    bool sound = mien::is_number(p[3 * plane]);
    uint8_t* to = bgra + 4 * (static_cast<std::ptrdiff_t>(y) * size + x);
    for (int c = 0; c < 3; ++c) {
        const float colour = mien::between(p[c * plane], 0.0f, 1.0f);
        const float value = ((colour - around[c]) * matte + around[c]) * (tone->gain[c] * 255.0f);
        to[c] = mien::to_byte(value + 0.5f);
        sound = sound && mien::is_number(p[c * plane]);
    }
    const float shown = matte * mien::head_edge(x, y, size) * (255.0f * parts->opacity);
    to[3] = mien::to_byte(shown + 0.5f);
    if (!sound) tone->broken = 1;
}

// Two resamplings, the matte's softening and the blend in one trip. Blocks of (32, 8) walk the
// patch's tiles, so that the grid is the same for every size of head.
extern "C" __global__ void __launch_bounds__(kHeadWidth* kHeadHeight, 2)
    mien_head_composite(const MienHeadPart* parts, const uint8_t* bgra, int size) {
    __shared__ MienHeadPart part;
    __shared__ uint8_t mattes[kHeadHeight + 2 * kHeadRadius][kHeadWidth + 2 * kHeadRadius];
    __shared__ uint16_t sums[kHeadHeight + 2 * kHeadRadius][kHeadWidth];
    fetch_part(parts, part);
    const int width = part.bgr.width, height = part.bgr.height, radius = part.radius;
    const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
    const int rows = kHeadHeight + 2 * radius, columns = kHeadWidth + 2 * radius;
    const int across = (width + kHeadWidth - 1) / kHeadWidth;
    const int tiles = across * ((height + kHeadHeight - 1) / kHeadHeight);
    const float share = mien::inverse_window(radius);
    for (int tile = static_cast<int>(blockIdx.x); tile < tiles;
         tile += static_cast<int>(gridDim.x)) {
        const int x0 = tile % across * kHeadWidth, y0 = tile / across * kHeadHeight;
        for (int j = ty; j < rows; j += kHeadHeight) {
            const int y = mien::clamp_to(y0 - radius + j, 0, height - 1);
            for (int i = tx; i < columns; i += kHeadWidth) {
                const int x = mien::clamp_to(x0 - radius + i, 0, width - 1);
                int32_t pixel[4];
                mien::head_at(bgra, size, part.side, part.map, x, y, 3, pixel);
                mattes[j][i] = static_cast<uint8_t>(pixel[3]);
            }
        }
        __syncthreads();
        for (int j = ty; j < rows; j += kHeadHeight) {
            uint32_t sum = 0;
            for (int k = 0; k <= 2 * radius; ++k) sum += mattes[j][tx + k];
            sums[j][tx] = static_cast<uint16_t>(sum);
        }
        __syncthreads();
        const int x = x0 + tx, y = y0 + ty;
        if (x < width && y < height) {
            uint32_t sum = 0;
            for (int k = 0; k <= 2 * radius; ++k) sum += sums[ty + k][tx];
            const uint8_t matte = mien::window_mean(sum, share);
            const uint8_t* under = part.frame.row(y) + 3 * static_cast<std::ptrdiff_t>(x);
            uint8_t* to = part.bgr.row(y) + 3 * static_cast<std::ptrdiff_t>(x);
            int32_t pixel[4] = {0, 0, 0, 0};
            if (matte != 0) mien::head_at(bgra, size, part.side, part.map, x, y, 0, pixel);
            for (int c = 0; c < 3; ++c) {
                to[c] = mien::blend_channel(under[c], static_cast<uint8_t>(pixel[c]), matte);
            }
            part.matte.row(y)[x] = matte;
        }
        __syncthreads();  // before the next tile writes the mattes
    }
}
