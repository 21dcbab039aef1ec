// Which sample comes when in an epoch, as a function of its place: a keyed bijection of 0 .. n - 1 that needs no memory and no
// order of evaluation, so that any thread can have any part of it (a balanced Feistel network on the next even number of
// bits; what falls outside is sent through again).
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/rng/rng.h"

namespace rollmill {

inline constexpr int kShuffleRounds = 8;

struct ShuffleKey {
  std::uint32_t samples;
  int half_bits;  // of an index
  std::uint32_t keys[kShuffleRounds];
};

// From fewer samples on a permutation is drawn uniformly (Fisher and Yates), which a bijection of few bits cannot be.
inline constexpr std::uint32_t kShuffledFrom = 1u << 16;

RM_HD ShuffleKey shuffle_key(Rng rng, std::uint32_t samples) {
  ShuffleKey key{};
  key.samples = samples;
  key.half_bits = 1;
  while ((std::uint64_t{1} << (2 * key.half_bits)) < samples) ++key.half_bits;
  for (int k = 0; k < kShuffleRounds; ++k) key.keys[k] = rng.bits();
  return key;
}

// The finaliser of MurmurHash3: every bit of the result depends on every bit of x.
RM_HD std::uint32_t shuffle_mix(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

// Once through the network.
RM_HD std::uint32_t shuffled_once(const ShuffleKey& key, std::uint32_t x) {
  const std::uint32_t mask = (1u << key.half_bits) - 1u;
  std::uint32_t left = x >> key.half_bits, right = x & mask;
#if defined(__CUDA_ARCH__)
#pragma unroll
#else
#pragma GCC unroll 8
#endif
  for (int k = 0; k < kShuffleRounds; ++k) {
    const std::uint32_t next = left ^ (shuffle_mix(right ^ key.keys[k]) & mask);
    left = right;
    right = next;
  }
  return (left << key.half_bits) | right;
}

RM_HD std::uint32_t shuffled(const ShuffleKey& key, std::uint32_t place) {
  std::uint32_t x = place;
  do {
    x = shuffled_once(key, x);
  } while (x >= key.samples);
  return x;
}

// Sample s of group `group`, as a sample of the rank: group k has environments [k * n / groups, (k + 1) * n / groups) of n.
RM_HD std::uint32_t group_sample(std::uint32_t s, int group, int groups, int num_envs) {
  const auto envs = static_cast<std::uint32_t>(num_envs / groups);
  return s / envs * static_cast<std::uint32_t>(num_envs) +
         static_cast<std::uint32_t>(group) * envs + s % envs;
}

// The stream that an epoch's order is drawn from.
RM_HD Rng minibatch_rng(std::uint64_t seed, int group, std::int64_t update, int epoch) {
  return Rng(seed, Purpose::kPermutation, static_cast<std::uint32_t>(group),
             static_cast<std::uint32_t>(update), static_cast<std::uint32_t>(epoch));
}

}  // namespace rollmill
