// What Adam remembers of one flat parameter array.
#pragma once

#include <cstdint>

#include "core/base/aligned.h"

namespace rollmill {

struct OptimizerState {
  AlignedVector<float> first, second;  // moments, one a parameter
  std::int64_t step = 0;
  std::int64_t skipped = 0;  // steps in a row that were not taken (trainer/guards.h)

  // What a step's random draws are keyed by: another number after a step that was not taken, too.
  std::int64_t attempt() const { return step + 1'000'003 * skipped; }
};

}  // namespace rollmill
