#include "mien/points.hpp"

#include "kernels.hpp"

namespace mien {

void sample_points(View<const uint8_t> frame, View<const float> xy, int32_t radius,
                   View<float> out) {
    for (int32_t i = 0; i < xy.height; ++i) {
        sample_point(frame, xy.row(i)[0], xy.row(i)[1], radius, out.row(i));
    }
}

}  // namespace mien
