// Selection without branches, for step loops over grids. A chain of ?: on the same few counters is turned into jumps by
// g++ before it vectorises, and then the loop stays scalar; masks stay data.
#pragma once

#include <cstdint>

#include "core/base/macros.h"

namespace rollmill::grid {

// 0 or all ones.
RM_HD std::uint32_t all_if(bool condition) { return 0u - static_cast<std::uint32_t>(condition); }

// condition ? a : b
RM_HD std::uint32_t pick(bool condition, std::uint32_t a, std::uint32_t b) {
  return b ^ ((a ^ b) & all_if(condition));
}
RM_HD std::int32_t pick(bool condition, std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(
      pick(condition, static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(b)));
}

}  // namespace rollmill::grid
