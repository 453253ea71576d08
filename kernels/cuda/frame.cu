// A whole frame's work on a face, for a graph that never changes: everything that differs from
// frame to frame, where the face is among it, comes in memory that the frame's own upload fills.
// Streams and launch checks are the caller's. Strides are in elements.
#include "face.cuh"
#include "mien/blend.hpp"
#include "mien/blur.hpp"
#include "yuv.cuh"

// Where the face lies, what may be read, and what is wanted.
struct MienFramePart {
    MienFace face;         // `pictures.frame` is the whole frame, of which the window is there;
                           // `bgr` and `matte` are written, `depth` is not
    int32_t window[4];     // left, top, last column and last row that may be looked at
    int32_t radius;        // 0..8, of the matte's softening; -1 leaves the face unblended
    uint32_t frame_number; // counts down: keys of earlier frames are larger, and so forgotten
};

// A rectangle of the frame that the host has changed since its pixels were sent; empty where height
// is 0.
struct MienMend {
    View<const uint8_t> from;  // BGR
    uint8_t* to;
    std::ptrdiff_t row_stride;
};

static_assert(sizeof(MienMend) == 40, "mien.gpu.packing.Mend must follow");
static_assert(sizeof(MienFramePart) == 248, "mien.gpu.packing.FramePart must follow");

namespace {

constexpr int kTileWidth = 32, kTileHeight = 8;  // the block of mien_frame_composite
constexpr int kMostRadius = 8;
constexpr int kDepthBits = 32, kIndexBits = 16;  // of a key; above them is the frame's number
constexpr int kWords = sizeof(MienFramePart) / 4;

// The block's own copy: a kernel's writes might otherwise have changed it at any time.
__device__ __forceinline__ void fetch(const MienFramePart* from, MienFramePart& part) {
    const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
    const int threads = static_cast<int>(blockDim.x * blockDim.y);
    for (int i = thread; i < kWords; i += threads) {
        reinterpret_cast<uint32_t*>(&part)[i] = reinterpret_cast<const uint32_t*>(from)[i];
    }
    __syncthreads();
}

// The triangle that this frame drew at a pixel of the patch; null where there is none.
__device__ __forceinline__ const mien::Triangle* nearest(const MienFramePart& part, int x, int y) {
    const unsigned long long key =
        part.face.keys[static_cast<size_t>(y) * part.face.bgr.width + x];
    if (key >> (kDepthBits + kIndexBits) != part.frame_number) return nullptr;
    return part.face.set_up + (key & ((1u << kIndexBits) - 1));
}

struct Bounds {
    mien::Float4 low, high;
};

__device__ __forceinline__ Bounds bounds_of(const MienFramePart& part) {
    const mien::Float4 all = part.face.pictures.limits();
    float high[4];
    mien::store_lanes(all, high);
    const float sub = static_cast<float>(mien::kSub);
    return {mien::make_lanes(0.0f, 0.0f, static_cast<float>(part.window[0]) * sub,
                             static_cast<float>(part.window[1]) * sub),
            mien::make_lanes(high[0], high[1], static_cast<float>(part.window[2]) * sub,
                             static_cast<float>(part.window[3]) * sub)};
}

__device__ __forceinline__ uint8_t matte_at(const MienFramePart& part, const Bounds& bounds, int x,
                                            int y) {
    const mien::Triangle* t = nearest(part, x, y);
    if (t == nullptr) return 0;
    const mien::Int4 where =
        mien::where_at(*t, mien::triangle_row(*t, y), bounds.low, bounds.high, x);
    return mien::sample_grey(part.face.pictures.aux,
                             mien::texture_taps(part.face.pictures, where));
}

}  // namespace

// Before the face: a block a rectangle, in a grid that is the same for any number of them.
extern "C" __global__ void mien_frame_mend(const MienMend* mends) {
    const MienMend mend = mends[blockIdx.x];
    const int row = 3 * mend.from.width;
    for (int i = static_cast<int>(threadIdx.x); i < row * mend.from.height;
         i += static_cast<int>(blockDim.x)) {
        mend.to[i / row * mend.row_stride + i % row] = mend.from.row(i / row)[i % row];
    }
}

// Pass 1: blocks of (32, triangles of a block), 1-D grid over the triangles.
extern "C" __global__ void mien_frame_cover(const MienFramePart* parts) {
    __shared__ MienFramePart part;
    __shared__ mien::Triangle triangles[kMostTeams];
    __shared__ int boxes[kMostTeams][4];
    fetch(parts, part);
    const unsigned long long above = static_cast<unsigned long long>(part.frame_number)
                                     << (kDepthBits + kIndexBits);
    cover_triangles(part.face, above, kIndexBits, triangles, boxes);
}

// Pass 2: samples, light, matte, softening and blending in one trip. Blocks of (32, 8) walk the
// patch's tiles, so that the grid is the same for every size of face. A tile's mattes are made
// with a rim as wide as the softening reaches, which costs less than a matte in memory.
extern "C" __global__ void __launch_bounds__(kTileWidth* kTileHeight)
    mien_frame_composite(const MienFramePart* parts) {
    __shared__ MienFramePart part;
    __shared__ uint8_t mattes[kTileHeight + 2 * kMostRadius][kTileWidth + 2 * kMostRadius];
    __shared__ uint16_t sums[kTileHeight + 2 * kMostRadius][kTileWidth];
    fetch(parts, part);
    const MienFace& face = part.face;
    const int width = face.bgr.width, height = face.bgr.height;
    const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
    const int radius = part.radius > 0 ? part.radius : 0;
    const int rows = kTileHeight + 2 * radius, columns = kTileWidth + 2 * radius;
    const Bounds bounds = bounds_of(part);
    const float share = mien::inverse_window(radius);
    const int across = (width + kTileWidth - 1) / kTileWidth;
    const int tiles = across * ((height + kTileHeight - 1) / kTileHeight);
    for (int tile = static_cast<int>(blockIdx.x); tile < tiles;
         tile += static_cast<int>(gridDim.x)) {
        const int x0 = tile % across * kTileWidth, y0 = tile / across * kTileHeight;
        for (int j = ty; j < rows; j += kTileHeight) {
            const int y = mien::clamp_to(y0 - radius + j, 0, height - 1);
            for (int i = tx; i < columns; i += kTileWidth) {
                const int x = mien::clamp_to(x0 - radius + i, 0, width - 1);
                mattes[j][i] = matte_at(part, bounds, x, y);
            }
        }
        __syncthreads();
        for (int j = ty; j < rows; j += kTileHeight) {
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
            const uint8_t* under = face.pictures.frame.row(y + face.mesh.top) +
                                   3 * static_cast<std::ptrdiff_t>(x + face.mesh.left);
            uint8_t* to = face.bgr.row(y) + 3 * static_cast<std::ptrdiff_t>(x);
            uint8_t bgr[3] = {under[0], under[1], under[2]};
            const mien::Triangle* t = nearest(part, x, y);
            if (t != nullptr && (matte != 0 || part.radius < 0)) {
                const mien::TriangleRow row = mien::triangle_row(*t, y);
                const mien::Int4 where = mien::where_at(*t, row, bounds.low, bounds.high, x);
                mien::colour_at(*t, row, face.pictures, where,
                                mien::texture_taps(face.pictures, where), x, bgr);
            }
            const uint8_t weight = part.radius < 0 ? 255 : matte;
            for (int c = 0; c < 3; ++c) to[c] = mien::blend_channel(under[c], bgr[c], weight);
            face.matte.row(y)[x] = matte;
        }
        __syncthreads();  // before the next tile writes the mattes
    }
}

// Pass 3, where the frame is 4:2:0: the blended patch into its place, which starts at even pixels
// and ends at even ones or with the frame. Blocks walk tiles of 16 x 2 pixels.
extern "C" __global__ void mien_frame_to_yuv(const MienFramePart* parts, View<uint8_t> luma,
                                             View<uint8_t> u, View<uint8_t> v, int step,
                                             mien::YuvMatrix matrix) {
    __shared__ MienFramePart part;
    fetch(parts, part);
    const View<uint8_t>& blended = part.face.bgr;
    const View<const uint8_t> bgr = {blended.data, blended.row_stride, blended.height,
                                     blended.width};
    const int left = part.face.mesh.left, top = part.face.mesh.top;
    const View<uint8_t> to_luma = {luma.row(top) + left, luma.row_stride, bgr.height, bgr.width};
    const int half_height = (bgr.height + 1) / 2, half_width = (bgr.width + 1) / 2;
    const View<uint8_t> to_u = {u.row(top / 2) + step * (left / 2), u.row_stride, half_height,
                                half_width};
    const View<uint8_t> to_v = {v.row(top / 2) + step * (left / 2), v.row_stride, half_height,
                                half_width};
    const int across = (bgr.width + kAcross - 1) / kAcross, tiles = across * half_height;
    const int threads = static_cast<int>(gridDim.x * blockDim.x);
    for (int tile = column(); tile < tiles; tile += threads) {
        tile_to_yuv(bgr, to_luma, to_u, to_v, step, matrix, tile % across * kAcross,
                    tile / across);
    }
}
