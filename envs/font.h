// The bitmap font of Canvas::text: printable ASCII, 5 x 7 dots (lower-case tails reach one row further down).
#pragma once

#include <array>
#include <cstdint>

namespace rollmill::font {

inline constexpr int kWidth = 5, kHeight = 8;   // dots of a glyph
inline constexpr int kAdvance = 6, kLine = 10;  // from one to the next

// Rows from the top, bit 4 is the leftmost dot.
using Glyph = std::array<std::uint8_t, kHeight>;

// Characters outside ' '..'~' give a hollow box.
const Glyph& glyph(char c);

}  // namespace rollmill::font
