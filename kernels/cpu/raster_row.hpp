// One row of one triangle, the innermost loop of raster_face.
#pragma once

#include "mien/raster.hpp"

namespace mien {

// Where a row's pixels go; the pointers belong to the patch's column 0.
struct RowTarget {
    uint8_t* bgr;
    uint8_t* matte;
    float* depth;
};

MIEN_HD void draw_pixel(const Triangle& t, const TriangleRow& row, const FacePictures& pictures,
                        const Float4& limits, int32_t x, const RowTarget& out) {
    const float z = depth_at(t, row, x);
    if (!(z < out.depth[x])) return;
    out.depth[x] = z;
    shade(t, row, pictures, limits, x, out.bgr + 3 * static_cast<std::ptrdiff_t>(x), out.matte + x);
}

#ifdef MIEN_FL_X86_VERSIONS
namespace v3 {

// Whether draw_row may be used: taps beside and below each other, offsets within 32 bits.
bool takes(const FacePictures& pictures);

// Eight pixels at once, the same bits as draw_pixel for each of from..to.
void draw_row(const Triangle& t, const TriangleRow& row, const FacePictures& pictures,
              const Float4& limits, int32_t from, int32_t to, const RowTarget& out);

}  // namespace v3
#endif

}  // namespace mien
