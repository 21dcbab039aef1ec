// What Adam remembers of one flat parameter array.
#pragma once

#include <cstdint>

#include "core/base/aligned.h"
#include "core/base/macros.h"

namespace rollmill {

// What a step's random draws are keyed by: another number after a step that was not taken, too.
RM_HD std::int64_t attempt_key(std::int64_t step, std::int64_t skipped) {
  return step + 1'000'003 * skipped;
}

struct OptimizerState {
  AlignedVector<float> first, second;  // moments, one a parameter
  std::int64_t step = 0;
  std::int64_t skipped = 0;  // steps in a row that were not taken (trainer/guards.h)

  std::int64_t attempt() const { return attempt_key(step, skipped); }
};

}  // namespace rollmill
