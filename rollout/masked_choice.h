// The allowed among an environment's choices, by the bits of its action mask (envs/spaces.h). Without a mask: all.
#pragma once

#include "rollout/policy.h"

namespace rollmill {

// Number of set bits among bits [first, first + count) of environment i's mask.
RM_HD std::uint32_t allowed_choices(const ActRequest& q, std::int64_t i, int first, int count) {
  if (q.masks == nullptr) return static_cast<std::uint32_t>(count);
  std::uint32_t allowed = 0;
  for (int b = first; b < first + count; ++b)
    allowed += (q.masks[(b / 32) * q.stride + i] >> (b % 32)) & 1u;
  return allowed;
}

// The nth allowed choice.
RM_HD std::int32_t nth_choice(const ActRequest& q, std::int64_t i, int first, int count,
                              std::uint32_t nth) {
  if (q.masks == nullptr) return static_cast<std::int32_t>(nth);
  for (int b = 0; b < count; ++b) {
    const int bit = first + b;
    if (((q.masks[(bit / 32) * q.stride + i] >> (bit % 32)) & 1u) == 0) continue;
    if (nth-- == 0) return b;
  }
  return 0;  // an empty mask: the environment breaks its contract, and gets its first action
}

}  // namespace rollmill
