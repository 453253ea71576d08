// Python's way to the drawing of a face: check, let go of the GIL, call.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <string>

#include "../arrays.hpp"
#include "kernels.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace mien {
namespace {

void bind_raster_face(const ConstArray& texture, const ConstArray& aux, const ConstArray& uv,
                      const ConstArray& vertices, const ConstArray& source_xy,
                      const ConstArray& gain, const ConstArray& offset, const ConstArray& triangles,
                      const ConstArray& frame, int left, int top, const Array& out_bgr,
                      const Array& out_matte, const Array& depth, int threads, int level) {
    check_array<uint8_t>(texture, "texture", {kAny, kAny, 4});
    const View<const uint8_t> texture_view = view_of<uint8_t>(texture);
    check_filled(texture_view, "texture");
    check_array<uint8_t>(aux, "aux", {texture_view.height, texture_view.width});
    check_array<float>(vertices, "vertices", {kAny, 3});
    const int64_t count = static_cast<int64_t>(vertices.shape(0));
    check_array<float>(uv, "uv", {count, 2});
    check_array<float>(source_xy, "source_xy", {count, 2});
    check_array<float>(gain, "gain", {count, 3});
    check_array<float>(offset, "offset", {count, 3});
    check_array<int32_t>(triangles, "triangles", {kAny, 3});
    check_array<uint8_t>(frame, "frame", {kAny, kAny, 3});
    check_array<uint8_t>(out_bgr, "out_bgr", {kAny, kAny, 3});
    const View<uint8_t> out = view_of<uint8_t>(out_bgr);
    check_array<uint8_t>(out_matte, "out_matte", {out.height, out.width});
    check_array<float>(depth, "depth", {out.height, out.width});
    const View<const uint8_t> frame_view = view_of<uint8_t>(frame);
    check_filled(frame_view, "frame");
    check_inside(left, top, out.height, out.width, frame_view.height, frame_view.width);
    check_packed(vertices, "vertices");
    check_packed(uv, "uv");
    check_packed(source_xy, "source_xy");
    check_packed(gain, "gain");
    check_packed(offset, "offset");

    const View<const int32_t> faces = view_of<int32_t>(triangles);
    for (int32_t i = 0; i < faces.height; ++i) {
        for (int k = 0; k < 3; ++k) {
            if (faces.row(i)[k] < 0 || faces.row(i)[k] >= count) {
                throw nb::value_error(
                    ("expected triangles of vertices 0.." + std::to_string(count - 1) + ", got " +
                     std::to_string(faces.row(i)[k]) + " in triangle " + std::to_string(i))
                        .c_str());
            }
        }
    }
    const FaceMesh mesh{static_cast<const float*>(uv.data()),
                        static_cast<const float*>(vertices.data()),
                        static_cast<const float*>(source_xy.data()),
                        static_cast<const float*>(gain.data()),
                        static_cast<const float*>(offset.data()),
                        left,
                        top};
    const FacePictures pictures{texture_view, view_of<uint8_t>(aux), frame_view};
    const View<uint8_t> matte = view_of<uint8_t>(out_matte);
    const View<float> depth_view = view_of<float>(depth);
    nb::gil_scoped_release release;
    raster_face(mesh, pictures, faces, out, matte, depth_view, threads, level);
}

}  // namespace

void register_raster(nb::module_& m) {
    m.def(
        "raster_face", &bind_raster_face, "texture"_a, "aux"_a, "uv"_a, "vertices"_a,
        "source_xy"_a, "gain"_a, "offset"_a, "triangles"_a, "frame"_a, "left"_a, "top"_a,
        "out_bgr"_a, "out_matte"_a, "depth"_a, "threads"_a = 1, "level"_a = 3,
        nb::sig(
            "def raster_face(texture: numpy.typing.NDArray[numpy.uint8], aux: "
            "numpy.typing.NDArray[numpy.uint8], uv: numpy.typing.NDArray[numpy.float32], vertices: "
            "numpy.typing.NDArray[numpy.float32], source_xy: numpy.typing.NDArray[numpy.float32], "
            "gain: numpy.typing.NDArray[numpy.float32], offset: "
            "numpy.typing.NDArray[numpy.float32], triangles: numpy.typing.NDArray[numpy.int32], "
            "frame: numpy.typing.NDArray[numpy.uint8], left: int, top: int, "
            "out_bgr: numpy.typing.NDArray[numpy.uint8], out_matte: "
            "numpy.typing.NDArray[numpy.uint8], depth: numpy.typing.NDArray[numpy.float32], "
            "threads: int = 1, level: int = 3) -> None"),
        R"(Draws a textured face into a patch of the frame.

Each covered pixel is ``texture(uv) * gain + offset``, mixed with ``frame(source_xy)``
by the texture's fourth channel; its matte is ``aux(uv)``. Pixels that nothing covers
keep the frame's colour and get matte 0. Triangles that turn the other way in the
picture than in the texture face away and are left out.

Args:
    texture: (Th, Tw, 4) uint8, BGR and the weight of the performer's own pixels.
    aux: (Th, Tw) uint8, matte.
    uv: (N, 2) float32, 0..1 from edge to edge of the texture (texel x = u * Tw - 0.5).
    vertices: (N, 3) float32, frame x and y, depth (smaller is nearer).
    source_xy: (N, 2) float32, frame position of the performer's own skin there.
    gain: (N, 3) float32, BGR factor.
    offset: (N, 3) float32, BGR term in code values.
    triangles: (M, 3) int32, vertices of each.
    frame: (H, W, 3) uint8.
    left: frame column of the patch's first pixel.
    top: frame row of the patch's first pixel.
    out_bgr: (h, w, 3) uint8, written; must not overlap the frame.
    out_matte: (h, w) uint8, written.
    depth: (h, w) float32, written; 3e38 where nothing is drawn.
    threads: most threads to use.
    level: highest x86-64 version to use: 3 (AVX2) or 0 (the build's own); same pixels.

Raises:
    TypeError: an array of the wrong type.
    ValueError: an array of the wrong shape or layout, or a patch outside the frame.)");
}

}  // namespace mien
