// Python bindings: check, let go of the GIL, call. No maths here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <string>

#include "arrays.hpp"
#include "kernels.hpp"
#include "mien/blur.hpp"
#include "mien/iris.hpp"
#include "mien/points.hpp"

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

void bind_blend(const Array& frame, int left, int top, const ConstArray& bgr,
                const ConstArray& matte, int threads) {
    check_array<uint8_t>(frame, "frame", {kAny, kAny, 3});
    check_array<uint8_t>(bgr, "bgr", {kAny, kAny, 3});
    const View<uint8_t> under = view_of<uint8_t>(frame);
    const View<const uint8_t> over = view_of<uint8_t>(bgr);
    check_array<uint8_t>(matte, "matte", {over.height, over.width});
    check_inside(left, top, over.height, over.width, under.height, under.width);
    const View<const uint8_t> weights = view_of<uint8_t>(matte);
    nb::gil_scoped_release release;
    blend(under, left, top, over, weights, threads);
}

void bind_blur_matte(const Array& matte, int radius, int passes, int threads) {
    check_array<uint8_t>(matte, "matte", {kAny, kAny});
    check_range(radius, "radius", 0, kMostBlurRadius);
    check_range(passes, "passes", 1, 8);
    const View<uint8_t> view = view_of<uint8_t>(matte);
    if (radius == 0 || view.width == 0 || view.height == 0) return;
    nb::gil_scoped_release release;
    blur_matte(view, radius, passes, threads);
}

void bind_light_transfer(const Array& patch, const ConstArray& from_light,
                         const ConstArray& to_light, float low, float high, int threads) {
    check_array<uint8_t>(patch, "patch", {kAny, kAny, 3});
    check_array<float>(from_light, "from_light", {kAny, kAny, 3});
    const View<const float> from = view_of<float>(from_light);
    check_array<float>(to_light, "to_light", {from.height, from.width, 3});
    if (from.width < 1 || from.height < 1) {
        throw nb::value_error("expected from_light with at least one node, got none");
    }
    if (!(low >= 0.0f && low <= high)) {
        throw nb::value_error(("expected 0 <= low <= high, got low " + std::to_string(low) +
                               ", high " + std::to_string(high))
                                  .c_str());
    }
    const View<uint8_t> pixels = view_of<uint8_t>(patch);
    const View<const float> to = view_of<float>(to_light);
    nb::gil_scoped_release release;
    light_transfer(pixels, from, to, low, high, threads);
}

void bind_tint_iris(const Array& frame, int left, int top, const ConstArray& inside, float x,
                    float y, float radius, const ConstArray& tint, float brightest, float opening) {
    check_array<uint8_t>(frame, "frame", {kAny, kAny, 3});
    check_array<uint8_t>(inside, "inside", {kAny, kAny});
    check_array<float>(tint, "tint", {3});
    const View<uint8_t> pixels = view_of<uint8_t>(frame);
    const View<const uint8_t> mask = view_of<uint8_t>(inside);
    check_inside(left, top, mask.height, mask.width, pixels.height, pixels.width);
    if (!(radius > 0.0f)) {
        throw nb::value_error(("expected a radius above 0, got " + std::to_string(radius)).c_str());
    }
    const float* bgr = static_cast<const float*>(tint.data());
    const Iris iris{x, y, radius, {bgr[0], bgr[1], bgr[2]}, brightest, opening};
    nb::gil_scoped_release release;
    tint_iris(pixels, left, top, mask, iris);
}

void bind_sample_points(const ConstArray& frame, const ConstArray& xy, const Array& out,
                        int radius) {
    check_array<uint8_t>(frame, "frame", {kAny, kAny, 3});
    check_array<float>(xy, "xy", {kAny, 2});
    check_array<float>(out, "out", {static_cast<int64_t>(xy.shape(0)), 3});
    check_range(radius, "radius", 0, kMostPointRadius);
    const View<const uint8_t> pixels = view_of<uint8_t>(frame);
    check_filled(pixels, "frame");
    const View<const float> points = view_of<float>(xy);
    const View<float> colours = view_of<float>(out);
    nb::gil_scoped_release release;
    sample_points(pixels, points, radius, colours);
}

const YuvMatrix& matrix_named(const std::string& name) {
    if (name == "bt709") return kBt709;
    if (name == "bt601") return kBt601;
    throw nb::value_error(("expected matrix 'bt709' or 'bt601', got '" + name + "'").c_str());
}

void check_thirds(const ConstArray& bgr) { check_array<uint8_t>(bgr, "bgr", {kAny, kAny, 3}); }
void check_thirds(const Array& bgr) { check_array<uint8_t>(bgr, "bgr", {kAny, kAny, 3}); }

// Planes checked against the picture; A is the kind of array that holds them.
template <typename Pixel, typename A, typename B>
YuvPlanes<Pixel> planar(const B& bgr, const A& y, const A& u, const A& v) {
    check_thirds(bgr);
    const int64_t height = static_cast<int64_t>(bgr.shape(0)),
                  width = static_cast<int64_t>(bgr.shape(1));
    check_array<uint8_t>(y, "y", {height, width});
    check_array<uint8_t>(u, "u", {(height + 1) / 2, (width + 1) / 2});
    check_array<uint8_t>(v, "v", {(height + 1) / 2, (width + 1) / 2});
    return {view_of<uint8_t>(y), view_of<uint8_t>(u), view_of<uint8_t>(v), 1};
}

template <typename Pixel, typename A, typename B>
YuvPlanes<Pixel> interleaved(const B& bgr, const A& y, const A& uv) {
    check_thirds(bgr);
    const int64_t height = static_cast<int64_t>(bgr.shape(0)),
                  width = static_cast<int64_t>(bgr.shape(1));
    check_array<uint8_t>(y, "y", {height, width});
    check_array<uint8_t>(uv, "uv", {(height + 1) / 2, (width + 1) / 2, 2});
    const View<Pixel> both = view_of<uint8_t>(uv);
    return {
        view_of<uint8_t>(y), both, {both.data + 1, both.row_stride, both.height, both.width}, 2};
}

void bind_bgr_to_i420(const ConstArray& bgr, const Array& y, const Array& u, const Array& v,
                      const std::string& matrix, int threads) {
    const YuvPlanes<uint8_t> planes = planar<uint8_t>(bgr, y, u, v);
    const YuvMatrix& m = matrix_named(matrix);
    const View<const uint8_t> pixels = view_of<uint8_t>(bgr);
    if (pixels.width == 0) return;
    nb::gil_scoped_release release;
    bgr_to_yuv(pixels, planes, m, threads);
}

void bind_bgr_to_nv12(const ConstArray& bgr, const Array& y, const Array& uv,
                      const std::string& matrix, int threads) {
    const YuvPlanes<uint8_t> planes = interleaved<uint8_t>(bgr, y, uv);
    const YuvMatrix& m = matrix_named(matrix);
    const View<const uint8_t> pixels = view_of<uint8_t>(bgr);
    if (pixels.width == 0) return;
    nb::gil_scoped_release release;
    bgr_to_yuv(pixels, planes, m, threads);
}

void bind_i420_to_bgr(const ConstArray& y, const ConstArray& u, const ConstArray& v,
                      const Array& bgr, const std::string& matrix, int threads) {
    const YuvPlanes<const uint8_t> planes = planar<const uint8_t>(bgr, y, u, v);
    const YuvMatrix& m = matrix_named(matrix);
    const View<uint8_t> pixels = view_of<uint8_t>(bgr);
    nb::gil_scoped_release release;
    yuv_to_bgr(planes, pixels, m, threads);
}

void bind_nv12_to_bgr(const ConstArray& y, const ConstArray& uv, const Array& bgr,
                      const std::string& matrix, int threads) {
    const YuvPlanes<const uint8_t> planes = interleaved<const uint8_t>(bgr, y, uv);
    const YuvMatrix& m = matrix_named(matrix);
    const View<uint8_t> pixels = view_of<uint8_t>(bgr);
    nb::gil_scoped_release release;
    yuv_to_bgr(planes, pixels, m, threads);
}

}  // namespace

void register_filtered_lrelu(nb::module_& m);  // cpu/filtered_lrelu_binding.cpp
void register_skin(nb::module_& m);            // cpu/skin_binding.cpp

}  // namespace mien

NB_MODULE(_kernels, m) {
    m.doc() =
        "Per-pixel work on the CPU. Arrays may be views whose rows lie apart; pixels must touch.";

    m.def(
        "raster_face", &mien::bind_raster_face, "texture"_a, "aux"_a, "uv"_a, "vertices"_a,
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

    m.def("blend", &mien::bind_blend, "frame"_a, "left"_a, "top"_a, "bgr"_a, "matte"_a,
          "threads"_a = 1,
          nb::sig("def blend(frame: numpy.typing.NDArray[numpy.uint8], left: int, top: int, bgr: "
                  "numpy.typing.NDArray[numpy.uint8], matte: numpy.typing.NDArray[numpy.uint8], "
                  "threads: int = 1) -> None"),
          R"(Lays a patch over the frame, in place, by its matte; exact to the rounding.

Args:
    frame: (H, W, 3) uint8, changed.
    left: frame column of the patch's first pixel.
    top: frame row of the patch's first pixel.
    bgr: (h, w, 3) uint8.
    matte: (h, w) uint8, straight; 255 takes the patch, 0 leaves the frame.
    threads: most threads to use.)");

    m.def("blur_matte", &mien::bind_blur_matte, "matte"_a, "radius"_a, "passes"_a = 3,
          "threads"_a = 1,
          nb::sig("def blur_matte(matte: numpy.typing.NDArray[numpy.uint8], radius: int, passes: "
                  "int = 3, threads: int = 1) -> None"),
          R"(Softens a matte in place by repeated box means; three come close to a Gaussian.

Args:
    matte: (h, w) uint8, changed; edges are repeated outwards.
    radius: 0..64 pixels on each side.
    passes: 1..8.
    threads: most threads to use.)");

    m.def("light_transfer", &mien::bind_light_transfer, "patch"_a, "from_light"_a, "to_light"_a,
          "low"_a = 0.25f, "high"_a = 4.0f, "threads"_a = 1,
          nb::sig("def light_transfer(patch: numpy.typing.NDArray[numpy.uint8], from_light: "
                  "numpy.typing.NDArray[numpy.float32], to_light: "
                  "numpy.typing.NDArray[numpy.float32], low: float = 0.25, "
                  "high: float = 4.0, threads: int = 1) -> None"),
          R"(Multiplies a patch in place by the ratio of two coarse pictures.

The gain at a node is ``(to + 1) / (from + 1)`` in code values, held within low..high,
and bilinear between nodes, which are the centres of equal cells that tile the patch.

Args:
    patch: (h, w, 3) uint8, changed.
    from_light: (gh, gw, 3) float32, 0..255, the patch's own light.
    to_light: (gh, gw, 3) float32, 0..255, the light wanted.
    low: smallest gain.
    high: largest gain.
    threads: most threads to use.)");

    m.def("sample_points", &mien::bind_sample_points, "frame"_a, "xy"_a, "out"_a, "radius"_a = 0,
          nb::sig("def sample_points(frame: numpy.typing.NDArray[numpy.uint8], xy: "
                  "numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], "
                  "radius: int = 0) -> None"),
          R"(Reads the frame's colour at points.

Args:
    frame: (H, W, 3) uint8.
    xy: (N, 2) float32, frame pixels; points outside take the nearest edge's colour.
    out: (N, 3) float32, 0..255, written.
    radius: 0 for bilinear; else the mean of the square about the nearest pixel, 1..64.)");

    m.def("tint_iris", &mien::bind_tint_iris, "frame"_a, "left"_a, "top"_a, "inside"_a, "x"_a,
          "y"_a, "radius"_a, "tint"_a, "brightest"_a, "opening"_a,
          nb::sig("def tint_iris(frame: numpy.typing.NDArray[numpy.uint8], left: int, top: int, "
                  "inside: numpy.typing.NDArray[numpy.uint8], x: float, y: float, radius: float, "
                  "tint: numpy.typing.NDArray[numpy.float32], brightest: float, "
                  "opening: float) -> None"),
          R"(Gives an iris another colour, in place; brightness is kept, highlights stay.

Args:
    frame: (H, W, 3) uint8, changed.
    left: frame column of the region's first pixel.
    top: frame row of the region's first pixel.
    inside: (h, w) uint8, 255 between the lids.
    x: frame column of the iris's centre.
    y: frame row of the iris's centre.
    radius: of the iris, pixels.
    tint: (3,) float32 BGR, the colour for a brightness of 1.
    brightest: code value above which a pixel becomes a highlight.
    opening: 0..1, how much of the colour to use.)");

    m.def(
        "bgr_to_i420", &mien::bind_bgr_to_i420, "bgr"_a, "y"_a, "u"_a, "v"_a, "matrix"_a = "bt709",
        "threads"_a = 1,
        nb::sig(
            "def bgr_to_i420(bgr: numpy.typing.NDArray[numpy.uint8], y: "
            "numpy.typing.NDArray[numpy.uint8], u: numpy.typing.NDArray[numpy.uint8], v: "
            "numpy.typing.NDArray[numpy.uint8], matrix: str = 'bt709', threads: int = 1) -> None"),
        R"(Turns BGR into planar 4:2:0 in limited range.

Args:
    bgr: (H, W, 3) uint8.
    y: (H, W) uint8, written.
    u: (ceil(H / 2), ceil(W / 2)) uint8, written; the mean of up to four pixels.
    v: the same.
    matrix: 'bt709' or 'bt601'.
    threads: most threads to use.)");

    m.def("bgr_to_nv12", &mien::bind_bgr_to_nv12, "bgr"_a, "y"_a, "uv"_a, "matrix"_a = "bt709",
          "threads"_a = 1,
          nb::sig("def bgr_to_nv12(bgr: numpy.typing.NDArray[numpy.uint8], y: "
                  "numpy.typing.NDArray[numpy.uint8], uv: numpy.typing.NDArray[numpy.uint8], "
                  "matrix: str = 'bt709', threads: int = 1) -> None"),
          R"(As bgr_to_i420, with u and v interleaved: uv is (ceil(H / 2), ceil(W / 2), 2).)");

    m.def(
        "i420_to_bgr", &mien::bind_i420_to_bgr, "y"_a, "u"_a, "v"_a, "bgr"_a, "matrix"_a = "bt709",
        "threads"_a = 1,
        nb::sig(
            "def i420_to_bgr(y: numpy.typing.NDArray[numpy.uint8], u: "
            "numpy.typing.NDArray[numpy.uint8], v: numpy.typing.NDArray[numpy.uint8], bgr: "
            "numpy.typing.NDArray[numpy.uint8], matrix: str = 'bt709', threads: int = 1) -> None"),
        R"(Turns planar 4:2:0 in limited range into BGR; chroma is repeated, not interpolated.

Args:
    y: (H, W) uint8.
    u: (ceil(H / 2), ceil(W / 2)) uint8.
    v: the same.
    bgr: (H, W, 3) uint8, written.
    matrix: 'bt709' or 'bt601'.
    threads: most threads to use.)");

    m.def("nv12_to_bgr", &mien::bind_nv12_to_bgr, "y"_a, "uv"_a, "bgr"_a, "matrix"_a = "bt709",
          "threads"_a = 1,
          nb::sig("def nv12_to_bgr(y: numpy.typing.NDArray[numpy.uint8], uv: "
                  "numpy.typing.NDArray[numpy.uint8], bgr: numpy.typing.NDArray[numpy.uint8], "
                  "matrix: str = 'bt709', threads: int = 1) -> None"),
          R"(As i420_to_bgr, with u and v interleaved: uv is (ceil(H / 2), ceil(W / 2), 2).)");

    mien::register_skin(m);
    mien::register_filtered_lrelu(m);
}
