// What the backward pass of a recurrent layer (rollout/mlp/memory.h) does to one number, for the CPU's loops
// (trainer/fused/memory_backward.cc) and the CUDA kernels (trainer/fused/learner_memory.cuh) alike.
#pragma once

#include "core/base/macros.h"

namespace rollmill {

// d loss / d what the input says of the gates, d loss / d what the state says of n (of the other gates both are the same), and
// the part of d loss / d h that does not go through the recurrent weights.
struct GruSlopes {
  float r, z, n, un, h;
};

// r, z, n: the gates' values; un: what the state h said of n; d: d loss / d h'.
RM_HD GruSlopes gru_slopes(float r, float z, float n, float un, float h, float d) {
  const float by_n = d * (1.0f - z) * (1.0f - n * n);
  const float by_z = d * (h - n) * (z * (1.0f - z));
  const float by_r = by_n * un * (r * (1.0f - r));
  return {by_r, by_z, by_n, by_n * r, d * z};
}

struct MinGruSlopes {
  float z, n, h;
};

// The same of a MinGRU, of which the state says nothing.
RM_HD MinGruSlopes min_gru_slopes(float z, float n, float h, float d) {
  return {d * (n - h) * (z * (1.0f - z)), d * z, d * (1.0f - z)};
}

}  // namespace rollmill
