// Named colours for pictures of environments. The eight hues are those of Okabe and Ito (2008), which people with any of the
// common forms of colour blindness can tell apart; tell things apart by shape as well.
#pragma once

#include <cstdint>

namespace rollmill {

struct Color {
  std::uint8_t r, g, b;
  friend constexpr bool operator==(Color, Color) = default;
};

// a at part 0, b at part 256.
constexpr Color mix(Color a, Color b, int part) {
  const auto blend = [part](int from, int to) {
    return static_cast<std::uint8_t>((from * (256 - part) + to * part + 128) / 256);
  };
  return {blend(a.r, b.r), blend(a.g, b.g), blend(a.b, b.b)};
}

namespace palette {

inline constexpr Color kBlack{0, 0, 0};
inline constexpr Color kOrange{230, 159, 0};
inline constexpr Color kSkyBlue{86, 180, 233};
inline constexpr Color kGreen{0, 158, 115};
inline constexpr Color kYellow{240, 228, 66};
inline constexpr Color kBlue{0, 114, 178};
inline constexpr Color kVermillion{213, 94, 0};
inline constexpr Color kPurple{204, 121, 167};

inline constexpr Color kWhite{255, 255, 255};
inline constexpr Color kPaper{250, 250, 248};     // backgrounds
inline constexpr Color kPaleGrey{226, 226, 224};  // empty cells' borders, tracks
inline constexpr Color kGrey{150, 150, 150};
inline constexpr Color kDarkGrey{90, 90, 94};  // walls
inline constexpr Color kInk{38, 38, 42};       // outlines, text

// For things that are numbered: kinds of object, channels. Index it with (k % kCount).
inline constexpr Color kKinds[] = {kBlue,   kOrange, kGreen,   kVermillion,
                                   kPurple, kYellow, kSkyBlue, kBlack};
inline constexpr int kCount = 8;

}  // namespace palette
}  // namespace rollmill
