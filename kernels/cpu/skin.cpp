#include "skin.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "mien/lanes.hpp"
#include "mien/skin.hpp"

namespace mien {
namespace {

// Solves the symmetric system for three right-hand sides in place; doubles, because nine
// harmonics of half a sphere are nearly dependent.
void solve_cholesky(double matrix[kHarmonics][kHarmonics], double rhs[kHarmonics][3]) {
    for (int j = 0; j < kHarmonics; ++j) {
        double pivot = matrix[j][j];
        for (int k = 0; k < j; ++k) pivot -= matrix[j][k] * matrix[j][k];
        const double root = std::sqrt(std::max(pivot, 1e-12));
        matrix[j][j] = root;
        for (int i = j + 1; i < kHarmonics; ++i) {
            double value = matrix[i][j];
            for (int k = 0; k < j; ++k) value -= matrix[i][k] * matrix[j][k];
            matrix[i][j] = value / root;
        }
    }
    for (int c = 0; c < 3; ++c) {
        for (int i = 0; i < kHarmonics; ++i) {
            for (int k = 0; k < i; ++k) rhs[i][c] -= matrix[i][k] * rhs[k][c];
            rhs[i][c] /= matrix[i][i];
        }
        for (int i = kHarmonics - 1; i >= 0; --i) {
            for (int k = i + 1; k < kHarmonics; ++k) rhs[i][c] -= matrix[k][i] * rhs[k][c];
            rhs[i][c] /= matrix[i][i];
        }
    }
}

// Sums of weighted products: the upper nine columns of basis by basis, then basis by colour.
struct NormalEquations {
    Float4 matrix[kHarmonics][3];
    Float4 rhs[kHarmonics];
    float weight = 0.0f;

    NormalEquations() {
        for (int r = 0; r < kHarmonics; ++r) {
            rhs[r] = splat(0.0f);
            for (int k = 0; k < 3; ++k) matrix[r][k] = splat(0.0f);
        }
    }

    void add_vertex(const float* basis, const float* colour, float w) {
        const Float4 b0 = make_lanes(basis[0], basis[1], basis[2], basis[3]);
        const Float4 b1 = make_lanes(basis[4], basis[5], basis[6], basis[7]);
        const Float4 b2 = make_lanes(basis[8], 0.0f, 0.0f, 0.0f);
        const Float4 seen = make_lanes(colour[0], colour[1], colour[2], 0.0f);
        weight += w;
        for (int r = 0; r < kHarmonics; ++r) {
            const Float4 wb = splat(w * basis[r]);
            matrix[r][0] = add(matrix[r][0], multiply(wb, b0));
            matrix[r][1] = add(matrix[r][1], multiply(wb, b1));
            matrix[r][2] = add(matrix[r][2], multiply(wb, b2));
            rhs[r] = add(rhs[r], multiply(wb, seen));
        }
    }

    void solve(float* light) const {
        double m[kHarmonics][kHarmonics], b[kHarmonics][3];
        const double ridge = kLightRidge * std::max(static_cast<double>(weight), 1e-3);
        for (int r = 0; r < kHarmonics; ++r) {
            float lanes[kBasis], sums[4];
            for (int k = 0; k < 3; ++k) store_lanes(matrix[r][k], lanes + 4 * k);
            store_lanes(rhs[r], sums);
            for (int k = 0; k < kHarmonics; ++k) m[r][k] = lanes[k];
            for (int c = 0; c < 3; ++c) b[r][c] = sums[c];
            // Order 1 is penalised once, order 2 three times, the mean almost not.
            m[r][r] += r == 0 ? 1e-6 : (r < 4 ? ridge : 3.0 * ridge);
        }
        solve_cholesky(m, b);
        for (int r = 0; r < kHarmonics; ++r) {
            for (int c = 0; c < 3; ++c) light[3 * r + c] = static_cast<float>(b[r][c]);
        }
    }
};

// Colours by channel, so that a row of a smoothing matrix meets four of them at once.
class Planes {
 public:
    Planes(const float* colours, int32_t count)
        : count_(count), values_(3 * static_cast<std::size_t>(count)) {
        for (int32_t i = 0; i < count; ++i) {
            for (int c = 0; c < 3; ++c) values_[c * count_ + i] = colours[3 * i + c];
        }
    }

    void smooth(const float* weights, float out[3]) const {
        const float *b = values_.data(), *g = b + count_, *r = g + count_;
        Float4 sums[3] = {splat(0.0f), splat(0.0f), splat(0.0f)};
        int32_t i = 0;
        for (; i + 4 <= count_; i += 4) {
            const Float4 w = load_lanes(weights + i);
            sums[0] = add(sums[0], multiply(w, load_lanes(b + i)));
            sums[1] = add(sums[1], multiply(w, load_lanes(g + i)));
            sums[2] = add(sums[2], multiply(w, load_lanes(r + i)));
        }
        for (int c = 0; c < 3; ++c) {
            float lanes[4];
            store_lanes(sums[c], lanes);
            out[c] = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
            for (int32_t k = i; k < count_; ++k) out[c] += weights[k] * b[c * count_ + k];
        }
    }

 private:
    int32_t count_;
    std::vector<float> values_;
};

// Bounds of shade, by channel, from the colours of plain skin.
void shade_bounds(const SkinScene& s, float low[3], float high[3]) {
    double sum[3] = {0, 0, 0}, squares[3] = {0, 0, 0};
    int32_t seen = 0;
    for (int32_t i = 0; i < s.count; ++i) {
        if (!(s.skin_weights[i] > kPlainSkin)) continue;
        ++seen;
        for (int c = 0; c < 3; ++c) {
            const double value = s.colours[3 * i + c];
            sum[c] += value;
            squares[c] += value * value;
        }
    }
    for (int c = 0; c < 3; ++c) {
        const double mean = sum[c] / std::max(seen, 1);
        const double variance = std::max(squares[c] / std::max(seen, 1) - mean * mean, 0.0);
        const float spread = static_cast<float>(std::sqrt(variance)) * kShadeSpread;
        const float middle = static_cast<float>(mean);
        low[c] = std::max((middle - spread) / kShadeMargin, kDarkestShade);
        high[c] = (middle + spread) * kShadeMargin;
    }
}

}  // namespace

void fit_light(int32_t count, const float* colours, const float* normals, const float* skin_weights,
               float* trust, int32_t iterations, float* light, float* mean) {
    std::vector<float> basis(static_cast<std::size_t>(count) * kBasis);
    std::vector<float> seen(static_cast<std::size_t>(count));
    double total = 0.0, sums[3] = {0.0, 0.0, 0.0};
    for (int32_t i = 0; i < count; ++i) {
        harmonics(normals + 3 * i, &basis[static_cast<std::size_t>(i) * kBasis]);
        seen[i] = skin_weights[i] * facing_weight(normals + 3 * i);
        const double weight = static_cast<double>(seen[i]) + 1e-6;
        total += weight;
        for (int c = 0; c < 3; ++c) sums[c] += weight * colours[3 * i + c];
    }
    for (int c = 0; c < 3; ++c) mean[c] = count > 0 ? static_cast<float>(sums[c] / total) : 0.0f;
    for (int32_t turn = 0; turn < iterations; ++turn) {
        NormalEquations equations;
        for (int32_t i = 0; i < count; ++i) {
            const float weight = seen[i] * trust[i];
            if (weight == 0.0f) continue;
            equations.add_vertex(&basis[static_cast<std::size_t>(i) * kBasis], colours + 3 * i,
                                 weight);
        }
        equations.solve(light);
        for (int32_t i = 0; i < count; ++i) {
            const float* b = &basis[static_cast<std::size_t>(i) * kBasis];
            const float shade[3] = {shade_of(b, light, 0), shade_of(b, light, 1),
                                    shade_of(b, light, 2)};
            trust[i] = trust_in(colours + 3 * i, shade);
        }
    }
}

void skin_gain(const SkinScene& s, float* gain) {
    const Planes planes(s.colours, s.count);
    float low[3], high[3];
    shade_bounds(s, low, high);
    // The widest rim is wanted wherever any part of the face shifts that far.
    float most = 0.0f;
    for (int32_t i = 0; i < (s.skin_step ? s.count : 1); ++i) {
        float shift[3];
        tone_shift(s.skin_bgr + i * s.skin_step, s.own_bgr, s.tone, shift);
        for (const float value : shift) most = std::max(most, std::fabs(value));
    }
    const float per_rim = 1.0f / (kToneRim + kToneRimPerShift * most);
    float shift[3] = {0.0f, 0.0f, 0.0f};
    for (int32_t i = 0; i < s.count; ++i) {
        const float* skin = s.skin_bgr + i * s.skin_step;
        if (i == 0 || s.skin_step) tone_shift(skin, s.own_bgr, s.tone, shift);
        const float share = smooth_step(s.rim_distance[i] * per_rim);
        const std::size_t row = static_cast<std::size_t>(i) * s.count;
        float basis[kBasis], broad[3], fine[3] = {1.0f, 1.0f, 1.0f};
        harmonics(s.normals + 3 * i, basis);
        planes.smooth(s.broad + row, broad);
        if (share < 1.0f) planes.smooth(s.nearby + row, fine);
        for (int c = 0; c < 3; ++c) {
            const float shade = bounded(shade_of(basis, s.light, c), low[c], high[c]);
            const float local = std::max(broad[c] / s.broad_bgr[3 * i + c], kLeastRatio);
            float log_gain = std::log(shade / skin[c]) * (1.0f - kLocalShare) +
                             std::log(local) * kLocalShare + shift[c];
            if (share < 1.0f) {
                const float outer =
                    std::log(std::max(fine[c] / s.near_bgr[3 * i + c], kLeastRatio));
                log_gain = outer + (log_gain - outer) * share;
            }
            gain[3 * i + c] = std::exp(log_gain);
        }
    }
}

}  // namespace mien
