#include "mien/iris.hpp"

#include "kernels.hpp"

namespace mien {

void tint_iris(View<uint8_t> frame, int32_t left, int32_t top, View<const uint8_t> inside,
               const Iris& iris) {
    for (int32_t y = 0; y < inside.height; ++y) {
        uint8_t* bgr = frame.row(top + y) + 3 * static_cast<std::ptrdiff_t>(left);
        const uint8_t* mask = inside.row(y);
        for (int32_t x = 0; x < inside.width; ++x, bgr += 3) {
            if (mask[x] != 0) tint_pixel(iris, left + x, top + y, mask[x], bgr);
        }
    }
}

}  // namespace mien
