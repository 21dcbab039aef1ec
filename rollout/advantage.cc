#include "rollout/advantage.h"

#include "core/base/aligned.h"
#include "core/base/macros.h"
#include "rollout/column_kernels.h"

namespace rollmill {
namespace {

// One time step of all environments of the range: next_* belong to t + 1, `carry` is A(t+1) and becomes A(t).
void gae_step(const RolloutBuffer& b, int t, float gamma, float lambda, float reward_scale,
              int begin, int end, float* RM_RESTRICT carry) {
  const std::int64_t at = t * b.stride;
  const float* RM_RESTRICT value = b.values + at;
  const float* RM_RESTRICT next_value = b.values + at + b.stride;
  const float* RM_RESTRICT final_value = b.final_values + at;
  const float* RM_RESTRICT reward = b.rewards + at;
  const std::uint8_t* RM_RESTRICT ends = b.ends + at;
  float* RM_RESTRICT advantage = b.advantages + at;
  float* RM_RESTRICT target = b.returns + at;
#pragma GCC ivdep
  for (int i = begin; i < end; ++i) {
    const float a = gae_element(ends[i], reward_scale * reward[i], value[i], next_value[i],
                                final_value[i], gamma, lambda, carry[i - begin]);
    carry[i - begin] = a;
    advantage[i] = a;
    target[i] = a + value[i];
  }
}

}  // namespace

void compute_gae(const RolloutBuffer& b, float gamma, float lambda, float reward_scale, int begin,
                 int end) {
  constexpr int kChunk = 256;
  for (int first = begin; first < end; first += kChunk) {
    const int last = first + kChunk < end ? first + kChunk : end;
    alignas(kColumnAlignment) float carry[kChunk] = {};
    for (int t = b.horizon - 1; t >= 0; --t) {
      gae_step(b, t, gamma, lambda, reward_scale, first, last, carry);
    }
  }
}

}  // namespace rollmill
