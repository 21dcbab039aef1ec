#include "core/math/math.h"
#include "core/rng/rng.h"
#include "rollout/policy.h"

namespace rollmill {
namespace {

// Branch-free when the number of choices is a power of two: then a multiply-high needs no rejection.
void draw_discrete(const ActRequest& q, std::uint64_t seed, std::uint32_t choices, bool power_of_two) {
  auto* RM_RESTRICT out = static_cast<std::int32_t*>(q.actions);
  const EpisodeColumns k = q.keys;
  if (power_of_two) {
#pragma GCC ivdep
    for (int i = q.begin; i < q.end; ++i) {
      Rng rng(seed, Purpose::kAction, k.environment[i], k.episode[i], k.step[i]);
      out[i] = static_cast<std::int32_t>(multiply_high(rng.bits(), choices));
    }
    return;
  }
  for (int i = q.begin; i < q.end; ++i) {
    Rng rng(seed, Purpose::kAction, k.environment[i], k.episode[i], k.step[i]);
    out[i] = static_cast<std::int32_t>(rng.integer(choices));
  }
}

}  // namespace

RandomPolicy::RandomPolicy(const EnvSpec& spec, std::uint64_t seed)
    : discrete_(spec.discrete), choices_(static_cast<std::uint32_t>(spec.choices)), seed_(seed) {
  for (const auto& f : spec.action) {
    low_.push_back(static_cast<float>(f.low));
    high_.push_back(static_cast<float>(f.high));
  }
}

void RandomPolicy::act(const ActRequest& q) const {
  float log_density = 0.0f;
  if (discrete_) {
    draw_discrete(q, seed_, choices_, (choices_ & (choices_ - 1)) == 0);
    log_density = -math::log(static_cast<float>(choices_));
  } else {
    auto* out = static_cast<float*>(q.actions);
    for (std::size_t a = 0; a < low_.size(); ++a) log_density -= math::log(high_[a] - low_[a]);
    for (int i = q.begin; i < q.end; ++i) {
      Rng rng(seed_, Purpose::kAction, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]);
      for (std::size_t a = 0; a < low_.size(); ++a) {
        const std::int64_t at = static_cast<std::int64_t>(a) * q.stride + i;
        out[at] = rng.uniform(low_[a], high_[a]);
        if (q.raw_actions != nullptr) q.raw_actions[at] = out[at];
      }
    }
  }
  for (int i = q.begin; i < q.end; ++i) {
    if (q.logprobs != nullptr) q.logprobs[i] = log_density;
    if (q.values != nullptr) q.values[i] = 0.0f;
  }
}

}  // namespace rollmill
