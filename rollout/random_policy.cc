#include "core/math/math.h"
#include "core/rng/rng.h"
#include "rollout/policy.h"

namespace rollmill {
namespace {

Rng action_stream(std::uint64_t seed, const EpisodeColumns& k, std::int64_t i) {
  return Rng(seed, Purpose::kAction, k.environment[i], k.episode[i], k.step[i]);
}

// Rng::integer without its rejection, for all lanes at once; returns whether any lane would have rejected (about once
// in 2^32 / choices draws), and the range has to be done again one by one.
bool draw_fast(const EpisodeColumns keys, std::uint64_t seed, std::uint32_t choices, int begin,
               int end, std::int32_t* RM_RESTRICT out) {
  const std::uint64_t n = choices;
  std::uint32_t any = 0;
#pragma GCC ivdep
  for (int i = begin; i < end; ++i) {
    const std::uint64_t product = action_stream(seed, keys, i).bits() * n;
    out[i] = static_cast<std::int32_t>(product >> 32);
    any |= static_cast<std::uint32_t>(product) < choices ? 1u : 0u;
  }
  return any != 0;
}

void draw_discrete(const ActRequest& q, std::uint64_t seed, std::uint32_t choices) {
  auto* out = static_cast<std::int32_t*>(q.actions);
  if (!draw_fast(q.keys, seed, choices, q.begin, q.end, out)) return;
  for (int i = q.begin; i < q.end; ++i) {
    out[i] = static_cast<std::int32_t>(action_stream(seed, q.keys, i).integer(choices));
  }
}

// The first action dimension takes the stream's first word, ...
void draw_first(const EpisodeColumns keys, std::uint64_t seed, float low, float high, int begin,
                int end, float* RM_RESTRICT out) {
#pragma GCC ivdep
  for (int i = begin; i < end; ++i) out[i] = action_stream(seed, keys, i).uniform(low, high);
}

// ... dimension a the word after a others.
void draw_dimension(const EpisodeColumns& keys, std::uint64_t seed, int a, float low, float high,
                    int begin, int end, float* out) {
  for (int i = begin; i < end; ++i) {
    Rng rng = action_stream(seed, keys, i);
    for (int skip = 0; skip < a; ++skip) rng.bits();
    out[i] = rng.uniform(low, high);
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
    draw_discrete(q, seed_, choices_);
    log_density = -math::log(static_cast<float>(choices_));
  } else {
    for (std::size_t a = 0; a < low_.size(); ++a) {
      float* out = static_cast<float*>(q.actions) + static_cast<std::int64_t>(a) * q.stride;
      if (a == 0) {
        draw_first(q.keys, seed_, low_[a], high_[a], q.begin, q.end, out);
      } else {
        draw_dimension(q.keys, seed_, static_cast<int>(a), low_[a], high_[a], q.begin, q.end, out);
      }
      log_density -= math::log(high_[a] - low_[a]);
      if (q.raw_actions == nullptr) continue;
      float* raw = q.raw_actions + static_cast<std::int64_t>(a) * q.stride;
      for (int i = q.begin; i < q.end; ++i) raw[i] = out[i];
    }
  }
  for (int i = q.begin; q.logprobs != nullptr && i < q.end; ++i) q.logprobs[i] = log_density;
  for (int i = q.begin; q.values != nullptr && i < q.end; ++i) q.values[i] = 0.0f;
}

}  // namespace rollmill
