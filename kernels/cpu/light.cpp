#include "mien/light.hpp"

#include <vector>

#include "kernels.hpp"
#include "mien/sample.hpp"
#include "parallel.hpp"

namespace mien {
namespace {

void relight_row(uint8_t* pixel, int32_t width, const Float4* line, std::ptrdiff_t next,
                 const GridPlace* places) {
    for (int32_t x = 0; x < width; ++x, pixel += 3) {
        const GridPlace place = places[x];
        const Float4* node = line + place.node;
        // Four bytes at a time where a fourth exists.
        const uint32_t bgr = x + 1 < width ? load4(pixel) : load3(pixel);
        const uint32_t lit = relight(bgr, mix(node[0], node[next], place.weight));
        pixel[0] = static_cast<uint8_t>(lit);
        pixel[1] = static_cast<uint8_t>(lit >> 8);
        pixel[2] = static_cast<uint8_t>(lit >> 16);
    }
}

}  // namespace

void light_transfer(View<uint8_t> patch, View<const float> from, View<const float> to, float low,
                    float high, int threads) {
    const int32_t rows = from.height, columns = from.width;
    std::vector<Float4> gains;
    gains.reserve(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
    for (int32_t j = 0; j < rows; ++j) {
        for (int32_t i = 0; i < columns; ++i) {
            const float* a = from.row(j) + 3 * static_cast<std::ptrdiff_t>(i);
            const float* b = to.row(j) + 3 * static_cast<std::ptrdiff_t>(i);
            gains.push_back(make_lanes(light_gain(a[0], b[0], low, high),
                                       light_gain(a[1], b[1], low, high),
                                       light_gain(a[2], b[2], low, high), 0.0f));
        }
    }
    std::vector<GridPlace> places;
    places.reserve(static_cast<std::size_t>(patch.width));
    for (int32_t x = 0; x < patch.width; ++x) places.push_back(grid_place(x, patch.width, columns));

    for_bands(patch.height, threads, 32, [&](int32_t first, int32_t last) {
        std::vector<Float4> line(static_cast<std::size_t>(columns));
        const std::ptrdiff_t next = columns > 1 ? 1 : 0;
        for (int32_t y = first; y < last; ++y) {
            const GridPlace at = grid_place(y, patch.height, rows);
            const Float4* upper = gains.data() + static_cast<std::ptrdiff_t>(at.node) * columns;
            const Float4* lower = upper + (rows > 1 ? columns : 0);
            for (int32_t i = 0; i < columns; ++i)
                line[static_cast<std::size_t>(i)] = mix(upper[i], lower[i], at.weight);
            relight_row(patch.row(y), patch.width, line.data(), next, places.data());
        }
    });
}

}  // namespace mien
