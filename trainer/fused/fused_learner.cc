// PPO's update on CPU without a framework: gather, forward, loss, backward and reduction of a tile of rows happen while
// it is in the first-level cache.
//
// Determinism: a minibatch is cut into shards whose number depends only on its size; each shard accumulates its own
// gradient in row order, and shards are added in a fixed order. Threads take shards, so their number changes nothing.
// With several ranks the gradients are summed in rank order (core/dist).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/assert.h"
#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "trainer/fused/adam.h"
#include "trainer/fused/mlp_backward.h"
#include "trainer/fused/ppo_rows.h"
#include "trainer/learner.h"

namespace rollmill {
namespace {

constexpr int kShardRows = 2 * kTileRows;
constexpr int kMaxShards = 64;
constexpr std::int64_t kReduceChunk = 4096;

// Everything one shard needs, allocated once.
struct Shard {
  explicit Shard(const MlpLayout& layout)
      : forward(layout),
        gradient(static_cast<std::size_t>(layout.size)),
        dhead_columns(static_cast<std::size_t>(layout.shape.outputs) * kTileRows),
        raw(static_cast<std::size_t>(layout.shape.outputs) * kTileRows),
        dhead(static_cast<std::size_t>(std::max(pad16(layout.shape.outputs), 16)) * kTileRows),
        scratch(static_cast<std::size_t>(2) * kTileRows * layout.max_width) {}
  ForwardScratch forward;
  AlignedVector<float> gradient, dhead_columns, raw, dhead, scratch;
  TileRows tile;
  LossSums sums;
};

class FusedLearner final : public Learner {
 public:
  explicit FusedLearner(const LearnerContext& context)
      : c_(context),
        o_(*context.options),
        layout_(context.weights->layout),
        actor_transposed_(layout_.actor),
        critic_transposed_(layout_.critic) {
    gradient_.resize(static_cast<std::size_t>(layout_.size));
  }

  UpdateStats update(const RolloutBuffer& buffer, std::int64_t update,
                     double learning_rate) override;

 private:
  struct Minibatch {
    const std::uint32_t* order;
    int rows;
    float advantage_mean, advantage_scale;
    float inv_n;
  };

  LossSums minibatch_gradient(const RolloutBuffer& b, const Minibatch& mb);
  void shard_gradient(const RolloutBuffer& b, const Minibatch& mb, Shard& shard, int begin,
                      int end);
  void gather_tile(const RolloutBuffer& b, const Minibatch& mb, Shard& shard, int begin, int rows);
  void actor_tile(Shard& shard, int rows, float inv_n);
  void critic_tile(Shard& shard, int rows, float inv_n);
  Minibatch prepare(const RolloutBuffer& b, const std::uint32_t* order, int rows);
  void reduce_shards(int shards);
  double gradient_norm_squared();
  void apply_adam(double norm, double learning_rate);

  LearnerContext c_;
  const PpoOptions& o_;
  const MlpLayout& layout_;
  TransposedWeights actor_transposed_, critic_transposed_;
  std::vector<std::unique_ptr<Shard>> shards_;
  AlignedVector<float> gradient_;
  std::vector<std::uint32_t> order_;
};

UpdateStats FusedLearner::update(const RolloutBuffer& b, std::int64_t update,
                                 double learning_rate) {
  const auto samples =
      static_cast<std::uint32_t>(b.horizon) * static_cast<std::uint32_t>(b.num_envs);
  const int rows = static_cast<int>(samples) / o_.minibatches;
  order_.resize(samples);
  UpdateStats stats;
  LossSums total;
  double count = 0;
  int minibatches = 0;
  for (int epoch = 0; epoch < o_.epochs; ++epoch) {
    minibatch_order(c_.seed, c_.group->rank(), update, epoch, samples, order_.data());
    double epoch_kl = 0;
    for (int m = 0; m < o_.minibatches; ++m) {
      const Minibatch mb = prepare(b, order_.data() + static_cast<std::int64_t>(m) * rows, rows);
      const LossSums sums = minibatch_gradient(b, mb);
      const double norm = std::sqrt(gradient_norm_squared());
      if (minibatches == 0) stats.first_ratio_error = sums.ratio_error;
      apply_adam(norm, learning_rate);
      const double n = static_cast<double>(mb.rows) * c_.group->world_size();
      total.add(sums);
      count += n;
      epoch_kl += sums.kl / n / o_.minibatches;
      stats.grad_norm += norm;
      ++minibatches;
    }
    stats.epochs = epoch + 1;
    stats.approx_kl = epoch_kl;
    if (o_.target_kl > 0.0f && epoch_kl > 1.5 * static_cast<double>(o_.target_kl)) break;
  }
  stats.policy_loss = total.policy / count;
  stats.value_loss = total.value / count;
  stats.entropy = total.entropy / count;
  stats.clip_fraction = total.clipped / count;
  stats.grad_norm /= minibatches;
  return stats;
}

// Advantage statistics over the minibatch of all ranks.
FusedLearner::Minibatch FusedLearner::prepare(const RolloutBuffer& b, const std::uint32_t* order,
                                              int rows) {
  Minibatch mb{order, rows, 0.0f, 1.0f, 1.0f / static_cast<float>(rows * c_.group->world_size())};
  if (!o_.normalize_advantages) return mb;
  double sums[2] = {0, 0};
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  const auto advantage = [&](int r) {
    return static_cast<double>(b.advantages[(order[r] / n) * b.stride + order[r] % n]);
  };
  for (int r = 0; r < rows; ++r) sums[0] += advantage(r);
  c_.group->all_reduce_sum(sums, 1, "advantage mean");
  const double count = static_cast<double>(rows) * c_.group->world_size();
  const double mean = sums[0] / count;
  for (int r = 0; r < rows; ++r) sums[1] += (advantage(r) - mean) * (advantage(r) - mean);
  c_.group->all_reduce_sum(sums + 1, 1, "advantage variance");
  mb.advantage_mean = static_cast<float>(mean);
  mb.advantage_scale = static_cast<float>(1.0 / (std::sqrt(sums[1] / count) + 1e-8));
  return mb;
}

LossSums FusedLearner::minibatch_gradient(const RolloutBuffer& b, const Minibatch& mb) {
  const int shards = std::clamp((mb.rows + kShardRows - 1) / kShardRows, 1, kMaxShards);
  while (static_cast<int>(shards_.size()) < shards)
    shards_.push_back(std::make_unique<Shard>(layout_));
  actor_transposed_.pack(layout_.actor, c_.weights->params.data());
  critic_transposed_.pack(layout_.critic, c_.weights->params.data());
  c_.pool->run(shards, [&](int s) {
    const auto begin = static_cast<int>(static_cast<std::int64_t>(mb.rows) * s / shards);
    const auto end = static_cast<int>(static_cast<std::int64_t>(mb.rows) * (s + 1) / shards);
    shard_gradient(b, mb, *shards_[static_cast<std::size_t>(s)], begin, end);
  });
  reduce_shards(shards);
  LossSums sums;
  for (int s = 0; s < shards; ++s) sums.add(shards_[static_cast<std::size_t>(s)]->sums);
  if (c_.group->world_size() > 1) {
    c_.group->all_reduce_sum(gradient_.data(), layout_.size, "gradients");
    double parts[5] = {sums.policy, sums.value, sums.entropy, sums.kl, sums.clipped};
    c_.group->all_reduce_sum(parts, 5, "loss sums");
    sums = {parts[0], parts[1], parts[2], parts[3], parts[4], sums.ratio_error};
  }
  return sums;
}

void FusedLearner::shard_gradient(const RolloutBuffer& b, const Minibatch& mb, Shard& shard,
                                  int begin, int end) {
  std::fill(shard.gradient.begin(), shard.gradient.end(), 0.0f);
  shard.sums = {};
  for (int at = begin; at < end; at += kTileRows) {
    const int rows = std::min(kTileRows, end - at);
    gather_tile(b, mb, shard, at, rows);
    actor_tile(shard, rows, mb.inv_n);
    critic_tile(shard, rows, mb.inv_n);
  }
}

void FusedLearner::gather_tile(const RolloutBuffer& b, const Minibatch& mb, Shard& shard, int begin,
                               int rows) {
  const int size = b.observation_size;
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  alignas(kColumnAlignment) float columns[kTileRows];
  std::int64_t slot[kTileRows], observation[kTileRows];
  for (int r = 0; r < rows; ++r) {
    const std::uint32_t sample = mb.order[begin + r];
    const std::int64_t t = sample / n, i = sample % n;
    slot[r] = t * b.stride + i;
    observation[r] = t * size * b.stride + i;
  }
  for (int k = 0; k < size; ++k) {
    for (int r = 0; r < rows; ++r) columns[r] = b.observations[observation[r] + k * b.stride];
    normalize_column(columns, rows, k, c_.weights->normalizer, shard.forward.input.data() + k,
                     size);
  }
  TileRows& tile = shard.tile;
  for (int r = 0; r < rows; ++r) {
    tile.old_logp[r] = b.logprobs[slot[r]];
    tile.old_value[r] = b.values[slot[r]];
    tile.target[r] = b.returns[slot[r]];
    tile.advantage[r] = (b.advantages[slot[r]] - mb.advantage_mean) * mb.advantage_scale;
  }
  if (b.discrete) {
    const auto* actions = static_cast<const std::int32_t*>(b.actions);
    for (int r = 0; r < rows; ++r) tile.action[r] = actions[slot[r]];
    return;
  }
  for (int a = 0; a < b.action_size; ++a) {
    for (int r = 0; r < rows; ++r) {
      const std::int64_t t = slot[r] / b.stride;
      shard.raw[static_cast<std::size_t>(a * kTileRows + r)] =
          b.raw_actions[slot[r] + (t * (b.action_size - 1) + a) * b.stride];
    }
  }
}

void FusedLearner::actor_tile(Shard& s, int rows, float inv_n) {
  const auto& net = layout_.actor;
  const int outputs = layout_.shape.outputs, size = layout_.shape.observations;
  const float* params = c_.weights->params.data();
  network_forward(net, params, s.forward.input.data(), size, rows, s.forward.actor);
  const int width = net.back().width;
  float* head = s.forward.head.data();
  head_to_columns(s.forward.actor.layer(static_cast<int>(net.size()) - 1), width, outputs, rows,
                  head);
  float* dhead = s.dhead_columns.data();
  if (layout_.shape.discrete) {
    categorical_rows(o_, s.tile, head, outputs, rows, inv_n, dhead, s.sums);
  } else {
    gaussian_rows(o_, s.tile, head, s.raw.data(), params + layout_.log_std, outputs, rows, inv_n,
                  dhead, s.gradient.data() + layout_.log_std, s.sums);
  }
  std::fill(s.dhead.begin(), s.dhead.end(), 0.0f);
  for (int a = 0; a < outputs; ++a) {
    for (int r = 0; r < rows; ++r)
      s.dhead[static_cast<std::size_t>(r * width + a)] = dhead[a * kTileRows + r];
  }
  network_backward(net, actor_transposed_, s.forward.input.data(), size, rows, s.forward.actor,
                   s.dhead.data(), s.scratch.data(), layout_.max_width, s.gradient.data());
}

void FusedLearner::critic_tile(Shard& s, int rows, float inv_n) {
  const auto& net = layout_.critic;
  const int size = layout_.shape.observations;
  network_forward(net, c_.weights->params.data(), s.forward.input.data(), size, rows,
                  s.forward.critic);
  const int width = net.back().width;
  const float* head = s.forward.critic.layer(static_cast<int>(net.size()) - 1);
  alignas(kColumnAlignment) float value[kTileRows], dvalue[kTileRows];
  for (int r = 0; r < rows; ++r) value[r] = head[r * width];
  value_rows(o_, s.tile, value, rows, inv_n, dvalue, s.sums);
  std::fill(s.dhead.begin(), s.dhead.end(), 0.0f);
  for (int r = 0; r < rows; ++r) s.dhead[static_cast<std::size_t>(r * width)] = dvalue[r];
  network_backward(net, critic_transposed_, s.forward.input.data(), size, rows, s.forward.critic,
                   s.dhead.data(), s.scratch.data(), layout_.max_width, s.gradient.data());
}

// gradient = shard 0 + shard 1 + ... in that order.
void FusedLearner::reduce_shards(int shards) {
  const auto chunks = static_cast<int>((layout_.size + kReduceChunk - 1) / kReduceChunk);
  c_.pool->run(chunks, [&](int chunk) {
    const std::int64_t begin = chunk * kReduceChunk;
    const std::int64_t end = std::min(begin + kReduceChunk, layout_.size);
    float* RM_RESTRICT sum = gradient_.data();
    std::memcpy(sum + begin, shards_[0]->gradient.data() + begin,
                static_cast<std::size_t>(end - begin) * sizeof(float));
    for (int s = 1; s < shards; ++s) {
      const float* RM_RESTRICT part = shards_[static_cast<std::size_t>(s)]->gradient.data();
      for (std::int64_t i = begin; i < end; ++i) sum[i] += part[i];
    }
  });
}

// Sixteen float64 lanes added in a fixed order: fast, and the same on every machine.
double FusedLearner::gradient_norm_squared() {
  double lanes[16] = {};
  const float* g = gradient_.data();
  for (std::int64_t i = 0; i < layout_.size; i += 16) {
    for (int l = 0; l < 16; ++l)
      lanes[l] += static_cast<double>(g[i + l]) * static_cast<double>(g[i + l]);
  }
  double sum = 0;
  for (double lane : lanes) sum += lane;
  return sum;
}

void FusedLearner::apply_adam(double norm, double learning_rate) {
  OptimizerState& state = *c_.optimizer;
  ++state.step;
  float scale = 1.0f;
  if (o_.max_grad_norm > 0.0f) {
    scale =
        static_cast<float>(std::min(1.0, static_cast<double>(o_.max_grad_norm) / (norm + 1e-6)));
  }
  const AdamStep step =
      adam_step(o_.adam_beta1, o_.adam_beta2, o_.adam_epsilon, learning_rate, state.step, scale);
  const auto chunks = static_cast<int>((layout_.size + kReduceChunk - 1) / kReduceChunk);
  c_.pool->run(chunks, [&](int chunk) {
    const std::int64_t begin = chunk * kReduceChunk;
    adam_range(step, gradient_.data(), begin, std::min(begin + kReduceChunk, layout_.size),
               c_.weights->params.data(), state.first.data(), state.second.data());
  });
}

}  // namespace

std::unique_ptr<Learner> make_fused_learner(const LearnerContext& context) {
  RM_ASSERT(!context.cuda);
  return std::make_unique<FusedLearner>(context);
}

}  // namespace rollmill
