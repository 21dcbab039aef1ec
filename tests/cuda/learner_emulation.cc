#include "tests/cuda/emulation.h"  // before the kernels: it defines CUDA's words

#include "tests/cuda/learner_emulation.h"

#include <algorithm>
#include <mutex>

#include "rollout/mlp/acting_weights.h"
#include "rollout/mlp/policy_tile.cuh"
#include "trainer/fused/learner_sequence.cuh"

namespace rollmill::testing {
namespace {

// launch() of trainer/fused/learner_sequence.cuh, with the blocks and threads of a GPU. Ranks take turns: what a kernel sees as its
// place in the grid is there once in a process.
struct EmulatedLearnLaunch {
  static inline std::mutex one_launch;
  ProcessGroup* group;
  void gather(void* all, std::int64_t bytes, const char* what) const {
    group->all_gather_device(all, bytes, nullptr, what);
  }
  template <class... Parameters, class... Arguments>
  void operator()(const char*, void (*kernel)(Parameters...), std::int64_t blocks, int threads,
                  std::size_t shared_floats, Arguments... arguments) const {
    const std::lock_guard lock(one_launch);
    emulate(static_cast<unsigned>(blocks), 1, threads, shared_floats,
            [&] { kernel(static_cast<Parameters>(arguments)...); });
  }
};

}  // namespace

struct EmulatedLearner::Parts {
  Parts(const PpoOptions& options, PolicyWeights& weights, OptimizerState& optimizer,
        const RolloutBuffer& buffer, std::uint64_t seed, std::vector<ParamRange> frozen, int groups,
        ProcessGroup& group, Products products)
      : o_(options),
        group_(group),
        weights_(weights),
        optimizer_(optimizer),
        seed_(seed),
        frozen_(std::move(frozen)),
        elements_(weights.layout.shape.observed),
        statistics_(plain_statistics(options)) {
    const MlpLayout& layout = weights.layout;
    const PolicyShape& shape = layout.shape;
    DevicePolicy& p = task_.policy;
    p.unpack = {shape.observed.kind, shape.observed.elements, elements_.column_of.data(),
                elements_.choice_of.data()};
    p.frame_stack = shape.frame_stack;
    p.observation_columns = shape.observed.columns;
    p.observations = shape.observations();
    p.choices = shape.choices.data();
    p.choice_columns = static_cast<int>(shape.choices.size());
    p.reals = shape.reals;
    p.activation = shape.activation;
    p.trunk = shape.trunk;
    p.distribution = shape.distribution;
    p.outputs = shape.outputs();
    transposed_.resize(static_cast<std::size_t>(set_task(layout, buffer, o_, groups,
                                                         group.world_size(), task_, products)) +
                       16);
    parts_.resize(static_cast<std::size_t>(groups * task_.shards * layout.size));
    sums_.resize(static_cast<std::size_t>(groups * task_.shards));
    gradient_.resize(static_cast<std::size_t>(layout.size));
    order_.resize(static_cast<std::size_t>(order_size(task_) * order_epochs(task_, o_)));
    keys_.resize(static_cast<std::size_t>(o_.epochs * groups));
    advantage_parts_.resize(
        static_cast<std::size_t>(groups * o_.minibatches * sum_chunks(task_.units)));
    advantage_sums_.resize(static_cast<std::size_t>(task_.all_groups * o_.minibatches));
    if (!is_alone(task_))
      told_.resize(static_cast<std::size_t>(told_bytes(task_) * group.world_size()));
    norm_parts_.resize(static_cast<std::size_t>(norm_chunks(layout.size) * (kNormLanes + 1)));
    task_.settings = &settings_;
    learn_from(buffer);
    task_.transposed = transposed_.data();
    task_.parts = parts_.data();
    task_.sums = sums_.data();
    const std::int64_t kept = shard_kernel_of(task_).kept_floats;
    if (kept == 0) return;
    task_.resident_blocks = std::min(3, groups * task_.shards);  // they go through several shards
    kept_.assign(static_cast<std::size_t>(task_.resident_blocks * kept), EmulatedBlock::kPoison);
    task_.kept = kept_.data();
    task_.kept_floats = kept;
  }

  void learn_from(const RolloutBuffer& buffer) {
    DevicePolicy& p = task_.policy;
    task_.buffer = buffer;
    p.params = weights_.params.data();
    if (!weights_.normalizer.enabled()) return;
    p.shift = weights_.normalizer.shift();
    p.scale = weights_.normalizer.scale();
    p.clip = weights_.normalizer.clip();
  }

  UpdateStats update(std::int64_t number, double learning_rate) {
    settings_ = {o_, learning_rate};
    state_ = {};
    state_.step = optimizer_.step;
    const bool computed = task_.samples >= kShuffledFrom;
    for (int epoch = 0; epoch < o_.epochs; ++epoch) {
      write_order(task_, seed_, group_.rank(), number, epoch, keys_.data() + epoch * task_.groups,
                  order_.data() + (computed ? 0 : epoch * order_size(task_)));
      launch_epoch(EmulatedLearnLaunch{&group_}, task_, arrays(), o_, frozen_, epoch);
    }
    optimizer_.step = state_.step;
    return stats_of(state_, o_.epochs);
  }

  std::pair<std::vector<float>, LossSums> one_shard(const std::vector<std::uint32_t>& units) {
    settings_ = {o_, 0.0};
    LearnTask task = task_;
    task.shards = 1;
    task.units = static_cast<int>(units.size());
    task.order = units.data();
    task.advantage = statistics_.data();
    launch_minibatch(EmulatedLearnLaunch{&group_}, task, arrays(), {}, true);
    return {{parts_.begin(), parts_.begin() + task.parameters}, sums_.front()};
  }

  void act() {
    const RolloutBuffer& b = task_.buffer;
    const ActingWeights acting =
        acting_weights(weights_.layout, weights_.params.data(), task_.products);
    DevicePolicy p = task_.policy;
    p.actor = acting.actor;
    p.critic = acting.critic;
    p.params = acting.values.data();
    p.products = task_.products;
    p.mask_columns = b.mask_columns;
    p.log_std = weights_.layout.has_log_std() ? p.params + acting.log_std : nullptr;
    set_widths(p);
    p.memory_size = weights_.layout.shape.memory_size;
    p.tile_rows = kTensorRows;
    std::vector<float> bounds(static_cast<std::size_t>(p.reals), 1.0f);
    p.middle = p.half_range = p.low = p.high = bounds.data();
    std::vector<std::uint32_t> zeros(static_cast<std::size_t>(b.num_envs)), ids = zeros;
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::uint32_t>(i);
    for (int t = 0; t < b.horizon; ++t) {
      std::vector<std::uint32_t> steps(ids.size(), static_cast<std::uint32_t>(t) + 1);
      for (std::size_t i = 0; i < steps.size(); ++i) {
        if (starts_episode(b, t, static_cast<std::int64_t>(i))) steps[i] = 0;
      }
      keep_memory(b, t, steps.data(), 0, b.num_envs);
      ActRequest q = request_for_slot(b, t);
      q.keys = {ids.data(), zeros.data(), steps.data()};
      q.end = b.num_envs;
      emulate(static_cast<unsigned>((b.num_envs + p.tile_rows - 1) / p.tile_rows), 1, 64,
              static_cast<std::size_t>(tile_floats(p)), [&] {
                const BlockTile tile(p, q.begin, q.end);
                act_tile<true>(p, q, tile.begin, tile.rows, shared_memory());
              });
    }
  }

  std::vector<Spread> spreads() {
    std::vector<Spread> all(static_cast<std::size_t>(spread_count(task_)));
    launch_spreads(EmulatedLearnLaunch{&group_}, task_, all.data());
    return all;
  }

  LearnArrays arrays() {
    return {order_.data(),
            keys_.data(),
            statistics_.data(),
            advantage_parts_.data(),
            advantage_sums_.data(),
            is_alone(task_) ? nullptr : told_.data(),
            group_.rank(),
            gradient_.data(),
            weights_.params.data(),
            optimizer_.first.data(),
            optimizer_.second.data(),
            transposed_.data(),
            norm_parts_.data(),
            &state_,
            &plan_};
  }

  const PpoOptions& o_;
  ProcessGroup& group_;
  PolicyWeights& weights_;
  OptimizerState& optimizer_;
  std::uint64_t seed_;
  std::vector<ParamRange> frozen_;
  ChoiceElements elements_;
  LearnTask task_{};
  LearnSettings settings_{};
  LearnState state_{};
  AdamPlan plan_{};
  AlignedVector<float> transposed_, parts_, gradient_, kept_;
  std::vector<LossSums> sums_;
  std::vector<std::uint32_t> order_;
  std::vector<ShuffleKey> keys_;
  std::vector<double> advantage_parts_, advantage_sums_, norm_parts_;
  AlignedVector<std::byte> told_;
  std::vector<float> statistics_;
};

EmulatedLearner::EmulatedLearner(const PpoOptions& options, PolicyWeights& weights,
                                 OptimizerState& optimizer, const RolloutBuffer& buffer,
                                 std::uint64_t seed, std::vector<ParamRange> frozen, int groups,
                                 ProcessGroup& group, Products products)
    : parts_(std::make_unique<Parts>(options, weights, optimizer, buffer, seed, std::move(frozen),
                                     groups, group, products)) {}
EmulatedLearner::~EmulatedLearner() = default;
void EmulatedLearner::learn_from(const RolloutBuffer& buffer) { parts_->learn_from(buffer); }
UpdateStats EmulatedLearner::update(std::int64_t number, double learning_rate) {
  return parts_->update(number, learning_rate);
}
std::pair<std::vector<float>, LossSums> EmulatedLearner::one_shard(
    const std::vector<std::uint32_t>& units) {
  return parts_->one_shard(units);
}
void EmulatedLearner::act() { parts_->act(); }
std::vector<Spread> EmulatedLearner::spreads() { return parts_->spreads(); }

}  // namespace rollmill::testing
