#include "trainer/fused/batch_gradient.h"

#include <cmath>
#include <string>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "rollout/buffer.h"
#include "trainer/fused/adam.h"
#include "trainer/fused/ordered_sums.h"
#include "trainer/may_step.h"

namespace rollmill {
namespace {

std::size_t checked_size(std::int64_t parameters, int tiles) {
  const auto floats = static_cast<std::size_t>(parameters * tiles);
  check_memory(floats * sizeof(float),
               "a network of " + std::to_string(parameters) +
                   " parameters, whose minibatches are cut into " + std::to_string(tiles) +
                   " gradients,",
               "make policy.hidden or batch_size smaller");
  return floats;
}

}  // namespace

BatchGradient::BatchGradient(std::int64_t parameters, int rows)
    : size_(parameters),
      rows_(rows),
      tiles_((rows + kTileRows - 1) / kTileRows),
      parts_(checked_size(parameters, tiles_)) {
  RM_ASSERT(parameters % 16 == 0 && rows >= 1);
}

void BatchGradient::add_tiles() {
  float* RM_RESTRICT sum = parts_.data();
  for (int t = 1; t < tiles_; ++t) {
    const float* RM_RESTRICT part = parts_.data() + t * size_;
    for (std::int64_t i = 0; i < size_; ++i) sum[i] += part[i];
  }
}

double BatchGradient::norm() const {
  const float* g = sum();
  return std::sqrt(chunk_sum<kNormLanes>(0, size_, [g](std::int64_t i) {
    return static_cast<double>(g[i]) * static_cast<double>(g[i]);
  }));
}

double adam_update(const AdamOptions& o, double learning_rate, const BatchGradient& gradient,
                   AlignedVector<float>& params, OptimizerState& state, const char* what) {
  const double norm = gradient.norm();
  if (!may_step(norm, 0.0, o.max_skipped, what, state)) return norm;
  ++state.step;
  const AdamStep step = adam_step(o.beta1, o.beta2, o.epsilon, learning_rate, state.step,
                                  clip_scale(o.max_norm, norm));
  adam_range(step, gradient.sum(), 0, gradient.size(), params.data(), state.first.data(),
             state.second.data());
  return norm;
}

void track(const AlignedVector<float>& params, float tau, AlignedVector<float>& target) {
  const auto n = static_cast<std::int64_t>(params.size());
  const float* RM_RESTRICT from = params.data();
  float* RM_RESTRICT to = target.data();
  for (std::int64_t i = 0; i < n; ++i) to[i] = tracked(from[i], tau, to[i]);
}

}  // namespace rollmill
