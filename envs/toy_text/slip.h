// Moves that slip: one of three ways by a uniform number.
#pragma once

#include <cstdint>

#include "core/base/macros.h"

namespace rollmill::toy_text {

// 0, 1 or 2 with probabilities first, second and the rest, for u uniform in [0, 1). (Sums of comparisons with numbers that
// are the same for all environments: g++ 12 vectorises those, and not every nest of selects.)
RM_HD std::uint32_t one_of_three(float u, float first, float second) {
  return (u >= first ? 1u : 0u) + (u >= first + second ? 1u : 0u);
}

}  // namespace rollmill::toy_text
