#include "rollout/advantage.h"

#include "core/base/aligned.h"
#include "core/base/macros.h"
#include "rollout/column_kernels.h"

namespace rollmill {
namespace {

// One time step of all environments of the range: next_* belong to t + 1, `carry` is A(t+1) and becomes A(t).
void gae_step(const RolloutBuffer& b, int t, const AdvantageOptions& options, int begin, int end,
              float* RM_RESTRICT carry) {
  const AdvantageOptions o = options;
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
    const float a = gae_element(ends[i], used_reward(reward[i], o.reward_scale, o.reward_clip), value[i],
                                next_value[i], final_value[i], o.gamma, o.lambda, carry[i - begin]);
    carry[i - begin] = a;
    advantage[i] = a;
    target[i] = a + value[i];
  }
}

}  // namespace

void compute_gae(const RolloutBuffer& b, const AdvantageOptions& options, int begin, int end) {
  constexpr int kChunk = 256;
  for (int first = begin; first < end; first += kChunk) {
    const int last = first + kChunk < end ? first + kChunk : end;
    alignas(kColumnAlignment) float carry[kChunk] = {};
    for (int t = b.horizon - 1; t >= 0; --t) {
      gae_step(b, t, options, first, last, carry);
    }
  }
}

}  // namespace rollmill
