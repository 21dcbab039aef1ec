// A number in a message: the shortest decimal that reads back as the same double (9.8, not 9.800000).
#pragma once

#include <charconv>
#include <string>

namespace rollmill {

inline std::string number_text(double x) {
  char buffer[40];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, x).ptr};
}

}  // namespace rollmill
