// Colour maps for heat maps: 256 RGB entries each.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kfd::core {

using Rgb = std::array<uint8_t, 3>;
using ColorTable = std::array<Rgb, 256>;

enum class ColorMap { kViridis, kInferno, kMagma, kTurbo, kJet };

// "viridis", "inferno", "magma", "turbo" or "jet"; nothing for another name.
std::optional<ColorMap> color_map_by_name(std::string_view name);

// Entry 0 is the colour of the lowest value, entry 255 of the highest. Viridis, inferno and magma (Smith, van der
// Walt and Firing, CC0) and turbo (Mikhailov, Apache-2.0) are tables; jet is its piecewise linear formula.
const ColorTable& color_table(ColorMap map);

}  // namespace kfd::core
