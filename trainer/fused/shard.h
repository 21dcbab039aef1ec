// PPO's gradient of one shard of a minibatch: gather, forward, loss and backward of a tile of rows happen while it is in
// the first-level cache. Rows are single samples, or with a memory whole sequences that are taken through time together.
#pragma once

#include <cstdint>
#include <vector>

#include "rollout/buffer.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/fused/mlp_backward.h"
#include "trainer/fused/ppo_rows.h"

namespace rollmill {

// What the shards of a minibatch share.
struct MinibatchTask {
  const PpoOptions& options;
  const PolicyWeights& weights;
  const TransposedWeights &actor, &critic;
  const RolloutBuffer& buffer;
  float advantage_mean, advantage_scale;
  float inv_n;  // 1 / samples of the whole minibatch
};

// One shard's result and its scratch, allocated once.
class Shard {
 public:
  explicit Shard(const MlpLayout& layout);

  // Sets gradient and sums to those of `count` units, added in their order: unit u is environment u % num_envs in its
  // sequence u / num_envs, or without memory at step u / num_envs.
  void compute(const MinibatchTask& task, const std::uint32_t* units, int count);

  AlignedVector<float> gradient;  // [parameters]
  LossSums sums;

 private:
  struct Rows;
  struct Sequence;
  void samples_gradient(const MinibatchTask& task, const std::uint32_t* units, int count);
  void sequences_gradient(const MinibatchTask& task, const std::uint32_t* units, int count);
  void sequence_forward(const MinibatchTask& task, const std::uint32_t* units, int rows,
                        Sequence& s);
  void gather_targets(const MinibatchTask& task, const Rows& at, int rows);
  void actor_tile(const MinibatchTask& task, const TileInput& input, const NetActivations& actor,
                  int rows, float* carry);
  void critic_tile(const MinibatchTask& task, const TileInput& input, const NetActivations& critic,
                   int rows, float* carry);

  const MlpLayout& layout_;
  ForwardScratch forward_;
  AlignedVector<float> dhead_columns_, dhead_, entropy_, scratch_;
  TileRows tile_;
};

// Units of one shard at most as many as keep a thread busy for long; fewer for sequences, which are long themselves.
int shard_units(const RolloutBuffer& buffer);

}  // namespace rollmill
