// What is done to one row of a replay buffer, one text for the CPU (trainer/replay/replay_buffer.cc) and for CUDA
// (trainer/replay/replay_kernels.cuh).
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/math/math.h"
#include "core/rng/rng.h"
#include "envs/batch.h"

namespace rollmill {

// r_0 + gamma r_1 + ... and what is left to add: discount * value(next observation).
struct NStep {
  float reward = 0;
  float discount = 0;  // gamma^steps; 0 after a termination
};

// A drawn transition: its row, and the weight of its loss.
struct ReplayDraw {
  std::int64_t row = 0;
  float weight = 1.0f;
};

// Which row a time and an environment have, and which times there are.
struct ReplayRing {
  int num_envs;
  int n_step;
  std::int64_t slots;
  float gamma, reward_scale;

  // Oldest time whose observation is stored, the newest being `time`.
  RM_HD std::int64_t oldest(std::int64_t time) const { return time < slots ? 0 : time + 1 - slots; }
  RM_HD std::int64_t row_of(std::int64_t time, std::int64_t env) const {
    return time % slots * num_envs + env;
  }
  RM_HD std::int64_t used_rows(std::int64_t time) const {
    return (time + 1 < slots ? time + 1 : slots) * num_envs;
  }
  // Transitions that can be drawn.
  RM_HD std::int64_t size(std::int64_t time) const {
    const std::int64_t times = time - n_step - oldest(time) + 1;
    return times > 0 ? times * num_envs : 0;
  }
  RM_HD std::int64_t rows() const { return slots * num_envs; }
};

// Where an n-step transition bootstraps from.
enum class Bootstrap {
  kRow,    // the observation of `row`
  kFinal,  // the last observation of the episode that was cut off at `row`, its `time`
  kOwn     // its own observation, of no weight: the episode terminated
};
struct NStepEnd {
  NStep sum;
  Bootstrap from;
  std::int64_t row, time;
};

// Adds up the n steps of `row`, the buffer's newest time being `now`.
RM_HD NStepEnd add_n_steps(const ReplayRing& ring, const float* rewards, const std::uint8_t* ends,
                           std::int64_t now, std::int64_t row) {
  const std::int64_t env = row % ring.num_envs, slot = row / ring.num_envs;
  std::int64_t time = now - (now - slot) % ring.slots;  // the newest of this slot
  NStep sum;
  sum.discount = 1.0f;
  for (int step = 0; step < ring.n_step; ++step, ++time) {
    const std::int64_t at = ring.row_of(time, env);
    sum.reward += sum.discount * ring.reward_scale * rewards[at];
    sum.discount *= ring.gamma;
    if (ends[at] == kTerminated) {
      sum.discount = 0.0f;
      return {sum, Bootstrap::kOwn, row, time};
    }
    if (ends[at] == kTruncated) return {sum, Bootstrap::kFinal, at, time};
  }
  return {sum, Bootstrap::kRow, ring.row_of(time, env), time};
}

RM_HD Rng replay_rng(std::uint64_t seed, std::int64_t update) {
  return Rng(seed, Purpose::kReplay, static_cast<std::uint32_t>(update >> 32),
             static_cast<std::uint32_t>(update), 0);
}

// [0, 1) from two words: 53 bits, enough for a tree of any size.
RM_HD double wide_uniform(Rng& rng) {
  const std::uint64_t high = rng.bits();
  return static_cast<double>((high << 21) | (rng.bits() >> 11)) * 0x1p-53;
}

// The leaf under u of a sum tree (trainer/replay/priority_tree.h), whose leaf n is node base + n.
RM_HD std::int64_t find_leaf(const double* nodes, std::int64_t base, double u) {
  std::int64_t node = 1;
  while (node < base) {
    const double left = nodes[2 * node], right = nodes[2 * node + 1];
    // Rounding may leave a u beyond what is there: it goes where there is something.
    if (right == 0 || (u < left && left > 0)) {
      node = 2 * node;
    } else {
      u -= left;
      node = 2 * node + 1;
    }
  }
  return node - base;
}

// (size * share)^-beta of a row that has this share of all priorities; before it is scaled.
RM_HD float draw_weight(std::int64_t size, double share, float beta) {
  return math::pow(static_cast<float>(static_cast<double>(size) * share), -beta);
}

RM_HD double priority_of(float error, float epsilon, float alpha) {
  return static_cast<double>(math::pow(math::abs(error) + epsilon, alpha));
}

}  // namespace rollmill
