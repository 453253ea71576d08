// The CUDA sources as they are, behind a C interface that a fake driver calls.
#include "cuda_shim.hpp"
// The shim first.
#include "patch.cu"
#include "raster.cu"
#include "yuv.cu"
#include "frame.cu"
#include "networks.cu"

#include "filtered_lrelu.cu"

namespace {

struct Entry {
    const char* name;
    void (*launch)(void**);
    long (*describe)(emulator::Parameter*);
};

#define KERNEL(name, waits)                                        \
    {#name, [](void** a) { emulator::launch(&name, waits, a); },   \
     [](emulator::Parameter* p) { return emulator::describe(&name, p); }}

const Entry kEntries[] = {
    KERNEL(mien_raster_cover, true),       KERNEL(mien_raster_shade, false),
    KERNEL(mien_raster_shade_blend, false), KERNEL(mien_blend, false),
    KERNEL(mien_blur_rows, false),         KERNEL(mien_blur_columns, false),
    KERNEL(mien_feather_blend, true),      KERNEL(mien_light_transfer, true),
    KERNEL(mien_sample_points, false),     KERNEL(mien_warp_crop, false),
    KERNEL(mien_frame_cover, true),        KERNEL(mien_frame_composite, true),
    KERNEL(mien_frame_to_yuv, true),
    KERNEL(mien_frame_mend, false),
    KERNEL(mien_face_crop, false),         KERNEL(mien_head_mix, false),
    KERNEL(mien_head_tone, true),          KERNEL(mien_head_picture, true),
    KERNEL(mien_head_composite, true),
    KERNEL(mien_bgr_to_yuv, false),        KERNEL(mien_yuv_to_bgr, false),
    KERNEL(mien_filtered_lrelu_f32, true), KERNEL(mien_filtered_lrelu_f64, true),
    KERNEL(mien_filtered_lrelu_f16, true), KERNEL(mien_filtered_lrelu_bf16, true),
};

const Entry* find(const char* name) {
    for (const Entry& entry : kEntries)
        if (std::strcmp(entry.name, name) == 0) return &entry;
    return nullptr;
}

}  // namespace

// Number of parameters, with their sizes and alignments; -1 for an unknown kernel.
extern "C" long emulator_parameters(const char* name, emulator::Parameter* out) {
    const Entry* entry = find(name);
    return entry == nullptr ? -1 : entry->describe(out);
}

// Runs a kernel on a parameter buffer, laid out as the driver wants it. Not 0 is an error.
extern "C" int emulator_launch(const char* name, const unsigned int* grid,
                               const unsigned int* block, unsigned char* buffer, long size) {
    const Entry* entry = find(name);
    if (entry == nullptr) return 500;
    emulator::Parameter parameters[16];
    const long count = entry->describe(parameters);
    alignas(16) static unsigned char copies[16][512];
    void* arguments[16];
    long at = 0;
    for (long i = 0; i < count; ++i) {
        const long alignment = parameters[i].alignment;
        at = (at + alignment - 1) / alignment * alignment;
        if (at + parameters[i].size > size) return 1;
        std::memcpy(copies[i], buffer + at, static_cast<std::size_t>(parameters[i].size));
        arguments[i] = copies[i];
        at += parameters[i].size;
    }
    if (at != size) return 1;
    emulator::grid_size = {grid[0], grid[1], grid[2]};
    emulator::block_size = {block[0], block[1], block[2]};
    entry->launch(arguments);
    return 0;
}
