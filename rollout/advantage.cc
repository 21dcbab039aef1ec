#include "rollout/advantage.h"

#include "core/base/aligned.h"
#include "core/base/macros.h"
#include "rollout/column_kernels.h"

namespace rollmill {
namespace {

// One time step of all environments of the range: next_* belong to t + 1, `carry` is A(t+1) and becomes A(t). element: GAE's or
// V-trace's of environment i.
template <class Element>
void advantage_step(const RolloutBuffer& b, int t, const AdvantageOptions& options, int begin,
                    int end, float* RM_RESTRICT carry, Element&& element) {
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
    const float a =
        element(i, ends[i], used_reward(reward[i], o.reward_scale, o.reward_clip), value[i],
                next_value[i], final_value[i], o.gamma, o.lambda, carry[i - begin]);
    carry[i - begin] = a;
    advantage[i] = a;
    target[i] = a + value[i];
  }
}

// step(t, first, last, carry) backwards in time over chunks of environments.
template <class Step>
void backwards(const RolloutBuffer& b, int begin, int end, Step&& step) {
  constexpr int kChunk = 256;
  for (int first = begin; first < end; first += kChunk) {
    const int last = first + kChunk < end ? first + kChunk : end;
    alignas(kColumnAlignment) float carry[kChunk] = {};
    for (int t = b.horizon - 1; t >= 0; --t) step(t, first, last, carry);
  }
}

}  // namespace

void compute_gae(const RolloutBuffer& b, const AdvantageOptions& options, int begin, int end) {
  backwards(b, begin, end, [&](int t, int first, int last, float* carry) {
    advantage_step(b, t, options, first, last, carry,
                   [](int, auto... x) { return gae_element(x...); });
  });
}

void compute_vtrace(const RolloutBuffer& b, const AdvantageOptions& options, const float* ratios,
                    int begin, int end) {
  backwards(b, begin, end, [&](int t, int first, int last, float* carry) {
    const float* RM_RESTRICT ratio = ratios + t * b.stride;
    advantage_step(b, t, options, first, last, carry,
                   [ratio](int i, std::uint8_t e, float r, float v, float next, float final,
                           float gamma, float lambda, float kept) {
                     return vtrace_element(e, r, v, next, final, gamma, lambda, ratio[i], kept);
                   });
  });
}

}  // namespace rollmill
