// The CPU loop of filtered_lrelu. Included once per instruction set, each time in a namespace of
// its own, with MIEN_FL_LANE_BYTES set to the width of a vector. `V` holds the same pixel of
// several neighbouring channels.
//
// A job is a group of channels and a band of output rows. Rows stream through four stages, each
// feeding a ring of just as many rows as the next stage looks at, so that nothing but the input
// and the output travels beyond the L2 cache:
//     packed input row -> upsampled across -> upsampled down, activated -> filtered across -> out

template <typename T>
struct VectorOf;

#if MIEN_FL_LANE_BYTES > 0
template <>
struct VectorOf<float> {
    typedef float type __attribute__((vector_size(MIEN_FL_LANE_BYTES), may_alias));
};
template <>
struct VectorOf<double> {
    typedef double type __attribute__((vector_size(MIEN_FL_LANE_BYTES), may_alias));
};
#else
template <typename T>
struct VectorOf {
    typedef T type;
};
#endif

struct MulAdd {
#if MIEN_FL_LANE_BYTES == 64
    typedef VectorOf<float>::type F;
    typedef VectorOf<double>::type D;
    MIEN_FL_HD F operator()(float a, F b, F c) const {
        return (F)_mm512_fmadd_ps(_mm512_set1_ps(a), (__m512)b, (__m512)c);
    }
    MIEN_FL_HD D operator()(double a, D b, D c) const {
        return (D)_mm512_fmadd_pd(_mm512_set1_pd(a), (__m512d)b, (__m512d)c);
    }
#elif MIEN_FL_LANE_BYTES == 32
    typedef VectorOf<float>::type F;
    typedef VectorOf<double>::type D;
    MIEN_FL_HD F operator()(float a, F b, F c) const {
        return (F)_mm256_fmadd_ps(_mm256_set1_ps(a), (__m256)b, (__m256)c);
    }
    MIEN_FL_HD D operator()(double a, D b, D c) const {
        return (D)_mm256_fmadd_pd(_mm256_set1_pd(a), (__m256d)b, (__m256d)c);
    }
#else
    template <typename V, typename T>
    MIEN_FL_HD V operator()(T a, V b, V c) const {
        return b * a + c;
    }
#endif
};

template <typename T>
class Band {
  public:
    using V = typename VectorOf<T>::type;
    static constexpr std::int32_t kLanes = sizeof(V) / sizeof(T);

    explicit Band(const FilteredLreluCall<T, T>& call)
        : call_(call),
          s_(call.shape),
          up_width_(upsampled_extent(s_.out_width, s_.down, s_.down_taps)),
          left_(-phase_of(0, s_.pad_x, s_.up).input > 0 ? -phase_of(0, s_.pad_x, s_.up).input : 0),
          packed_width_(packed_width()),
          up_rows_((s_.up_taps + s_.up - 1) / s_.up + 1) {
        const std::size_t row_in = s_.up_is_2d ? packed_width_ : up_width_;
        const std::size_t row_mid = s_.down_is_2d ? up_width_ : s_.out_width;
        const std::size_t total = packed_width_ + row_in * up_rows_ + up_width_ +
                                  row_mid * s_.down_taps + kBlock + 1;
        storage_ = new char[total * sizeof(V) + 64];
        V* at = reinterpret_cast<V*>((reinterpret_cast<std::uintptr_t>(storage_) + 63) / 64 * 64);
        packed_ = at;
        in_ring_ = packed_ + packed_width_;
        up_row_ = in_ring_ + row_in * up_rows_;
        mid_ring_ = up_row_ + up_width_;
        in_row_size_ = row_in;
        mid_row_size_ = row_mid;
    }

    ~Band() { delete[] storage_; }
    Band(const Band&) = delete;
    Band& operator=(const Band&) = delete;

    /// Output rows [first, last) of channels [channel, channel + kLanes) of one sample.
    void run(std::int32_t sample, std::int32_t channel, std::int32_t first, std::int32_t last) {
        sample_ = sample;
        channel_ = channel;
        lanes_ = s_.channels - channel < kLanes ? s_.channels - channel : kLanes;
        const std::int32_t k_first = first * s_.down;
        const std::int32_t k_last = (last - 1) * s_.down + s_.down_taps;
        const std::int32_t start = phase_of(k_first, s_.pad_y, s_.up).input;
        next_input_ = start > 0 ? start : 0;
        std::int32_t out = first;
        for (std::int32_t k = k_first; k < k_last; ++k) {
            V* target = s_.down_is_2d ? mid_row(k) : up_row_;
            upsample_row(k, target);
            activate_row(k, target);
            if (!s_.down_is_2d) {
                filter_across(target, mid_row(k));
            }
            if (k == out * s_.down + s_.down_taps - 1) {
                write_row(out++);
            }
        }
    }

  private:
    static constexpr std::int32_t kBlock = 4;  // independent sums: hides the latency of the FMA

    std::size_t packed_width() const {
        const Phase last = phase_of(up_width_ - 1, s_.pad_x, s_.up);
        const std::int32_t end = last.input + phase_taps(last.tap, s_.up_taps, s_.up) + 1;
        return left_ + (end > s_.in_width ? end : s_.in_width);
    }
    V* in_row(std::int32_t row) const { return in_ring_ + (row % up_rows_) * in_row_size_; }
    V* mid_row(std::int32_t k) const { return mid_ring_ + (k % s_.down_taps) * mid_row_size_; }

    // Input row `row` with its bias, one vector a pixel, zeros where it is padded.
    void pack_row(std::int32_t row, V* target) const {
        const Strides4& st = call_.x_strides;
        const T* source = call_.x + sample_ * st.n + channel_ * st.c + row * st.h;
        T bias[kLanes] = {};
        for (std::int32_t l = 0; call_.bias != nullptr && l < lanes_; ++l) {
            bias[l] = call_.bias[channel_ + l];
        }
        for (std::int32_t x = 0; x < left_; ++x) target[x] = V{};
        for (std::size_t x = left_ + s_.in_width; x < packed_width_; ++x) target[x] = V{};
        T* at = reinterpret_cast<T*>(target + left_);
        if (st.c == 1 && lanes_ == kLanes) {
            for (std::int32_t x = 0; x < s_.in_width; ++x) {
                for (std::int32_t l = 0; l < kLanes; ++l) {
                    at[x * kLanes + l] = source[x * st.w + l] + bias[l];
                }
            }
            return;
        }
        for (std::int32_t l = 0; l < kLanes; ++l) {
            const T* lane = source + l * st.c;
            for (std::int32_t x = 0; x < s_.in_width; ++x) {
                at[x * kLanes + l] = l < lanes_ ? lane[x * st.w] + bias[l] : T(0);
            }
        }
    }

    void fetch_input(std::int32_t row) {
        if (s_.up_is_2d) {
            pack_row(row, in_row(row));
            return;
        }
        pack_row(row, packed_);
        V* target = in_row(row);
        // Outputs of one phase are `up` apart and read neighbouring samples.
        for (std::int32_t p = 0; p < s_.up; ++p) {
            const Phase phase = phase_of(p, s_.pad_x, s_.up);
            const std::int32_t count = phase_taps(phase.tap, s_.up_taps, s_.up);
            const V* source = packed_ + left_ + phase.input;
            const std::int32_t outputs = p < up_width_ ? (up_width_ - p + s_.up - 1) / s_.up : 0;
            sums_across(source, 1, call_.up_taps + phase.tap, s_.up, count, target + p, s_.up,
                        outputs);
        }
    }

    // target[i * target_step] = sum_j taps[j * tap_step] * source[i * step + j]
    static void sums_across(const V* source, std::int32_t step, const T* taps,
                            std::int32_t tap_step, std::int32_t count, V* target,
                            std::int32_t target_step, std::int32_t outputs) {
        const MulAdd muladd;
        std::int32_t i = 0;
        for (; i + kBlock <= outputs && count > 0; i += kBlock) {
            V sum[kBlock] = {};
            for (std::int32_t j = 0; j < count; ++j) {
                for (std::int32_t b = 0; b < kBlock; ++b) {
                    sum[b] = muladd(taps[j * tap_step], source[(i + b) * step + j], sum[b]);
                }
            }
            for (std::int32_t b = 0; b < kBlock; ++b) target[(i + b) * target_step] = sum[b];
        }
        for (; i < outputs; ++i) {
            target[i * target_step] =
                count > 0 ? correlate(source + i * step, 1, taps, tap_step, count, muladd) : V{};
        }
    }

    // target[i] = sum_j taps[j * tap_step] * rows[j][i]
    static void sums_down(const V* const* rows, const T* taps, std::int32_t tap_step,
                          std::int32_t count, V* target, std::int32_t outputs) {
        const MulAdd muladd;
        std::int32_t i = 0;
        for (; i + kBlock <= outputs; i += kBlock) {
            V sum[kBlock] = {};
            for (std::int32_t j = 0; j < count; ++j) {
                const V* row = rows[j] + i;
                for (std::int32_t b = 0; b < kBlock; ++b) {
                    sum[b] = muladd(taps[j * tap_step], row[b], sum[b]);
                }
            }
            for (std::int32_t b = 0; b < kBlock; ++b) target[i + b] = sum[b];
        }
        for (; i < outputs; ++i) {
            V sum = {};
            for (std::int32_t j = 0; j < count; ++j) {
                sum = muladd(taps[j * tap_step], rows[j][i], sum);
            }
            target[i] = sum;
        }
    }

    void upsample_row(std::int32_t k, V* target) {
        const Phase phase = phase_of(k, s_.pad_y, s_.up);
        std::int32_t tap = phase.tap;
        std::int32_t row = phase.input;
        std::int32_t count = phase_taps(tap, s_.up_taps, s_.up);
        if (row < 0) {  // rows above the picture hold zeros
            tap -= row * s_.up;
            count += row;
            row = 0;
        }
        if (row + count > s_.in_height) count = s_.in_height - row;
        for (; next_input_ < row + count; ++next_input_) {
            if (next_input_ + up_rows_ > row) fetch_input(next_input_);
        }
        if (count <= 0) {
            for (std::int32_t x = 0; x < up_width_; ++x) target[x] = V{};
            return;
        }
        const V* rows[kMostFilterTaps];
        for (std::int32_t j = 0; j < count; ++j) rows[j] = in_row(row + j);
        if (!s_.up_is_2d) {
            sums_down(rows, call_.up_taps + tap, s_.up, count, target, up_width_);
        } else {
            upsample_2d(rows, tap, count, target);
        }
    }

    void upsample_2d(const V* const* rows, std::int32_t tap_y, std::int32_t count, V* target) {
        const MulAdd muladd;
        for (std::int32_t x = 0; x < up_width_; ++x) {
            const Phase phase = phase_of(x, s_.pad_x, s_.up);
            const std::int32_t across = phase_taps(phase.tap, s_.up_taps, s_.up);
            V sum = {};
            for (std::int32_t j = 0; j < count; ++j) {
                const T* taps = call_.up_taps + (tap_y + j * s_.up) * s_.up_taps + phase.tap;
                const V* source = rows[j] + left_ + phase.input;
                for (std::int32_t i = 0; i < across; ++i) {
                    sum = muladd(taps[i * s_.up], source[i], sum);
                }
            }
            target[x] = sum;
        }
    }

    void activate_row(std::int32_t k, V* row) {
        if (call_.mode == SlopeMode::kActivate) {
            const Activation<T> act = call_.activation;
            for (std::int32_t x = 0; x < up_width_; ++x) row[x] = activate(row[x], act);
            return;
        }
        const Strides4& st = call_.codes_strides;
        const std::int32_t at_y = k + call_.codes_y;
        T* values = reinterpret_cast<T*>(row);
        const bool inside_y = at_y >= 0 && at_y < call_.codes_height;
        std::uint8_t* codes =
            call_.codes + sample_ * st.n + channel_ * st.c + (inside_y ? at_y * st.h : 0);
        for (std::int32_t x = 0; x < up_width_; ++x) {
            const std::int32_t at_x = x + call_.codes_x;
            const bool inside = inside_y && at_x >= 0 && at_x < call_.codes_width;
            for (std::int32_t l = 0; l < lanes_; ++l) {
                T& value = values[x * kLanes + l];
                if (call_.mode == SlopeMode::kReplay) {
                    value *= inside ? slope_of(codes[at_x * st.w + l * st.c], call_.activation)
                                    : T(0);
                } else if (inside) {
                    codes[at_x * st.w + l * st.c] = code_of(value, call_.activation);
                }
            }
            if (call_.mode == SlopeMode::kRecord) row[x] = activate(row[x], call_.activation);
        }
    }

    void filter_across(const V* source, V* target) {
        sums_across(source, s_.down, call_.down_taps, 1, s_.down_taps, target, 1, s_.out_width);
    }

    void write_row(std::int32_t out) {
        const V* rows[kMostFilterTaps];
        for (std::int32_t j = 0; j < s_.down_taps; ++j) rows[j] = mid_row(out * s_.down + j);
        V* result = packed_for_output();
        if (!s_.down_is_2d) {
            sums_down(rows, call_.down_taps, 1, s_.down_taps, result, s_.out_width);
        } else {
            downsample_2d(rows, result);
        }
        const Strides4& st = call_.y_strides;
        T* target = call_.y + sample_ * st.n + channel_ * st.c + out * st.h;
        const T* at = reinterpret_cast<const T*>(result);
        if (st.c == 1 && lanes_ == kLanes) {
            for (std::int32_t x = 0; x < s_.out_width; ++x) {
                for (std::int32_t l = 0; l < kLanes; ++l) target[x * st.w + l] = at[x * kLanes + l];
            }
            return;
        }
        for (std::int32_t l = 0; l < lanes_; ++l) {
            for (std::int32_t x = 0; x < s_.out_width; ++x) {
                target[l * st.c + x * st.w] = at[x * kLanes + l];
            }
        }
    }

    // The upsampled row is free again once it was filtered across, and never narrower.
    V* packed_for_output() const { return up_row_; }

    void downsample_2d(const V* const* rows, V* result) {
        const MulAdd muladd;
        for (std::int32_t o = 0; o < s_.out_width; ++o) {
            V sum = {};
            for (std::int32_t j = 0; j < s_.down_taps; ++j) {
                const V* source = rows[j] + o * s_.down;
                const T* taps = call_.down_taps + j * s_.down_taps;
                for (std::int32_t i = 0; i < s_.down_taps; ++i) {
                    sum = muladd(taps[i], source[i], sum);
                }
            }
            result[o] = sum;
        }
    }

    const FilteredLreluCall<T, T>& call_;
    const FilteredLreluShape& s_;
    std::int32_t up_width_, left_;
    std::size_t packed_width_;
    std::int32_t up_rows_;
    char* storage_;
    V *packed_, *in_ring_, *up_row_, *mid_ring_;
    std::size_t in_row_size_, mid_row_size_;
    std::int32_t sample_ = 0, channel_ = 0, lanes_ = 0, next_input_ = 0;
};

template <typename T>
void filtered_lrelu_jobs(const FilteredLreluCall<T, T>& call, std::int32_t bands,
                         std::atomic<std::int64_t>& next) {
    Band<T> band(call);
    const FilteredLreluShape& s = call.shape;
    const std::int32_t groups = (s.channels + Band<T>::kLanes - 1) / Band<T>::kLanes;
    const std::int64_t jobs = std::int64_t(s.batch) * groups * bands;
    for (std::int64_t job = next++; job < jobs; job = next++) {
        const std::int32_t part = static_cast<std::int32_t>(job % bands);
        const std::int32_t group = static_cast<std::int32_t>(job / bands % groups);
        const std::int32_t sample = static_cast<std::int32_t>(job / bands / groups);
        const std::int32_t first = std::int64_t(s.out_height) * part / bands;
        const std::int32_t last = std::int64_t(s.out_height) * (part + 1) / bands;
        if (last > first) band.run(sample, group * Band<T>::kLanes, first, last);
    }
}
