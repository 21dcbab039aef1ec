// PPO's update on CPU without a framework: gather, forward, loss, backward and reduction of a tile of rows happen while
// it is in the first-level cache.
//
// Determinism: a minibatch is cut into shards whose number depends only on its size; each shard accumulates its own
// gradient in row order, and shards are added in a fixed order. Threads take shards, so their number changes nothing.
// With several ranks the gradients are summed in rank order (core/dist).
//
// Groups: samples belong to groups of environments, each permuted and summed alone; group sums are
// added in group order. With one group a rank ("fast") results depend on the number of ranks; with
// a fixed number of groups ("exact") they do not, since it does not matter who holds a group.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/assert.h"
#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "rollout/normalizer.h"
#include "trainer/fused/adam.h"
#include "trainer/fused/mlp_backward.h"
#include "trainer/fused/ppo_rows.h"
#include "trainer/learner.h"

namespace rollmill {
namespace {

constexpr int kShardRows = 2 * kTileRows;
constexpr int kMaxShards = 64;
constexpr std::int64_t kReduceChunk = 4096;

// Of value(0), ..., value(count - 1): mean first, so that nothing cancels.
template <class Value>
Moments moments_of(int count, Value&& value) {
  Moments m;
  m.count = count;
  for (int i = 0; i < count; ++i) m.mean += value(i);
  m.mean /= count;
  for (int i = 0; i < count; ++i) m.m2 += (value(i) - m.mean) * (value(i) - m.mean);
  return m;
}

// Everything one shard needs, allocated once.
struct Shard {
  explicit Shard(const MlpLayout& layout)
      : forward(layout),
        gradient(static_cast<std::size_t>(layout.size)),
        dhead_columns(static_cast<std::size_t>(layout.shape.outputs()) * kTileRows),
        dhead(static_cast<std::size_t>(std::max(pad16(layout.shape.outputs()), 16)) * kTileRows),
        entropy(layout.shape.choices.size() * kTileRows),
        scratch(static_cast<std::size_t>(2) * kTileRows * layout.max_width),
        tile(layout.shape) {}
  ForwardScratch forward;
  AlignedVector<float> gradient, dhead_columns, dhead, entropy, scratch;
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
        critic_transposed_(layout_.critic),
        groups_(context.groups > 0 ? context.groups / context.group->world_size() : 1) {
    group_gradients_.resize(static_cast<std::size_t>(layout_.size) * groups_);
    gradient_.resize(static_cast<std::size_t>(layout_.size));
  }

  UpdateStats update(const RolloutBuffer& buffer, std::int64_t update,
                     double learning_rate) override;

 private:
  struct Minibatch {
    const std::uint32_t* order;  // group k's rows at order[k * group_samples_ + r]
    int rows;                    // of one group
    double total;                // rows of all groups on all ranks
    float advantage_mean, advantage_scale;
    float inv_n;
  };

  void draw_order(const RolloutBuffer& b, std::int64_t update, int epoch);
  double sum_groups(const std::vector<double>& parts, const char* what);
  double explained_variance(const RolloutBuffer& b);
  LossSums minibatch_gradient(const RolloutBuffer& b, const Minibatch& mb);
  void shard_gradient(const RolloutBuffer& b, const Minibatch& mb, Shard& shard,
                      const std::uint32_t* rows, int count);
  void gather_tile(const RolloutBuffer& b, const Minibatch& mb, Shard& shard,
                   const std::uint32_t* samples, int rows);
  void actor_tile(Shard& shard, int rows, float inv_n);
  void critic_tile(Shard& shard, int rows, float inv_n);
  Minibatch prepare(const RolloutBuffer& b, const std::uint32_t* order, int rows);
  void reduce_shards(int shards);
  void add_groups();
  double gradient_norm_squared();
  void apply_adam(double norm, double learning_rate);

  LearnerContext c_;
  const PpoOptions& o_;
  const MlpLayout& layout_;
  TransposedWeights actor_transposed_, critic_transposed_;
  std::vector<std::unique_ptr<Shard>> shards_;
  int groups_;  // of this rank
  std::int64_t group_samples_ = 0;
  AlignedVector<float> group_gradients_;  // [groups_][parameters]
  AlignedVector<float> gradient_;
  std::vector<std::uint32_t> order_;
};

// Each group's own permutation of its samples; entries name samples of this rank, t * num_envs + i.
void FusedLearner::draw_order(const RolloutBuffer& b, std::int64_t update, int epoch) {
  const auto envs = static_cast<std::uint32_t>(b.num_envs / groups_);
  group_samples_ = std::int64_t{b.horizon} * envs;
  order_.resize(static_cast<std::size_t>(group_samples_ * groups_));
  for (int k = 0; k < groups_; ++k) {
    std::uint32_t* order = order_.data() + k * group_samples_;
    minibatch_order(c_.seed, c_.group->rank() * groups_ + k, update, epoch,
                    static_cast<std::uint32_t>(group_samples_), order);
    if (groups_ == 1) continue;
    const std::uint32_t first = static_cast<std::uint32_t>(k) * envs;
    for (std::int64_t r = 0; r < group_samples_; ++r) {
      order[r] = order[r] / envs * static_cast<std::uint32_t>(b.num_envs) + first + order[r] % envs;
    }
  }
}

UpdateStats FusedLearner::update(const RolloutBuffer& b, std::int64_t update,
                                 double learning_rate) {
  UpdateStats stats;
  LossSums total;
  double count = 0;
  int minibatches = 0;
  stats.explained_variance = explained_variance(b);
  for (int epoch = 0; epoch < o_.epochs; ++epoch) {
    draw_order(b, update, epoch);
    const int rows = static_cast<int>(group_samples_ / o_.minibatches);
    double epoch_kl = 0;
    for (int m = 0; m < o_.minibatches; ++m) {
      const Minibatch mb = prepare(b, order_.data() + static_cast<std::int64_t>(m) * rows, rows);
      const LossSums sums = minibatch_gradient(b, mb);
      const double norm = std::sqrt(gradient_norm_squared());
      if (minibatches == 0) stats.first_ratio_error = sums.ratio_error;
      apply_adam(norm, learning_rate);
      total.add(sums);
      count += mb.total;
      epoch_kl += sums.kl / mb.total / o_.minibatches;
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

// Moments of returns and of what the values miss of them: of each group and step alone, merged in step order, then in
// group order over all ranks.
double FusedLearner::explained_variance(const RolloutBuffer& b) {
  struct Pair {
    Moments target, error;
  };
  const int envs = b.num_envs / groups_;
  std::vector<Pair> parts(static_cast<std::size_t>(b.horizon * groups_));
  c_.pool->run(b.horizon, [&](int t) {
    for (int k = 0; k < groups_; ++k) {
      const float* target = b.returns + t * b.stride + k * envs;
      const float* value = b.values + t * b.stride + k * envs;
      parts[static_cast<std::size_t>(k * b.horizon + t)] = {
          moments_of(envs, [&](int i) { return static_cast<double>(target[i]); }),
          moments_of(envs, [&](int i) {
            return static_cast<double>(target[i]) - static_cast<double>(value[i]);
          })};
    }
  });
  std::vector<Pair> mine(static_cast<std::size_t>(groups_));
  for (std::size_t p = 0; p < parts.size(); ++p) {
    Pair& group = mine[p / static_cast<std::size_t>(b.horizon)];
    group.target.merge(parts[p].target);
    group.error.merge(parts[p].error);
  }
  const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(Pair));
  Pair total;
  for (const std::string& theirs : c_.group->all_gather(bytes, "value statistics")) {
    for (std::size_t at = 0; at < theirs.size(); at += sizeof(Pair)) {
      Pair group;
      std::memcpy(&group, theirs.data() + at, sizeof group);
      total.target.merge(group.target);
      total.error.merge(group.error);
    }
  }
  if (!(total.target.m2 > 0)) return std::numeric_limits<double>::quiet_NaN();
  return 1.0 - total.error.m2 / total.target.m2;
}

// Adds one number a group, of all ranks, in group order.
double FusedLearner::sum_groups(const std::vector<double>& parts, const char* what) {
  const std::string mine(reinterpret_cast<const char*>(parts.data()),
                         parts.size() * sizeof(double));
  double sum = 0;
  for (const std::string& part : c_.group->all_gather(mine, what)) {
    for (std::size_t at = 0; at < part.size(); at += sizeof(double)) {
      double value;
      std::memcpy(&value, part.data() + at, sizeof value);
      sum += value;
    }
  }
  return sum;
}

// Advantage statistics over the minibatch of all ranks.
FusedLearner::Minibatch FusedLearner::prepare(const RolloutBuffer& b, const std::uint32_t* order,
                                              int rows) {
  const double total = static_cast<double>(rows) * groups_ * c_.group->world_size();
  Minibatch mb{order, rows, total, 0.0f, 1.0f, static_cast<float>(1.0 / total)};
  if (!o_.normalize_advantages) return mb;
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  std::vector<double> parts(static_cast<std::size_t>(groups_));
  const auto sum = [&](double mean, bool squared, const char* what) {
    for (int k = 0; k < groups_; ++k) {
      const std::uint32_t* samples = order + k * group_samples_;
      double part = 0;
      for (int r = 0; r < rows; ++r) {
        const std::int64_t t = samples[r] / n, i = samples[r] % n;
        const double a = static_cast<double>(b.advantages[t * b.stride + i]) - mean;
        part += squared ? a * a : a;
      }
      parts[static_cast<std::size_t>(k)] = part;
    }
    return sum_groups(parts, what);
  };
  const double mean = sum(0.0, false, "advantage mean") / total;
  const double variance = sum(mean, true, "advantage variance") / total;
  mb.advantage_mean = static_cast<float>(mean);
  mb.advantage_scale = static_cast<float>(1.0 / (std::sqrt(variance) + 1e-8));
  return mb;
}

LossSums FusedLearner::minibatch_gradient(const RolloutBuffer& b, const Minibatch& mb) {
  const int shards = std::clamp((mb.rows + kShardRows - 1) / kShardRows, 1, kMaxShards);
  while (static_cast<int>(shards_.size()) < shards * groups_)
    shards_.push_back(std::make_unique<Shard>(layout_));
  actor_transposed_.pack(layout_.actor, c_.weights->params.data());
  critic_transposed_.pack(layout_.critic, c_.weights->params.data());
  c_.pool->run(shards * groups_, [&](int task) {
    const std::int64_t s = task % shards;
    const auto begin = static_cast<int>(mb.rows * s / shards);
    const auto end = static_cast<int>(mb.rows * (s + 1) / shards);
    shard_gradient(b, mb, *shards_[static_cast<std::size_t>(task)],
                   mb.order + task / shards * group_samples_ + begin, end - begin);
  });
  reduce_shards(shards);
  add_groups();
  LossSums sums;
  std::vector<double> parts[5];
  for (int k = 0; k < groups_; ++k) {
    LossSums group;
    for (int s = 0; s < shards; ++s)
      group.add(shards_[static_cast<std::size_t>(k * shards + s)]->sums);
    const double values[5] = {group.policy, group.value, group.entropy, group.kl, group.clipped};
    for (int v = 0; v < 5; ++v) parts[v].push_back(values[v]);
    sums.add(group);
  }
  if (c_.group->world_size() == 1 && groups_ == 1) return sums;
  double* totals[5] = {&sums.policy, &sums.value, &sums.entropy, &sums.kl, &sums.clipped};
  for (int v = 0; v < 5; ++v) *totals[v] = sum_groups(parts[v], "loss sums");
  return sums;
}

void FusedLearner::shard_gradient(const RolloutBuffer& b, const Minibatch& mb, Shard& shard,
                                  const std::uint32_t* samples, int count) {
  std::fill(shard.gradient.begin(), shard.gradient.end(), 0.0f);
  shard.sums = {};
  for (int at = 0; at < count; at += kTileRows) {
    const int rows = std::min(kTileRows, count - at);
    gather_tile(b, mb, shard, samples + at, rows);
    actor_tile(shard, rows, mb.inv_n);
    critic_tile(shard, rows, mb.inv_n);
  }
}

void FusedLearner::gather_tile(const RolloutBuffer& b, const Minibatch& mb, Shard& shard,
                               const std::uint32_t* samples, int rows) {
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  std::int64_t time[kTileRows], slot[kTileRows], observation[kTileRows];
  std::uint8_t frames[kTileRows];
  for (int r = 0; r < rows; ++r) {
    const std::int64_t t = samples[r] / n, i = samples[r] % n;
    time[r] = t;
    slot[r] = t * b.stride + i;
    observation[r] = t * b.slot_words() + i;
    frames[r] = b.frames == nullptr ? 0 : b.frames[slot[r]];
  }
  shard.forward.input.gather({b.observations, b.stride, b.slot_words(), nullptr}, observation,
                             frames, rows, c_.weights->normalizer);
  TileRows& tile = shard.tile;
  for (int r = 0; r < rows; ++r) {
    tile.old_logp[r] = b.logprobs[slot[r]];
    tile.old_value[r] = b.values[slot[r]];
    tile.target[r] = b.returns[slot[r]];
    tile.advantage[r] = (b.advantages[slot[r]] - mb.advantage_mean) * mb.advantage_scale;
  }
  tile.masked = b.mask_columns > 0;
  // Row r's element of column k of K columns, slot after slot.
  const auto gather = [&](const auto* from, int columns, int k, auto* to) {
    for (int r = 0; r < rows; ++r)
      to[k * kTileRows + r] = from[slot[r] + (time[r] * (columns - 1) + k) * b.stride];
  };
  for (int k = 0; k < b.choice_columns; ++k)
    gather(static_cast<const std::int32_t*>(b.actions), b.action_size(), k, tile.choices.data());
  for (int k = 0; k < b.real_columns; ++k)
    gather(b.raw_actions, b.real_columns, k, tile.raw.data());
  for (int k = 0; k < b.mask_columns; ++k) gather(b.masks, b.mask_columns, k, tile.masks.data());
}

void FusedLearner::actor_tile(Shard& s, int rows, float inv_n) {
  const auto& net = layout_.actor;
  const int outputs = layout_.shape.outputs();
  const float* params = c_.weights->params.data();
  network_forward(net, params, s.forward.input, rows, s.forward.actor);
  const int width = net.back().width;
  float* head = s.forward.head.data();
  head_to_columns(s.forward.actor.layer(static_cast<int>(net.size()) - 1), width, outputs, rows,
                  head);
  float* dhead = s.dhead_columns.data();
  policy_rows(o_, layout_.shape, s.tile, head, params + layout_.log_std, rows, inv_n,
              s.entropy.data(), dhead, s.gradient.data() + layout_.log_std, s.sums);
  std::fill(s.dhead.begin(), s.dhead.end(), 0.0f);
  for (int a = 0; a < outputs; ++a) {
    for (int r = 0; r < rows; ++r)
      s.dhead[static_cast<std::size_t>(r * width + a)] = dhead[a * kTileRows + r];
  }
  network_backward(net, actor_transposed_, s.forward.input, rows, s.forward.actor, s.dhead.data(),
                   s.scratch.data(), layout_.max_width, s.gradient.data());
}

void FusedLearner::critic_tile(Shard& s, int rows, float inv_n) {
  const auto& net = layout_.critic;
  network_forward(net, c_.weights->params.data(), s.forward.input, rows, s.forward.critic);
  const int width = net.back().width;
  const float* head = s.forward.critic.layer(static_cast<int>(net.size()) - 1);
  alignas(kColumnAlignment) float value[kTileRows], dvalue[kTileRows];
  for (int r = 0; r < rows; ++r) value[r] = head[r * width];
  value_rows(o_, s.tile, value, rows, inv_n, dvalue, s.sums);
  std::fill(s.dhead.begin(), s.dhead.end(), 0.0f);
  for (int r = 0; r < rows; ++r) s.dhead[static_cast<std::size_t>(r * width)] = dvalue[r];
  network_backward(net, critic_transposed_, s.forward.input, rows, s.forward.critic, s.dhead.data(),
                   s.scratch.data(), layout_.max_width, s.gradient.data());
}

// Each group's gradient = its shard 0 + shard 1 + ... in that order.
void FusedLearner::reduce_shards(int shards) {
  const auto chunks = static_cast<int>((layout_.size + kReduceChunk - 1) / kReduceChunk);
  c_.pool->run(chunks * groups_, [&](int task) {
    const int k = task / chunks;
    const std::int64_t begin = task % chunks * kReduceChunk;
    const std::int64_t end = std::min(begin + kReduceChunk, layout_.size);
    float* RM_RESTRICT sum = group_gradients_.data() + k * layout_.size;
    const auto shard = [&](int s) {
      return shards_[static_cast<std::size_t>(k * shards + s)]->gradient.data();
    };
    std::memcpy(sum + begin, shard(0) + begin,
                static_cast<std::size_t>(end - begin) * sizeof(float));
    for (int s = 1; s < shards; ++s) {
      const float* RM_RESTRICT part = shard(s);
      for (std::int64_t i = begin; i < end; ++i) sum[i] += part[i];
    }
  });
}

// gradient_ = group 0 + group 1 + ... over all ranks. One group a rank is a plain all-reduce.
void FusedLearner::add_groups() {
  const auto size = static_cast<std::size_t>(layout_.size);
  const auto add = [&](const float* RM_RESTRICT part) {
    float* RM_RESTRICT sum = gradient_.data();
    for (std::size_t i = 0; i < size; ++i) sum[i] += part[i];
  };
  if (groups_ == 1) {
    std::copy(group_gradients_.begin(), group_gradients_.end(), gradient_.begin());
    c_.group->all_reduce_sum(gradient_.data(), layout_.size, "gradients");
    return;
  }
  std::fill(gradient_.begin(), gradient_.end(), 0.0f);
  if (c_.group->world_size() == 1) {
    for (int k = 0; k < groups_; ++k) add(group_gradients_.data() + k * layout_.size);
    return;
  }
  const std::string mine(reinterpret_cast<const char*>(group_gradients_.data()),
                         group_gradients_.size() * sizeof(float));
  std::vector<float> part(size);
  for (const std::string& theirs : c_.group->all_gather(mine, "gradients")) {
    for (std::size_t at = 0; at < theirs.size(); at += size * sizeof(float)) {
      std::memcpy(part.data(), theirs.data() + at, size * sizeof(float));
      add(part.data());
    }
  }
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
