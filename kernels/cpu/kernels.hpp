// The CPU kernels that the bindings call. None of them touches Python; pixels never make one throw.
#pragma once

#include <cstdint>

#include "mien/iris.hpp"
#include "mien/raster.hpp"
#include "mien/views.hpp"
#include "mien/yuv.hpp"

namespace mien {

// Planes of 4:2:0. With step 2, u and v are the two halves of one interleaved plane (NV12).
template <typename T>
struct YuvPlanes {
    View<T> y, u, v;
    int32_t step;
};

void raster_face(const FaceMesh& mesh, const FacePictures& pictures, View<const int32_t> triangles,
                 View<uint8_t> out_bgr, View<uint8_t> out_matte, View<float> depth, int threads,
                 int level);

void blend(View<uint8_t> frame, int32_t left, int32_t top, View<const uint8_t> bgr,
           View<const uint8_t> matte, int threads);

void blur_matte(View<uint8_t> matte, int32_t radius, int32_t passes, int threads);

void light_transfer(View<uint8_t> patch, View<const float> from, View<const float> to, float low,
                    float high, int threads);

void sample_points(View<const uint8_t> frame, View<const float> xy, int32_t radius,
                   View<float> out);

void tint_iris(View<uint8_t> frame, int32_t left, int32_t top, View<const uint8_t> inside,
               const Iris& iris);

void bgr_to_yuv(View<const uint8_t> bgr, const YuvPlanes<uint8_t>& out, const YuvMatrix& matrix,
                int threads);

void yuv_to_bgr(const YuvPlanes<const uint8_t>& in, View<uint8_t> bgr, const YuvMatrix& matrix,
                int threads);

}  // namespace mien
