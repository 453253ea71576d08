// The extension module; what each part offers to Python stands beside it in cpu/.
#include <nanobind/nanobind.h>

namespace mien {

void register_raster(nanobind::module_& m);          // cpu/raster_binding.cpp
void register_patch(nanobind::module_& m);           // cpu/patch_binding.cpp
void register_yuv(nanobind::module_& m);             // cpu/yuv_binding.cpp
void register_skin(nanobind::module_& m);            // cpu/skin_binding.cpp
void register_filtered_lrelu(nanobind::module_& m);  // cpu/filtered_lrelu_binding.cpp

}  // namespace mien

NB_MODULE(_kernels, m) {
    m.doc() =
        "Per-pixel work on the CPU. Arrays may be views whose rows lie apart; pixels must touch.";
    mien::register_raster(m);
    mien::register_patch(m);
    mien::register_yuv(m);
    mien::register_skin(m);
    mien::register_filtered_lrelu(m);
}
