#include <cstring>

#include "kernels.hpp"
#include "parallel.hpp"

namespace mien {
namespace {

// floor(value / divisor) from the divisor's reciprocal: exact because the half keeps the quotient
// at least 2^-25 away from every integer, far more than the rounding of two doubles.
int64_t floor_divide(int64_t value, double reciprocal, int64_t limit) {
    const double quotient = (static_cast<double>(value) + 0.5) * reciprocal;
    const double bound = static_cast<double>(limit);
    if (quotient >= bound) return limit;
    if (quotient <= -bound) return -limit;
    return static_cast<int64_t>(quotient + bound) - limit;
}

class Band {
   public:
    Band(const FacePictures &pictures, View<uint8_t> bgr, View<uint8_t> matte, View<float> depth,
         int32_t first, int32_t last)
        : pictures_(pictures), bgr_(bgr), matte_(matte), depth_(depth), first_(first), last_(last) {}

    void clear(int32_t left, int32_t top) const {
        const std::size_t width = static_cast<std::size_t>(bgr_.width);
        for (int32_t y = first_; y < last_; ++y) {
            const uint8_t *below = pictures_.frame.row(y + top) + 3 * static_cast<std::ptrdiff_t>(left);
            std::memcpy(bgr_.row(y), below, 3 * width);
            std::memset(matte_.row(y), 0, width);
            float *depth = depth_.row(y);
            for (std::size_t x = 0; x < width; ++x) depth[x] = kFarthest;
        }
    }

    void draw(const Triangle &t) const {
        const int32_t first = t.y_first > first_ ? t.y_first : first_;
        const int32_t last = t.y_last < last_ - 1 ? t.y_last : last_ - 1;
        if (first > last) return;
        double reciprocal[3];
        for (int k = 0; k < 3; ++k) {
            const int64_t size = t.a[k] < 0 ? -t.a[k] : t.a[k];
            reciprocal[k] = size == 0 ? 0.0 : 1.0 / static_cast<double>(size);
        }
        for (int32_t y = first; y <= last; ++y) draw_row(t, reciprocal, y);
    }

   private:
    void draw_row(const Triangle &t, const double reciprocal[3], int32_t y) const {
        int64_t from = 0, to = bgr_.width - 1;
        for (int k = 0; k < 3; ++k) {
            const int64_t rest = t.b[k] * y + t.c[k];
            if (t.a[k] == 0) {
                if (rest < 0) return;
                continue;
            }
            const int64_t crossing = floor_divide(rest, reciprocal[k], kCrossingLimit);
            if (t.a[k] > 0) {
                from = -crossing > from ? -crossing : from;
            } else {
                to = crossing < to ? crossing : to;
            }
        }
        if (from > to) return;
        const TriangleRow row = triangle_row(t, y);
        float *depth = depth_.row(y);
        uint8_t *bgr = bgr_.row(y);
        uint8_t *matte = matte_.row(y);
        for (int32_t x = static_cast<int32_t>(from); x <= static_cast<int32_t>(to); ++x) {
            const float z = depth_at(t, row, x);
            if (!(z < depth[x])) continue;
            depth[x] = z;
            shade(t, row, pictures_, x, bgr + 3 * static_cast<std::ptrdiff_t>(x), matte + x);
        }
    }

    static constexpr int64_t kCrossingLimit = 1 << 20;

    const FacePictures &pictures_;
    View<uint8_t> bgr_;
    View<uint8_t> matte_;
    View<float> depth_;
    int32_t first_, last_;
};

}  // namespace

void raster_face(const FaceMesh &mesh, const FacePictures &pictures, View<const int32_t> triangles,
                 View<uint8_t> out_bgr, View<uint8_t> out_matte, View<float> depth, int threads) {
    for_bands(out_bgr.height, threads, 16, [&](int32_t first, int32_t last) {
        const Band band(pictures, out_bgr, out_matte, depth, first, last);
        band.clear(mesh.left, mesh.top);
        Triangle triangle;
        for (int32_t i = 0; i < triangles.height; ++i) {
            if (set_up_triangle(mesh, pictures, triangles.row(i), triangle)) band.draw(triangle);
        }
    });
}

}  // namespace mien
