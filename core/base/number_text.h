// A number in a message: the shortest decimal that reads back as the same (9.8, not 9.800000 nor, of a float, 9.80000019073486).
#pragma once

#include <charconv>
#include <cmath>
#include <string>

namespace rollmill {

inline std::string number_text(double x) {
  char buffer[64];
  const bool plain = x == 0 || (std::abs(x) >= 1e-4 && std::abs(x) < 1e15);
  const auto format = plain ? std::chars_format::fixed : std::chars_format::general;
  const auto narrow = static_cast<float>(x);
  const auto result = static_cast<double>(narrow) == x
                          ? std::to_chars(buffer, buffer + sizeof buffer, narrow, format)
                          : std::to_chars(buffer, buffer + sizeof buffer, x, format);
  return {buffer, result.ptr};
}

}  // namespace rollmill
