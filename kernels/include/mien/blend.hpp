// A patch over a frame by a straight matte, in whole numbers.
#pragma once

#include <cstdint>

#include "mien/platform.hpp"

namespace mien {

// round((under * (255 - matte) + over * matte) / 255), exactly: x / 255 rounded is
// (t + t / 256) / 256 with t = x + 128 for every x below 2^16 (Blinn 1994, "Three Wrongs Make a
// Right"). Sixteen bits hold all of it.
MIEN_HD uint8_t blend_channel(uint8_t under, uint8_t over, uint8_t matte) {
    const uint16_t t = static_cast<uint16_t>(under * (255 - matte) + over * matte + 128);
    return static_cast<uint8_t>(static_cast<uint16_t>(t + (t >> 8)) >> 8);
}

}  // namespace mien
