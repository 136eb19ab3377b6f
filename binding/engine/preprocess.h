// Pixels to network input: antialiased bicubic resizing in 8 bits (Pillow's BICUBIC), the similarity warp of a face
// crop, normalisation.
#pragma once

#include "engine/engine.h"
#include "engine/torch_api.h"

namespace kfd::engine {

// image -> (H,W,3) uint8 at the size of `spec`, by spec.fit or by the image's own crop.
at::Tensor fitted_pixels(const ImageInput& image, const InputSpec& spec);

// (H,W,3) uint8 -> (1,3,H,W) float32, (byte / 255 - mean) / std
at::Tensor normalised(const at::Tensor& pixels, const InputSpec& spec);

// Throws kInvalidArgument when sizes or the crop matrix make no sense.
void validate_image(const ImageInput& image);
void validate_input_spec(const InputSpec& spec);

}  // namespace kfd::engine
