#include <algorithm>

#include "core/math/math.h"
#include "core/rng/rng.h"
#include "rollout/masked_choice.h"
#include "rollout/policy.h"

namespace rollmill {
namespace {

std::uint32_t count_bits(std::uint32_t x) {
  x -= (x >> 1) & 0x55555555u;
  x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
  return (((x + (x >> 4)) & 0x0F0F0F0Fu) * 0x01010101u) >> 24;
}

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

// How many of the n choices each row's mask word allows, and which of those it takes; false if a lane has to reject its
// draw (about once in 2^32 / n draws) or allows nothing.
bool draw_allowed(const EpisodeColumns keys, std::uint64_t seed, const Word* RM_RESTRICT masks,
                  int n, std::int64_t begin, int rows, std::uint32_t* RM_RESTRICT allowed,
                  std::uint32_t* RM_RESTRICT nth) {
  const std::uint32_t all = n >= 32 ? 0xFFFFFFFFu : (1u << n) - 1u;
  std::uint32_t again = 0;
  for (int r = 0; r < rows; ++r) allowed[r] = count_bits(masks[r] & all);
#pragma GCC ivdep
  for (int r = 0; r < rows; ++r) {
    const std::uint64_t product =
        static_cast<std::uint64_t>(action_stream(seed, keys, begin + r).bits()) * allowed[r];
    nth[r] = static_cast<std::uint32_t>(product >> 32);
    again |= static_cast<std::uint32_t>(product) < allowed[r] || allowed[r] == 0 ? 1u : 0u;
  }
  return again == 0;
}

// The nth set bit of each row's mask word.
void choose_allowed(const Word* RM_RESTRICT masks, std::uint32_t* RM_RESTRICT nth, int n, int rows,
                    std::int32_t* RM_RESTRICT action) {
  for (int r = 0; r < rows; ++r) action[r] = 0;
  for (int b = 0; b < n; ++b) {
    for (int r = 0; r < rows; ++r) {
      const std::uint32_t bit = (masks[r] >> b) & 1u;
      action[r] = (bit & (nth[r] == 0 ? 1u : 0u)) != 0 ? b : action[r];
      nth[r] -= bit;
    }
  }
}

}  // namespace

RandomPolicy::RandomPolicy(const EnvSpec& spec, std::uint64_t seed)
    : choices_(spec.choices), masked_(spec.mask_columns > 0), seed_(seed) {
  for (std::size_t a = choices_.size(); a < spec.action.size(); ++a) {
    low_.push_back(static_cast<float>(spec.action[a].low));
    high_.push_back(static_cast<float>(spec.action[a].high));
  }
}

void RandomPolicy::act_one_choice(const ActRequest& q) const {
  const auto n = static_cast<std::uint32_t>(choices_[0]);
  auto* out = static_cast<std::int32_t*>(q.actions);
  if (draw_fast(q.keys, seed_, n, q.begin, q.end, out)) {
    for (int i = q.begin; i < q.end; ++i)
      out[i] = static_cast<std::int32_t>(action_stream(seed_, q.keys, i).integer(n));
  }
  const float logprob = -math::log(static_cast<float>(n));
  for (int i = q.begin; q.logprobs != nullptr && i < q.end; ++i) q.logprobs[i] = logprob;
}

// One choice among at most 32, masked: the same draws as act_generally, for all lanes of a tile at once.
void RandomPolicy::act_masked_choice(const ActRequest& q) const {
  constexpr int kTile = 256;
  const int n = choices_[0];
  for (int begin = q.begin; begin < q.end; begin += kTile) {
    const int rows = std::min(kTile, q.end - begin);
    std::uint32_t allowed[kTile], nth[kTile];
    if (!draw_allowed(q.keys, seed_, q.masks + begin, n, begin, rows, allowed, nth)) {
      ActRequest part = q;
      part.begin = begin;
      part.end = begin + rows;
      act_generally(part);
      continue;
    }
    choose_allowed(q.masks + begin, nth, n, rows, static_cast<std::int32_t*>(q.actions) + begin);
    for (int r = 0; q.logprobs != nullptr && r < rows; ++r)
      q.logprobs[begin + r] = -math::log(static_cast<float>(allowed[r]));
  }
}

// Choices take the stream's first words, real numbers the following ones.
void RandomPolicy::act_generally(const ActRequest& q) const {
  for (int i = q.begin; i < q.end; ++i) {
    Rng rng = action_stream(seed_, q.keys, i);
    float logprob = 0.0f;
    int first = 0;
    std::int64_t column = 0;
    for (const int n : choices_) {
      const std::uint32_t allowed = math::max(1, static_cast<int>(allowed_choices(q, i, first, n)));
      static_cast<std::int32_t*>(q.actions)[column + i] =
          nth_choice(q, i, first, n, rng.integer(allowed));
      logprob -= math::log(static_cast<float>(allowed));
      first += n;
      column += q.stride;
    }
    for (std::size_t a = 0; a < low_.size(); ++a) {
      const float value = rng.uniform(low_[a], high_[a]);
      static_cast<FloatWord*>(q.actions)[column + i] = value;
      if (q.raw_actions != nullptr)
        q.raw_actions[static_cast<std::int64_t>(a) * q.stride + i] = value;
      logprob -= math::log(high_[a] - low_[a]);
      column += q.stride;
    }
    if (q.logprobs != nullptr) q.logprobs[i] = logprob;
  }
}

void RandomPolicy::act_reals(const ActRequest& q) const {
  float log_density = 0.0f;
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
  for (int i = q.begin; q.logprobs != nullptr && i < q.end; ++i) q.logprobs[i] = log_density;
}

void RandomPolicy::act(const ActRequest& q) const {
  if (choices_.empty()) {
    act_reals(q);
  } else if (choices_.size() == 1 && low_.empty() && !masked_) {
    act_one_choice(q);
  } else if (choices_.size() == 1 && choices_[0] <= 32 && low_.empty() && q.masks != nullptr) {
    act_masked_choice(q);
  } else {
    act_generally(q);
  }
  for (int i = q.begin; q.values != nullptr && i < q.end; ++i) q.values[i] = 0.0f;
}

}  // namespace rollmill
