#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels.hpp"
#include "parallel.hpp"
#include "raster_row.hpp"

namespace mien {
namespace {

// Follows floor((b * y + c) / |a|), the column where an edge crosses row y, from row to row
// without dividing.
struct Crossing {
    int64_t column, rest, size;
    int64_t column_step, rest_step;

    Crossing(int64_t a, int64_t b, int64_t c, int32_t y) : size(a < 0 ? -a : a) {
        const double reciprocal = 1.0 / static_cast<double>(size);
        const int64_t value = b * y + c;
        column = floor_divide(value, reciprocal);
        rest = value - column * size;
        column_step = floor_divide(b, reciprocal);
        rest_step = b - column_step * size;
    }

    void next() {
        rest += rest_step;
        const int64_t carry = rest >= size ? 1 : 0;
        rest -= carry * size;
        column += column_step + carry;
    }

 private:
    // The half keeps the exact quotient at least 0.5 / size away from every integer; the two
    // roundings err by less than that while |value| < 2^50.
    static int64_t floor_divide(int64_t value, double reciprocal) {
        return static_cast<int64_t>(std::floor((static_cast<double>(value) + 0.5) * reciprocal));
    }
};

class Band {
 public:
    Band(const FacePictures& pictures, View<uint8_t> bgr, View<uint8_t> matte, View<float> depth,
         int32_t first, int32_t last, bool wide)
        : wide_(wide),
          pictures_(pictures),
          limits_(pictures.limits()),
          bgr_(bgr),
          matte_(matte),
          depth_(depth),
          first_(first),
          last_(last) {}

    void clear(int32_t left, int32_t top) const {
        const std::size_t width = static_cast<std::size_t>(bgr_.width);
        for (int32_t y = first_; y < last_; ++y) {
            const uint8_t* below =
                pictures_.frame.row(y + top) + 3 * static_cast<std::ptrdiff_t>(left);
            std::memcpy(bgr_.row(y), below, 3 * width);
            std::memset(matte_.row(y), 0, width);
            float* depth = depth_.row(y);
            for (std::size_t x = 0; x < width; ++x) depth[x] = kFarthest;
        }
    }

    void draw(const Triangle& t) const {
        int32_t first = t.y_first > first_ ? t.y_first : first_;
        int32_t last = t.y_last < last_ - 1 ? t.y_last : last_ - 1;
        // Level edges bound the rows, the others the columns.
        for (int k = 0; k < 3; ++k) {
            if (t.a[k] != 0) continue;
            while (first <= last && t.b[k] * first + t.c[k] < 0) ++first;
            while (first <= last && t.b[k] * last + t.c[k] < 0) --last;
        }
        if (first > last) return;
        Crossing left = crossing(t, first, true, 0), right = crossing(t, first, false, 0);
        Crossing left2 = crossing(t, first, true, 1), right2 = crossing(t, first, false, 1);
        for (int32_t y = first; y <= last; ++y) {
            const int64_t from = std::max({-left.column, -left2.column, int64_t{0}});
            const int64_t to = std::min({right.column, right2.column, int64_t{bgr_.width - 1}});
            if (from <= to) draw_row(t, y, static_cast<int32_t>(from), static_cast<int32_t>(to));
            left.next();
            left2.next();
            right.next();
            right2.next();
        }
    }

 private:
    // The nth edge on the left (a > 0) or on the right (a < 0); the last one where there is no nth.
    static Crossing crossing(const Triangle& t, int32_t y, bool left, int nth) {
        int chosen = 0;
        for (int k = 0; k < 3; ++k) {
            if (left ? t.a[k] <= 0 : t.a[k] >= 0) continue;
            chosen = k;
            if (nth-- == 0) break;
        }
        return {t.a[chosen], t.b[chosen], t.c[chosen], y};
    }

    void draw_row(const Triangle& t, int32_t y, int32_t from, int32_t to) const {
        const TriangleRow row = triangle_row(t, y);
        const RowTarget out{bgr_.row(y), matte_.row(y), depth_.row(y)};
#ifdef MIEN_FL_X86_VERSIONS
        // Eight at once cost as much as two or three one by one.
        if (wide_ && to - from >= 2) return v3::draw_row(t, row, pictures_, limits_, from, to, out);
#endif
        for (int32_t x = from; x <= to; ++x) draw_pixel(t, row, pictures_, limits_, x, out);
    }

    bool wide_;
    FacePictures pictures_;
    Float4 limits_;
    View<uint8_t> bgr_;
    View<uint8_t> matte_;
    View<float> depth_;
    int32_t first_, last_;
};

bool can_go_wide(const FacePictures& pictures, int level) {
#ifdef MIEN_FL_X86_VERSIONS
    __builtin_cpu_init();
    return level >= 3 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2") && v3::takes(pictures);
#else
    (void)pictures;
    (void)level;
    return false;
#endif
}

}  // namespace

void raster_face(const FaceMesh& mesh, const FacePictures& pictures, View<const int32_t> triangles,
                 View<uint8_t> out_bgr, View<uint8_t> out_matte, View<float> depth, int threads,
                 int level) {
    const bool wide = can_go_wide(pictures, level);
    for_bands(out_bgr.height, threads, 16, [&](int32_t first, int32_t last) {
        const Band band(pictures, out_bgr, out_matte, depth, first, last, wide);
        band.clear(mesh.left, mesh.top);
        Triangle triangle;
        for (int32_t i = 0; i < triangles.height; ++i) {
            if (set_up_triangle(mesh, pictures, triangles.row(i), triangle)) band.draw(triangle);
        }
    });
}

}  // namespace mien
