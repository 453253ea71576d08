// Python's way to what is done to a patch and its frame: check, let go of the GIL, call.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <string>

#include "../arrays.hpp"
#include "kernels.hpp"
#include "mien/blur.hpp"
#include "mien/iris.hpp"
#include "mien/points.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace mien {
namespace {

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

}  // namespace

void register_patch(nb::module_& m) {
    m.def("blend", &bind_blend, "frame"_a, "left"_a, "top"_a, "bgr"_a, "matte"_a,
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

    m.def("blur_matte", &bind_blur_matte, "matte"_a, "radius"_a, "passes"_a = 3,
          "threads"_a = 1,
          nb::sig("def blur_matte(matte: numpy.typing.NDArray[numpy.uint8], radius: int, passes: "
                  "int = 3, threads: int = 1) -> None"),
          R"(Softens a matte in place by repeated box means; three come close to a Gaussian.

Args:
    matte: (h, w) uint8, changed; edges are repeated outwards.
    radius: 0..64 pixels on each side.
    passes: 1..8.
    threads: most threads to use.)");

    m.def("light_transfer", &bind_light_transfer, "patch"_a, "from_light"_a, "to_light"_a,
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

    m.def("sample_points", &bind_sample_points, "frame"_a, "xy"_a, "out"_a, "radius"_a = 0,
          nb::sig("def sample_points(frame: numpy.typing.NDArray[numpy.uint8], xy: "
                  "numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], "
                  "radius: int = 0) -> None"),
          R"(Reads the frame's colour at points.

Args:
    frame: (H, W, 3) uint8.
    xy: (N, 2) float32, frame pixels; points outside take the nearest edge's colour.
    out: (N, 3) float32, 0..255, written.
    radius: 0 for bilinear; else the mean of the square about the nearest pixel, 1..64.)");

    m.def("tint_iris", &bind_tint_iris, "frame"_a, "left"_a, "top"_a, "inside"_a, "x"_a,
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
}

}  // namespace mien
