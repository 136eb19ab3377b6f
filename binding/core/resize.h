// Antialiased bicubic resizing of 8-bit RGB, bit for bit as Pillow's Image.resize(size, Resampling.BICUBIC) does it.
//
// Why not torch's own 8-bit kernel: its 14 to 16-bit weights leave 0.3 to 0.6 % of the values different, some by 2
// (docs/decisions.md). Models are trained on Pillow's pixels.
#pragma once

#include <cstdint>

#include "core/image_geometry.h"

namespace kfd::core {

// `source` and `target` are interleaved RGB rows without padding; `target` has room for size.width * size.height * 3
// bytes. The filter is the cubic with a = -0.5, widened by the reduction; weights are rounded to 22 bits; the columns
// are resized first, their result rounded to bytes, then the rows (Pillow 12 and before; Pillow 13 starts with the axis
// that is cheaper, which gives other roundings on tall images). Sizes must be positive.
void resize_bicubic(const uint8_t* source, Size image, uint8_t* target, Size size);

}  // namespace kfd::core
