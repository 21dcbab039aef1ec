// An RGB picture in memory: rows from the top, three bytes a pixel, no padding.
#pragma once

#include <cstdint>
#include <vector>

namespace rollmill {

struct Picture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  // [height][width][3]

  friend bool operator==(const Picture&, const Picture&) = default;
};

}  // namespace rollmill
