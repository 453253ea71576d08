// Python's way from BGR to 4:2:0 and back: check, let go of the GIL, call.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <string>

#include "../arrays.hpp"
#include "kernels.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace mien {
namespace {

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

void register_yuv(nb::module_& m) {
    m.def(
        "bgr_to_i420", &bind_bgr_to_i420, "bgr"_a, "y"_a, "u"_a, "v"_a, "matrix"_a = "bt709",
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

    m.def("bgr_to_nv12", &bind_bgr_to_nv12, "bgr"_a, "y"_a, "uv"_a, "matrix"_a = "bt709",
          "threads"_a = 1,
          nb::sig("def bgr_to_nv12(bgr: numpy.typing.NDArray[numpy.uint8], y: "
                  "numpy.typing.NDArray[numpy.uint8], uv: numpy.typing.NDArray[numpy.uint8], "
                  "matrix: str = 'bt709', threads: int = 1) -> None"),
          R"(As bgr_to_i420, with u and v interleaved: uv is (ceil(H / 2), ceil(W / 2), 2).)");

    m.def(
        "i420_to_bgr", &bind_i420_to_bgr, "y"_a, "u"_a, "v"_a, "bgr"_a, "matrix"_a = "bt709",
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

    m.def("nv12_to_bgr", &bind_nv12_to_bgr, "y"_a, "uv"_a, "bgr"_a, "matrix"_a = "bt709",
          "threads"_a = 1,
          nb::sig("def nv12_to_bgr(y: numpy.typing.NDArray[numpy.uint8], uv: "
                  "numpy.typing.NDArray[numpy.uint8], bgr: numpy.typing.NDArray[numpy.uint8], "
                  "matrix: str = 'bt709', threads: int = 1) -> None"),
          R"(As i420_to_bgr, with u and v interleaved: uv is (ceil(H / 2), ceil(W / 2), 2).)");
}

}  // namespace mien
