// PPO's gradient of one shard of a minibatch: gather, forward, loss and backward of a tile of rows happen while it is in
// the first-level cache. Rows are single samples, or with a memory whole sequences that are taken through time together.
#pragma once

#include <cstdint>
#include <vector>

#include "rollout/buffer.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/fused/mlp_backward.h"
#include "trainer/fused/ppo_rows.h"
#include "trainer/fused/sample_rows.h"
#include "trainer/ignored_inputs.h"

namespace rollmill {

// What a tile of minibatch rows brings along; columns.
struct TileRows {
  explicit TileRows(const PolicyShape& shape)
      : choices(shape.choices.size() * kTileRows),
        raw(static_cast<std::size_t>(shape.reals) * kTileRows),
        masks(static_cast<std::size_t>((shape.total_choices() + 31) / 32) * kTileRows) {}
  RowData view() const {
    return {choices.data(), raw.data(), masked ? masks.data() : nullptr, old_logp, advantage,
            target,         old_value};
  }
  AlignedVector<std::int32_t> choices;  // [discrete columns][kTileRows] taken
  AlignedVector<float> raw;             // [real columns][kTileRows] samples
  std::vector<std::uint32_t> masks;     // [mask columns][kTileRows] what was allowed
  bool masked = false;
  alignas(kColumnAlignment) float old_logp[kTileRows], advantage[kTileRows], target[kTileRows],
      old_value[kTileRows];
};

// What the shards of a minibatch share.
struct MinibatchTask {
  const PpoOptions& options;
  const PolicyWeights& weights;
  std::uint64_t version;  // of the weights: another number than any before, in this process
  bool bf16;              // LearnerContext::bf16
  const RolloutBuffer& buffer;
  float advantage_mean, advantage_scale;
  float inv_n;                       // 1 / samples of the whole minibatch
  const SampleRows* rows = nullptr;  // buffer's, if there are any: the same numbers
};

// Which of two separate networks a thread does. Two threads may do one each of a shard at the same time.
enum class ShardPart { kAll, kActor, kCritic };

// Where a part's gradient lies: its network, and of the actor the standard deviations, which lie behind both networks.
struct PartRanges {
  ParamRange network, deviations;
};
PartRanges part_ranges(const MlpLayout& layout, ShardPart part);

// What a thread works with, one shard after the other.
struct ShardScratch {
  ShardScratch(const MlpLayout& layout, bool bf16);
  static ShardScratch& of_thread(const MlpLayout& layout, bool bf16);

  // A thread's own packed weights: what one thread wrote for all, the others would have to fetch from its cache.
  void pack(const MlpLayout& layout, const PolicyWeights& weights, std::uint64_t version,
            ShardPart part);
  const Bf16Weights* actor_rounded() const { return bf16 ? &actor_weights : nullptr; }
  const Bf16Weights* critic_rounded() const { return bf16 ? &critic_weights : nullptr; }

  PolicyShape shape;
  bool bf16;
  TransposedWeights actor, critic;
  Bf16Weights actor_weights, critic_weights;            // of bf16
  std::uint64_t actor_version = 0, critic_version = 0;  // of what was packed
  ForwardScratch forward;
  AlignedVector<float> dhead_columns, dhead, entropy, dlog_std, backward;
  AlignedVector<float> actor_dpatches, critic_dpatches;  // network_backward's, of a window
  TileRows tile;
};

// One shard's result.
class Shard {
 public:
  explicit Shard(const MlpLayout& layout);

  // Sets gradient and sums to those of `count` units, added in their order: unit u is environment u % num_envs in its
  // sequence u / num_envs, or without memory at step u / num_envs. following: how many units lie behind them, which this
  // thread may be given next. part: without memory; that network's gradient and losses.
  void compute(const MinibatchTask& task, const std::uint32_t* units, int count, int following = 0,
               ShardPart part = ShardPart::kAll);
  LossSums losses() const {
    LossSums all = losses_;
    all.value += critic_loss_;
    return all;
  }

  AlignedVector<float> gradient;  // [parameters]

 private:
  struct Rows;
  struct Sequence;
  void clear(ShardPart part, bool written);
  void samples_gradient(const MinibatchTask& task, const std::uint32_t* units, int count,
                        int following, ShardPart part, ShardScratch& scratch);
  void sequences_gradient(const MinibatchTask& task, const std::uint32_t* units, int count,
                          ShardScratch& scratch);
  void sequence_forward(const MinibatchTask& task, const std::uint32_t* units, int rows,
                        ShardScratch& scratch, Sequence& s);
  // What the patches of a window's rows, all of which went backward, add to the gradient.
  void window_gradient(const PatchWindow& window, ShardPart part, const ShardScratch& scratch);
  // row: of the window, where the tile begins. writes: network_backward's.
  void actor_tile(const MinibatchTask& task, const TileInput& input, const NetActivations& actor,
                  int rows, int row, float* carry, bool writes, ShardScratch& scratch);
  void add_terms(const RowTerms<kTileRows>& terms, int rows);
  void critic_tile(const MinibatchTask& task, const TileInput& input, const NetActivations& critic,
                   int rows, int row, float* carry, bool writes, ShardScratch& scratch);

  const MlpLayout& layout_;
  LossSums losses_;         // but a separate critic's
  double critic_loss_ = 0;  // of that
};

// Throws Error(kIo) where the memory has no room for the gradients of so many shards and the weights that each of so many
// threads packs for itself.
void check_shard_memory(std::int64_t parameters, int shards, int threads);

}  // namespace rollmill
