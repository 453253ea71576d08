// Python's way to the light and gain of vertices: check, let go of the GIL, call.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>

#include "../arrays.hpp"
#include "skin.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace mien {
namespace {

const float* packed_floats(const ConstArray& array, const char* name,
                           std::initializer_list<int64_t> shape) {
    check_array<float>(array, name, shape);
    check_packed(array, name);
    return static_cast<const float*>(array.data());
}

float* packed_floats(const Array& array, const char* name, std::initializer_list<int64_t> shape) {
    check_array<float>(array, name, shape);
    check_packed(array, name);
    return static_cast<float*>(array.data());
}

int64_t rows_of(const ConstArray& array) {
    return array.ndim() > 0 ? static_cast<int64_t>(array.shape(0)) : 0;
}

void bind_fit_light(const ConstArray& colours, const ConstArray& normals, const ConstArray& skin,
                    const Array& trust, const Array& light, const Array& mean, int iterations) {
    const int64_t count = rows_of(colours);
    const float* seen = packed_floats(colours, "colours", {count, 3});
    const float* facing = packed_floats(normals, "normals", {count, 3});
    const float* weights = packed_floats(skin, "skin_weights", {count});
    float* kept = packed_floats(trust, "trust", {count});
    float* out = packed_floats(light, "light", {9, 3});
    float* mean_out = packed_floats(mean, "mean", {3});
    check_range(iterations, "iterations", 1, 100);
    nb::gil_scoped_release release;
    fit_light(static_cast<int32_t>(count), seen, facing, weights, kept, iterations, out, mean_out);
}

void bind_skin_gain(const ConstArray& colours, const ConstArray& normals, const ConstArray& light,
                    const ConstArray& skin_weights, const ConstArray& broad,
                    const ConstArray& near_kernel, const ConstArray& broad_bgr,
                    const ConstArray& near_bgr, const ConstArray& skin_bgr,
                    const ConstArray& own_bgr, const ConstArray& rim_distance, float tone,
                    const Array& gain) {
    const int64_t count = rows_of(colours);
    SkinScene scene{};
    scene.count = static_cast<int32_t>(count);
    scene.colours = packed_floats(colours, "colours", {count, 3});
    scene.normals = packed_floats(normals, "normals", {count, 3});
    scene.light = packed_floats(light, "light", {9, 3});
    scene.skin_weights = packed_floats(skin_weights, "skin_weights", {count});
    scene.broad = packed_floats(broad, "broad", {count, count});
    scene.nearby = packed_floats(near_kernel, "near", {count, count});
    scene.broad_bgr = packed_floats(broad_bgr, "broad_bgr", {count, 3});
    scene.near_bgr = packed_floats(near_bgr, "near_bgr", {count, 3});
    const bool uniform = skin_bgr.ndim() == 1;
    scene.skin_bgr = uniform ? packed_floats(skin_bgr, "skin_bgr", {3})
                             : packed_floats(skin_bgr, "skin_bgr", {count, 3});
    scene.skin_step = uniform ? 0 : 3;
    scene.own_bgr = packed_floats(own_bgr, "own_bgr", {3});
    scene.rim_distance = packed_floats(rim_distance, "rim_distance", {count});
    scene.tone = tone;
    float* out = packed_floats(gain, "gain", {count, 3});
    nb::gil_scoped_release release;
    skin_gain(scene, out);
}

}  // namespace

void register_skin(nb::module_& m) {
    m.def("fit_light", &bind_fit_light, "colours"_a, "normals"_a, "skin_weights"_a, "trust"_a,
          "light"_a, "mean"_a, "iterations"_a = 1,
          nb::sig("def fit_light(colours: numpy.typing.NDArray[numpy.float32], normals: "
                  "numpy.typing.NDArray[numpy.float32], skin_weights: "
                  "numpy.typing.NDArray[numpy.float32], trust: "
                  "numpy.typing.NDArray[numpy.float32], light: "
                  "numpy.typing.NDArray[numpy.float32], mean: "
                  "numpy.typing.NDArray[numpy.float32], iterations: int = 1) -> None"),
          R"(Fits nine spherical harmonics of light to the colours of a face's vertices.

Iteratively reweighted least squares: what differs from plain skin counts for less in the
next turn, and in the next call.

Args:
    colours: (N, 3) float32 BGR, 0..255.
    normals: (N, 3) float32, unit length, view axes (z towards the viewer).
    skin_weights: (N,) float32, 1 for plain skin, 0 for what is none.
    trust: (N,) float32, weights to start from; left as the last residuals give them.
    light: (9, 3) float32, written; ``harmonics(n) @ light`` is the colour of skin facing n.
    mean: (3,) float32, written: mean colour of the skin that faces the viewer.
    iterations: 1..100.)");

    m.def("skin_gain", &bind_skin_gain, "colours"_a, "normals"_a, "light"_a, "skin_weights"_a,
          "broad"_a, "near"_a, "broad_bgr"_a, "near_bgr"_a, "skin_bgr"_a, "own_bgr"_a,
          "rim_distance"_a, "tone"_a, "gain"_a,
          nb::sig("def skin_gain(colours: numpy.typing.NDArray[numpy.float32], normals: "
                  "numpy.typing.NDArray[numpy.float32], light: "
                  "numpy.typing.NDArray[numpy.float32], skin_weights: "
                  "numpy.typing.NDArray[numpy.float32], broad: "
                  "numpy.typing.NDArray[numpy.float32], near: "
                  "numpy.typing.NDArray[numpy.float32], broad_bgr: "
                  "numpy.typing.NDArray[numpy.float32], near_bgr: "
                  "numpy.typing.NDArray[numpy.float32], skin_bgr: "
                  "numpy.typing.NDArray[numpy.float32], own_bgr: "
                  "numpy.typing.NDArray[numpy.float32], rim_distance: "
                  "numpy.typing.NDArray[numpy.float32], tone: float, gain: "
                  "numpy.typing.NDArray[numpy.float32]) -> None"),
          R"(Factors that put the performer's light on a persona's texture, vertex by vertex.

Inside the face: 55% (of the logarithm) what the light makes of the persona's normals over
its mean skin, 45% the ratio of smoothed colours, and the difference of skin tones. Towards
the rim the ratio of finely smoothed colours takes over.

Args:
    colours: (N, 3) float32 BGR, the performer's vertices, 0..255.
    normals: (N, 3) float32, the persona's, view axes.
    light: (9, 3) float32, as fit_light writes it.
    skin_weights: (N,) float32, 1 for plain skin.
    broad: (N, N) float32, smoothing whose rows add up to 1.
    near: (N, N) float32, the same over a shorter way.
    broad_bgr: (N, 3) float32, the persona's colours under that smoothing, above 0.
    near_bgr: (N, 3) float32.
    skin_bgr: (3,) or (N, 3) float32, the persona's mean skin.
    own_bgr: (3,) float32, the performer's mean skin.
    rim_distance: (N,) float32, UV units to the face's edge.
    tone: 0..1, from the performer's skin tone to the persona's.
    gain: (N, 3) float32, written.)");
}

}  // namespace mien
