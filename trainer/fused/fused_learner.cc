// PPO's update on CPU without a framework.
//
// Determinism: a minibatch is cut into shards whose number depends only on its size; each shard accumulates its own
// gradient in row order, and shards are added in a fixed order. Threads take shards, so their number changes nothing.
// With several ranks the gradients are summed in rank order (core/dist).
//
// Groups: samples belong to groups of environments, each permuted and summed alone; group sums are
// added in group order. With one group a rank ("fast") results depend on the number of ranks; with
// a fixed number of groups ("exact") they do not, since it does not matter who holds a group.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <optional>

#include "core/base/assert.h"
#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "trainer/explained_variance.h"
#include "trainer/fused/adam.h"
#include "trainer/fused/minibatch_shards.h"
#include "trainer/fused/ordered_sums.h"
#include "trainer/fused/sequence_rows.h"
#include "trainer/fused/shard.h"
#include "trainer/learner.h"
#include "trainer/may_step.h"
#include "trainer/minibatch_order.h"

namespace rollmill {
namespace {

// Parts of the parameters that a thread takes at a time, in a sum or a step: this many a thread, so that a thread that the
// system stops holds up little.
constexpr int kRangesOfThread = 4;

// Units (samples, or sequences) of which whole epochs are ordered at once, so that threads meet once for all of them.
constexpr std::int64_t kOrderedTogether = 1 << 16;

// Whether two networks of a shard are tasks of their own: while there are few shards, so that every thread has something to do and
// all end together, and packs one network's weights.
bool networks_apart(int shards, int threads) {
  return threads > 1 && (shards < 2 * threads || (shards < 4 * threads && shards % threads != 0));
}

// Of so many shards at most two threads take a network each. Measured: of more the actor, which has a twelfth more to do than a
// critic of its size, costs what fewer meetings gain.
constexpr int kShardsOfThreadEach = 5;

// Whether neither network is a fifth larger than the other: its thread would be waited for.
bool balanced(const MlpLayout& layout) {
  const auto [fewer, more] =
      std::minmax({parameter_count(layout.actor), parameter_count(layout.critic)});
  return 5 * more <= 6 * fewer;
}

class FusedLearner final : public Learner {
 public:
  explicit FusedLearner(const LearnerContext& context)
      : c_(context),
        o_(*context.options),
        layout_(context.weights->layout),
        groups_(groups_of_rank(context.groups, *context.group)),
        alone_(groups_ == 1 && context.group->world_size() == 1),
        chunks_(norm_chunks(layout_.size)),
        ranges_(std::min(chunks_, kRangesOfThread * context.pool->threads())),
        may_thread_each_(alone_ && separate() && c_.pool->threads() == 2 && balanced(layout_)) {
    if (!alone_) group_gradients_.resize(static_cast<std::size_t>(layout_.size) * groups_);
    gradient_.resize(static_cast<std::size_t>(layout_.size));
    norm_parts_.resize(static_cast<std::size_t>(chunks_));
    if (may_thread_each_) find_shared_chunks();
  }

  UpdateStats update(const RolloutBuffer& buffer, std::int64_t update,
                     double learning_rate) override;

 private:
  struct Minibatch {
    const std::uint32_t* order;  // group k's units at order[k * group_units_ + r]
    int units;                   // of one group
    double total;                // samples of all groups on all ranks
    float advantage_mean = 0.0f, advantage_scale = 1.0f;
    float inv_n;
  };

  std::int64_t units_of_group(const RolloutBuffer& b) const {
    return std::int64_t{b.memory_columns > 0 ? b.sequences() : b.horizon} * (b.num_envs / groups_);
  }
  int shards_of(int units) const {
    return minibatch_shards(units, shard_units(layout_.shape), layout_.size);
  }
  void draw_orders(const RolloutBuffer& b, std::int64_t update, int first, int epochs);
  std::vector<double> sum_groups(const std::vector<double>& parts, const char* what);
  LossSums minibatch_gradient(const RolloutBuffer& b, const Minibatch& mb);
  void compute_shard(const MinibatchTask& task, const Minibatch& mb, int shards, int index,
                     ShardPart part);
  void network_gradient(const MinibatchTask& task, const Minibatch& mb, int shards, ShardPart part);
  std::vector<Minibatch> cut_epochs(const RolloutBuffer& b, int epochs);
  std::vector<double> sum_advantages(const RolloutBuffer& b, const std::vector<Minibatch>& cut,
                                     const std::vector<double>& means, bool squared,
                                     const char* what);
  void make_shards(int count);
  void reduce_shards(int shards);
  void add_shards(int group, int shards, std::int64_t begin, std::int64_t end, float* sum);
  void add_groups();
  void finish_gradient(int range);
  void find_shared_chunks();
  void clear_frozen(std::int64_t begin, std::int64_t end);
  void add_squares(std::int64_t chunk);
  double gradient_norm_squared() const;
  void apply_adam(double norm, double learning_rate);
  void take_step(const AdamStep& step, std::int64_t begin, std::int64_t end);
  void take_step(const AdamStep& step, ShardPart part);
  // Whether a shard's networks can be computed one by one.
  bool separate() const {
    return layout_.shape.trunk == Trunk::kSeparate && layout_.shape.memory == MemoryKind::kNone;
  }
  // With thread_each_: body(part) for both networks, each by a thread.
  template <class Body>
  void each_network(Body&& body) {
    c_.pool->run(2, [&](int n) { body(n == 0 ? ShardPart::kActor : ShardPart::kCritic); });
  }
  std::int64_t chunk_end(std::int64_t chunk) const {
    return std::min<std::int64_t>(chunk + kNormChunk, layout_.size);
  }
  // Calls body(chunk) for each of the norm's chunks that lies in the range.
  template <class Body>
  void for_chunks(const ParamRange& r, Body&& body) const {
    for (std::int64_t chunk = (r.begin + kNormChunk - 1) / kNormChunk * kNormChunk;
         chunk < r.end && chunk_end(chunk) <= r.end; chunk += kNormChunk)
      body(chunk);
  }
  // The parameters of a range: whole chunks of the norm, the same in every loop, so that they stay in a thread's cache.
  std::int64_t range_begin(int range) const {
    const std::int64_t chunk = std::int64_t{chunks_} * range / ranges_;
    return std::min(chunk * kNormChunk, layout_.size);
  }

  LearnerContext c_;
  const PpoOptions& o_;
  const MlpLayout& layout_;
  std::vector<std::unique_ptr<Shard>> shards_;
  int groups_;  // of this rank
  bool alone_;  // no other group, here or elsewhere
  int chunks_, ranges_;
  // Two threads have a network each: what one does for a minibatch, from the last one's Adam step to this one's norm, needs nothing
  // of the other, so that they meet once a minibatch. The step then waits until the threads come to their networks again.
  bool may_thread_each_, thread_each_ = false;
  std::vector<std::int64_t> shared_chunks_;  // of the norm, that lie in neither network alone
  std::optional<AdamStep> waiting_;
  std::int64_t group_units_ = 0;
  AlignedVector<float> group_gradients_;  // [groups_][parameters]
  AlignedVector<float> gradient_;
  std::vector<double> norm_parts_;    // [chunks_] sums of squares
  std::vector<std::uint32_t> order_;  // [epochs at once][groups_][group_units_]
  SampleRows rows_;                   // of the rollout in hand, if it has any
  bool has_rows_ = false;
};

// Each group's own permutation of its units (trainer/fused/shard.h) in epochs first, first + 1, ...; entries name units of this rank.
void FusedLearner::draw_orders(const RolloutBuffer& b, std::int64_t update, int first, int epochs) {
  order_.resize(static_cast<std::size_t>(group_units_ * groups_ * epochs));
  c_.pool->run(groups_ * epochs, [&](int task) {
    const int epoch = first + task / groups_, k = task % groups_;
    std::uint32_t* order = order_.data() + task * group_units_;
    minibatch_order(c_.seed, c_.group->rank() * groups_ + k, update, epoch,
                    static_cast<std::uint32_t>(group_units_), order);
    if (groups_ == 1) return;
    for (std::int64_t r = 0; r < group_units_; ++r)
      order[r] = group_sample(order[r], k, groups_, b.num_envs);
  });
}

UpdateStats FusedLearner::update(const RolloutBuffer& b, std::int64_t update,
                                 double learning_rate) {
  UpdateStats stats;
  LossSums total;
  double count = 0;
  int minibatches = 0;
  stats.explained_variance =
      explained_variance(spreads_of(b, groups_, *c_.pool), groups_, *c_.group);
  // (First what is needed has its memory.)
  group_units_ = units_of_group(b);
  const int shards = shards_of(static_cast<int>(group_units_ / o_.minibatches)) * groups_;
  make_shards(shards);
  thread_each_ = may_thread_each_ && shards <= kShardsOfThreadEach;
  has_rows_ = rows_.fill(b, *c_.pool);
  const auto together = static_cast<int>(
      std::clamp<std::int64_t>(kOrderedTogether / (group_units_ * groups_), 1, o_.epochs));
  std::vector<Minibatch> cut;
  for (int epoch = 0; epoch < o_.epochs; ++epoch) {
    const int ordered = epoch % together;
    if (ordered == 0) {
      const int epochs = std::min(together, o_.epochs - epoch);
      draw_orders(b, update, epoch, epochs);
      cut = cut_epochs(b, epochs);
    }
    double epoch_kl = 0;
    for (int m = 0; m < o_.minibatches; ++m) {
      const Minibatch& mb = cut[static_cast<std::size_t>(ordered * o_.minibatches + m)];
      const LossSums sums = minibatch_gradient(b, mb);
      const double norm = std::sqrt(gradient_norm_squared());
      if (m == 0 && epoch == 0) stats.first_ratio_error = sums.ratio_error;
      if (!may_step(norm, sums.policy + sums.value, o_.max_skipped, "policy", *c_.optimizer)) {
        ++stats.skipped;
        continue;
      }
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
  if (waiting_) {
    each_network([&](ShardPart part) { take_step(*waiting_, part); });
    waiting_.reset();
  }
  stats.policy_loss = total.policy / count;
  stats.value_loss = total.value / count;
  stats.entropy = total.entropy / count;
  stats.clip_fraction = total.clipped / count;
  stats.grad_norm /= minibatches;
  return stats;
}

// parts [groups_][n]: each of the n numbers added over the groups of all ranks, in group order. One collective.
std::vector<double> FusedLearner::sum_groups(const std::vector<double>& parts, const char* what) {
  const std::size_t n = parts.size() / static_cast<std::size_t>(groups_);
  const std::string mine(reinterpret_cast<const char*>(parts.data()),
                         parts.size() * sizeof(double));
  std::vector<double> sums(n);
  for (const std::string& part : c_.group->all_gather(mine, what)) {
    for (std::size_t i = 0; i < part.size() / sizeof(double); ++i) {
      double value;
      std::memcpy(&value, part.data() + i * sizeof value, sizeof value);
      sums[i % n] += value;
    }
  }
  return sums;
}

// Of each minibatch: its samples' advantages added up, or the squares of their distance from its mean.
std::vector<double> FusedLearner::sum_advantages(const RolloutBuffer& b,
                                                 const std::vector<Minibatch>& cut,
                                                 const std::vector<double>& means, bool squared,
                                                 const char* what) {
  const auto count = static_cast<int>(cut.size());
  std::vector<double> parts(static_cast<std::size_t>(groups_ * count));
  c_.pool->run(groups_ * count, [&](int task) {
    const Minibatch& mb = cut[static_cast<std::size_t>(task % count)];
    const std::uint32_t* unit = mb.order + task / count * group_units_;
    const double mean = means[static_cast<std::size_t>(task % count)];
    const auto unit_sum = [&](std::int64_t r) {
      return advantages_of_unit(b, unit[r], mean, squared);
    };
    double part = 0;
    for (std::int64_t begin = 0; begin < mb.units; begin += kSumChunk)
      part += chunk_sum<kSumLanes>(begin, std::min<std::int64_t>(begin + kSumChunk, mb.units),
                                   unit_sum);
    parts[static_cast<std::size_t>(task)] = part;
  });
  return sum_groups(parts, what);
}

// The ordered epochs' minibatches with the advantages' statistics of each over all ranks: advantages do not change meanwhile, so two
// collectives do for all of them.
std::vector<FusedLearner::Minibatch> FusedLearner::cut_epochs(const RolloutBuffer& b, int epochs) {
  const int units = static_cast<int>(group_units_ / o_.minibatches);
  const double total =
      static_cast<double>(units) * steps_of_unit(b) * groups_ * c_.group->world_size();
  std::vector<Minibatch> cut;
  for (int k = 0; k < epochs * o_.minibatches; ++k) {
    const std::uint32_t* epoch = order_.data() + k / o_.minibatches * groups_ * group_units_;
    cut.push_back({.order = epoch + static_cast<std::int64_t>(k % o_.minibatches) * units,
                   .units = units,
                   .total = total,
                   .inv_n = static_cast<float>(1.0 / total)});
  }
  if (!o_.normalize_advantages) return cut;
  std::vector<double> means =
      sum_advantages(b, cut, std::vector<double>(cut.size()), false, "advantage means");
  for (double& mean : means) mean /= total;
  const std::vector<double> squares = sum_advantages(b, cut, means, true, "advantage variances");
  for (std::size_t m = 0; m < cut.size(); ++m) {
    cut[m].advantage_mean = static_cast<float>(means[m]);
    cut[m].advantage_scale = static_cast<float>(1.0 / (std::sqrt(squares[m] / total) + 1e-8));
  }
  return cut;
}

void FusedLearner::make_shards(int count) {
  const int missing = count - static_cast<int>(shards_.size());
  if (missing <= 0) return;
  check_shard_memory(layout_.size, missing, shards_.empty() ? c_.pool->threads() : 0);
  while (static_cast<int>(shards_.size()) < count)
    shards_.push_back(std::make_unique<Shard>(layout_));
}

LossSums FusedLearner::minibatch_gradient(const RolloutBuffer& b, const Minibatch& mb) {
  const int shards = shards_of(mb.units);
  static std::atomic<std::uint64_t> version{0};
  const MinibatchTask task{o_,
                           *c_.weights,
                           ++version,
                           c_.bf16,
                           b,
                           mb.advantage_mean,
                           mb.advantage_scale,
                           mb.inv_n,
                           has_rows_ ? &rows_ : nullptr};
  const int all = shards * groups_;
  if (thread_each_) {
    each_network([&](ShardPart part) { network_gradient(task, mb, shards, part); });
    waiting_.reset();
    for (const std::int64_t chunk : shared_chunks_) add_squares(chunk);
  } else {
    const bool two = separate() && networks_apart(all, c_.pool->threads());
    c_.pool->run(two ? 2 * all : all, [&](int number) {
      compute_shard(task, mb, shards, number % all,
                    !two           ? ShardPart::kAll
                    : number < all ? ShardPart::kActor
                                   : ShardPart::kCritic);
    });
    reduce_shards(shards);
  }
  LossSums sums;
  std::vector<double> parts;
  for (int k = 0; k < groups_; ++k) {
    LossSums group;
    for (int s = 0; s < shards; ++s)
      group.add(shards_[static_cast<std::size_t>(k * shards + s)]->losses());
    parts.insert(parts.end(), {group.policy, group.value, group.entropy, group.kl, group.clipped});
    sums.add(group);
  }
  if (alone_) return sums;
  const std::vector<double> totals = sum_groups(parts, "loss sums");
  sums.policy = totals[0];
  sums.value = totals[1];
  sums.entropy = totals[2];
  sums.kl = totals[3];
  sums.clipped = totals[4];
  return sums;
}

// Shard `index` of all groups'.
void FusedLearner::compute_shard(const MinibatchTask& task, const Minibatch& mb, int shards,
                                 int index, ShardPart part) {
  const std::int64_t s = index % shards;
  const auto begin = static_cast<int>(mb.units * s / shards);
  const auto end = static_cast<int>(mb.units * (s + 1) / shards);
  shards_[static_cast<std::size_t>(index)]->compute(
      task, mb.order + index / shards * group_units_ + begin, end - begin, mb.units - end, part);
}

// All that a network needs of a minibatch without the other: the step that waits, its shards, their sum, the squares of the chunks
// that are its alone.
void FusedLearner::network_gradient(const MinibatchTask& task, const Minibatch& mb, int shards,
                                    ShardPart part) {
  if (waiting_) take_step(*waiting_, part);
  for (int s = 0; s < shards; ++s) compute_shard(task, mb, shards, s, part);
  const PartRanges ranges = part_ranges(layout_, part);
  for (const ParamRange& r : {ranges.network, ranges.deviations}) {
    add_shards(0, shards, r.begin, r.end, gradient_.data());
    clear_frozen(r.begin, r.end);
    for_chunks(r, [&](std::int64_t chunk) { add_squares(chunk); });
  }
}

void FusedLearner::find_shared_chunks() {
  std::vector<bool> alone(static_cast<std::size_t>(chunks_));
  for (const ShardPart part : {ShardPart::kActor, ShardPart::kCritic}) {
    const PartRanges ranges = part_ranges(layout_, part);
    for (const ParamRange& r : {ranges.network, ranges.deviations}) {
      for_chunks(r, [&](std::int64_t chunk) {
        alone[static_cast<std::size_t>(chunk / kNormChunk)] = true;
      });
    }
  }
  for (std::int64_t chunk = 0; chunk < layout_.size; chunk += kNormChunk) {
    if (!alone[static_cast<std::size_t>(chunk / kNormChunk)]) shared_chunks_.push_back(chunk);
  }
}

// gradient_, and its norm's parts, from those of the shards.
void FusedLearner::reduce_shards(int shards) {
  c_.pool->run(ranges_ * groups_, [&](int task) {
    const int k = task / ranges_, range = task % ranges_;
    float* sum = alone_ ? gradient_.data() : group_gradients_.data() + k * layout_.size;
    add_shards(k, shards, range_begin(range), range_begin(range + 1), sum);
    if (alone_) finish_gradient(range);
  });
  if (alone_) return;
  add_groups();
  c_.pool->run(ranges_, [&](int range) { finish_gradient(range); });
}

// sum[0 .. kWide) = that of each shard from `at` on, added in order in registers: of a loop over arrays g++ 12 makes scalars.
using Lanes __attribute__((vector_size(32))) = float;
constexpr int kLanes = 8, kVectors = 8, kWide = kLanes * kVectors;

void add_columns(const std::unique_ptr<Shard>* shards, int count, std::int64_t at, float* sum) {
  Lanes total[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v)
    std::memcpy(&total[v], shards[0]->gradient.data() + at + v * kLanes, sizeof(Lanes));
  for (int s = 1; s < count; ++s) {
    const float* part = shards[s]->gradient.data() + at;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      Lanes more;
      std::memcpy(&more, part + v * kLanes, sizeof more);
      total[v] += more;
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) std::memcpy(sum + v * kLanes, &total[v], sizeof(Lanes));
}

// A part of a group's gradient: shard 0 + shard 1 + ... in that order.
void FusedLearner::add_shards(int group, int shards, std::int64_t begin, std::int64_t end,
                              float* sum) {
  const std::unique_ptr<Shard>* first = shards_.data() + group * shards;
  std::int64_t at = begin;
  for (; at + kWide <= end; at += kWide) add_columns(first, shards, at, sum + at);
  for (; at < end; ++at) {
    sum[at] = first[0]->gradient[static_cast<std::size_t>(at)];
    for (int s = 1; s < shards; ++s) sum[at] += first[s]->gradient[static_cast<std::size_t>(at)];
  }
}

void FusedLearner::finish_gradient(int range) {
  const std::int64_t begin = range_begin(range), end = range_begin(range + 1);
  clear_frozen(begin, end);
  for (std::int64_t chunk = begin; chunk < end; chunk += kNormChunk) add_squares(chunk);
}

void FusedLearner::clear_frozen(std::int64_t begin, std::int64_t end) {
  for (const ParamRange& r : c_.frozen) {
    const std::int64_t from = std::max(begin, r.begin), to = std::min(end, r.end);
    if (from < to) std::fill(gradient_.begin() + from, gradient_.begin() + to, 0.0f);
  }
}

// The norm in float64 lanes and chunks: fast, and the same on every machine. chunk: where it begins.
void FusedLearner::add_squares(std::int64_t chunk) {
  const float* g = gradient_.data();
  norm_parts_[static_cast<std::size_t>(chunk / kNormChunk)] = chunk_sum<kNormLanes>(
      chunk, chunk_end(chunk),
      [g](std::int64_t i) { return static_cast<double>(g[i]) * static_cast<double>(g[i]); });
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

double FusedLearner::gradient_norm_squared() const {
  double sum = 0;
  for (const double part : norm_parts_) sum += part;
  return sum;
}

void FusedLearner::apply_adam(double norm, double learning_rate) {
  OptimizerState& state = *c_.optimizer;
  ++state.step;
  const AdamStep step = adam_step(o_.adam_beta1, o_.adam_beta2, o_.adam_epsilon, learning_rate,
                                  state.step, clip_scale(o_.max_grad_norm, norm));
  if (thread_each_) {
    waiting_ = step;
    return;
  }
  c_.pool->run(ranges_,
               [&](int range) { take_step(step, range_begin(range), range_begin(range + 1)); });
}

void FusedLearner::take_step(const AdamStep& step, std::int64_t begin, std::int64_t end) {
  OptimizerState& state = *c_.optimizer;
  adam_range(step, gradient_.data(), begin, end, c_.weights->params.data(), state.first.data(),
             state.second.data());
}

void FusedLearner::take_step(const AdamStep& step, ShardPart part) {
  const PartRanges ranges = part_ranges(layout_, part);
  for (const ParamRange& r : {ranges.network, ranges.deviations}) take_step(step, r.begin, r.end);
}

}  // namespace

std::unique_ptr<Learner> make_fused_learner(const LearnerContext& context) {
  RM_ASSERT(!context.cuda);
  return std::make_unique<FusedLearner>(context);
}

}  // namespace rollmill
