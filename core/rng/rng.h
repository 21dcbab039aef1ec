// Randomness as a function: every draw is Threefry of (seed, purpose, environment, episode, step, n-th draw).
// There is no hidden engine: two draws with the same key are equal on any machine, thread, rank or backend,
// and nothing has to be saved to resume. One Rng object is the stream of draws of one step of one environment.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/math/math.h"
#include "core/rng/threefry.h"

namespace rollmill {

// What a draw is for. Values are part of the file formats: a trajectory replays only with the same numbers.
enum class Purpose : std::uint32_t {
  kReset = 1,        // initial state of an episode (step 0)
  kStep = 2,         // randomness inside the dynamics
  kAction = 3,       // sampling from a policy
  kParameters = 4,   // randomised environment parameters
  kInitWeights = 5,  // network initialisation; environment = layer
  kPermutation = 6,  // minibatch order; episode = update, step = epoch
  kBootstrap = 7,    // resampling in evaluation statistics
  kTest = 8,
  kLevel = 9,         // which level an episode plays
  kReplay = 10,       // which stored transitions an update learns from; episode = update
  kUpdateNoise = 11,  // actions sampled inside an update; environment = row, episode = update
  kDemonstrations = 12,  // order of a dataset's episodes; episode = pass
  kSweep = 13,        // a sweep's values; environment = hash of the key, episode = trial
};

// Unbiased integer in [0, n) from a 32-bit word needs a rejection now and then; see Rng::integer.
RM_HD constexpr std::uint32_t multiply_high(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(a) * b) >> 32);
}

// [0, 1): the 24 high bits, each value exact in float32.
RM_HD constexpr float unit_from_bits(std::uint32_t bits) {
  return static_cast<float>(static_cast<std::int32_t>(bits >> 8)) * 0x1p-24f;
}

// The two independent standard normals of Box and Muller (1958) from two words. |z| <= 6.77.
struct NormalPair {
  float first, second;
};
RM_HD NormalPair normal_from_bits(std::uint32_t a, std::uint32_t b) {
  // (0, 1]: 23 bits around, half a step off zero, so that the logarithm is finite.
  const float u = (static_cast<float>(static_cast<std::int32_t>(a >> 1)) + 0.5f) * 0x1p-31f;
  const float radius = math::sqrt(-2.0f * math::log(u));
  const float angle = 6.2831855f * unit_from_bits(b);
  return {radius * math::cos(angle), radius * math::sin(angle)};
}

class Rng {
 public:
  RM_HD Rng(std::uint64_t seed, Purpose purpose, std::uint32_t environment, std::uint32_t episode,
            std::uint32_t step)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
             static_cast<std::uint32_t>(purpose), environment},
        counter_{episode, step, 0, 0},
        block_{0, 0, 0, 0} {}

  // 32 uniform bits. Four draws cost one Threefry block.
  RM_HD std::uint32_t bits() {
    const int lane = used_ & 3;
    if (lane == 0) {
      block_ = threefry4x32(counter_, key_);
      counter_.z += 1;
    }
    ++used_;
    return lane == 0 ? block_.x : lane == 1 ? block_.y : lane == 2 ? block_.z : block_.w;
  }

  RM_HD float uniform() { return unit_from_bits(bits()); }
  RM_HD float uniform(float low, float high) { return low + (high - low) * uniform(); }

  // Uniform integer in [0, n), n >= 1, without bias (Lemire 2019): rejects with probability < n / 2^32.
  RM_HD std::uint32_t integer(std::uint32_t n) {
    std::uint64_t product = static_cast<std::uint64_t>(bits()) * n;
    if (static_cast<std::uint32_t>(product) < n) {
      const std::uint32_t threshold = (0u - n) % n;
      while (static_cast<std::uint32_t>(product) < threshold) {
        product = static_cast<std::uint64_t>(bits()) * n;
      }
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

  // Standard normal; each call takes two words and gives the cosine half of the pair.
  RM_HD float normal() {
    const std::uint32_t a = bits();
    return normal_from_bits(a, bits()).first;
  }

  RM_HD bool bernoulli(float probability) { return uniform() < probability; }

 private:
  Uint4 key_;
  Uint4 counter_;
  Uint4 block_;
  int used_ = 0;
};

// Fisher-Yates: permutation[i] = a uniform permutation of 0..n-1. Same on every machine for the same stream.
inline void permute(Rng rng, std::uint32_t n, std::uint32_t* permutation) {
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t j = rng.integer(i + 1);
    permutation[i] = permutation[j];
    permutation[j] = i;
  }
}

}  // namespace rollmill
