// The CPU kernels that module.cpp binds. None of them touches Python; none throws on pixels.
#pragma once

#include <cstdint>

#include "mien/raster.hpp"
#include "mien/views.hpp"

namespace mien {

void raster_face(const FaceMesh &mesh, const FacePictures &pictures, View<const int32_t> triangles,
                 View<uint8_t> out_bgr, View<uint8_t> out_matte, View<float> depth, int threads);

}  // namespace mien
