// One tile of filtered_lrelu in fast shared memory: what a CUDA block does.
//
// The body asks a `Block` who it is, how many share the work, and to wait for each other, so a
// test can run it on a CPU with a block of one. Five steps, each reading what the one before
// wrote: load, upsample across, upsample down and activate, filter across, filter down and store.
#pragma once

#include "mien/filtered_lrelu.hpp"

namespace mien {

/// A tile of outputs and the extents of the values under it.
struct FilteredLreluTile {
    std::int32_t out_height, out_width;  ///< outputs of a tile
    std::int32_t up_height, up_width;    ///< upsampled values under them
    std::int32_t in_height, in_width;    ///< samples under those

    /// Values of shared memory: the upsampled tile, and beside it the larger of what comes
    /// before it (samples, upsampled across) and what comes after (filtered across).
    MIEN_FL_HD std::size_t values(const FilteredLreluShape& s) const {
        const std::size_t before = std::size_t(in_height) * in_width +
                                   (s.up_is_2d ? 0 : std::size_t(in_height) * up_width);
        const std::size_t after = s.down_is_2d ? 0 : std::size_t(up_height) * out_width;
        return std::size_t(up_height) * up_width + (before > after ? before : after);
    }
};

MIEN_FL_HD FilteredLreluTile tile_of(const FilteredLreluShape& s, std::int32_t out_height,
                                     std::int32_t out_width) {
    FilteredLreluTile t;
    t.out_height = out_height;
    t.out_width = out_width;
    t.up_height = upsampled_extent(out_height, s.down, s.down_taps);
    t.up_width = upsampled_extent(out_width, s.down, s.down_taps);
    // One more than fits exactly: tiles start at any phase.
    t.in_height = (t.up_height + s.up_taps - 2) / s.up + 2;
    t.in_width = (t.up_width + s.up_taps - 2) / s.up + 2;
    return t;
}

template <typename T>
MIEN_FL_HD T multiply_add(T a, T b, T c) {
#if defined(__CUDA_ARCH__)
    return fma(a, b, c);
#else
    return a * b + c;
#endif
}

struct ScalarMulAdd {
    template <typename T>
    MIEN_FL_HD T operator()(T a, T b, T c) const {
        return multiply_add(a, b, c);
    }
};

/// Tile (tile_y, tile_x) of plane `plane` (sample * channels + channel).
template <typename Storage, typename T, typename Block>
MIEN_FL_HD void filtered_lrelu_tile(const FilteredLreluCall<Storage, T>& call,
                                    const FilteredLreluTile& t, std::int64_t plane,
                                    std::int32_t tile_y, std::int32_t tile_x, T* shared,
                                    const Block& block) {
    const FilteredLreluShape& s = call.shape;
    const ScalarMulAdd muladd;
    const std::int64_t sample = plane / s.channels, channel = plane % s.channels;
    const std::int32_t out_y = tile_y * t.out_height, out_x = tile_x * t.out_width;
    const std::int32_t up_y = out_y * s.down, up_x = out_x * s.down;
    const std::int32_t in_y = phase_of(up_y, s.pad_y, s.up).input;
    const std::int32_t in_x = phase_of(up_x, s.pad_x, s.up).input;
    T* const raised = shared;
    T* const samples = raised + t.up_height * t.up_width;
    T* const across = samples + t.in_height * t.in_width;
    T* const filtered = samples;

    const Storage* x = call.x + sample * call.x_strides.n + channel * call.x_strides.c;
    const T bias = call.bias != nullptr ? call.bias[channel] : T(0);
    for (std::int32_t i = block.index(); i < t.in_height * t.in_width; i += block.count()) {
        const std::int32_t row = in_y + i / t.in_width, column = in_x + i % t.in_width;
        const bool inside =
            row >= 0 && row < s.in_height && column >= 0 && column < s.in_width;
        samples[i] = inside
                         ? T(x[row * call.x_strides.h + column * call.x_strides.w]) + bias
                         : T(0);
    }
    block.sync();

    if (!s.up_is_2d) {
        for (std::int32_t i = block.index(); i < t.in_height * t.up_width; i += block.count()) {
            const std::int32_t row = i / t.up_width, column = i % t.up_width;
            const Phase phase = phase_of(up_x + column, s.pad_x, s.up);
            const std::int32_t count = phase_taps(phase.tap, s.up_taps, s.up);
            const T* from = samples + row * t.in_width + phase.input - in_x;
            across[i] =
                count > 0 ? correlate(from, 1, call.up_taps + phase.tap, s.up, count, muladd) : T(0);
        }
        block.sync();
    }

    std::uint8_t* codes =
        call.codes + sample * call.codes_strides.n + channel * call.codes_strides.c;
    for (std::int32_t i = block.index(); i < t.up_height * t.up_width; i += block.count()) {
        const std::int32_t row = i / t.up_width, column = i % t.up_width;
        const Phase down_to = phase_of(up_y + row, s.pad_y, s.up);
        const std::int32_t rows = phase_taps(down_to.tap, s.up_taps, s.up);
        const std::int32_t first = down_to.input - in_y;
        T value = T(0);
        if (!s.up_is_2d) {
            if (rows > 0) {
                value = correlate(across + first * t.up_width + column, t.up_width,
                                  call.up_taps + down_to.tap, s.up, rows, muladd);
            }
        } else {
            const Phase along = phase_of(up_x + column, s.pad_x, s.up);
            const std::int32_t columns = phase_taps(along.tap, s.up_taps, s.up);
            for (std::int32_t j = 0; j < rows; ++j) {
                const T* taps = call.up_taps + (down_to.tap + j * s.up) * s.up_taps + along.tap;
                const T* from = samples + (first + j) * t.in_width + along.input - in_x;
                for (std::int32_t k = 0; k < columns; ++k) {
                    value = muladd(taps[k * s.up], from[k], value);
                }
            }
        }
        const std::int32_t code_y = up_y + row + call.codes_y;
        const std::int32_t code_x = up_x + column + call.codes_x;
        const bool coded = call.mode != SlopeMode::kActivate && code_y >= 0 &&
                           code_y < call.codes_height && code_x >= 0 && code_x < call.codes_width;
        const std::int64_t at = code_y * call.codes_strides.h + code_x * call.codes_strides.w;
        if (call.mode == SlopeMode::kReplay) {
            value *= coded ? slope_of(codes[at], call.activation) : T(0);
        } else {
            // Tiles overlap at the raised rate: they write the same code there.
            if (coded) codes[at] = code_of(value, call.activation);
            value = activate(value, call.activation);
        }
        raised[i] = value;
    }
    block.sync();

    if (!s.down_is_2d) {
        for (std::int32_t i = block.index(); i < t.up_height * t.out_width; i += block.count()) {
            const std::int32_t row = i / t.out_width, column = i % t.out_width;
            filtered[i] = correlate(raised + row * t.up_width + column * s.down, 1,
                                    call.down_taps, 1, s.down_taps, muladd);
        }
        block.sync();
    }

    Storage* y = call.y + sample * call.y_strides.n + channel * call.y_strides.c;
    for (std::int32_t i = block.index(); i < t.out_height * t.out_width; i += block.count()) {
        const std::int32_t row = i / t.out_width, column = i % t.out_width;
        if (out_y + row >= s.out_height || out_x + column >= s.out_width) continue;
        T value = T(0);
        if (!s.down_is_2d) {
            value = correlate(filtered + row * s.down * t.out_width + column, t.out_width,
                              call.down_taps, 1, s.down_taps, muladd);
        } else {
            for (std::int32_t j = 0; j < s.down_taps; ++j) {
                const T* from = raised + (row * s.down + j) * t.up_width + column * s.down;
                for (std::int32_t k = 0; k < s.down_taps; ++k) {
                    value = muladd(call.down_taps[j * s.down_taps + k], from[k], value);
                }
            }
        }
        y[(out_y + row) * call.y_strides.h + (out_x + column) * call.y_strides.w] = Storage(value);
    }
    block.sync();
}

}  // namespace mien
