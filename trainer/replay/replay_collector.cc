#include "trainer/replay/replay_collector.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "core/base/assert.h"
#include "core/base/thread_pool.h"
#include "envs/device_batch.h"

namespace rollmill {
namespace {

// A step of fewer environments costs less than waking another thread.
constexpr int kSmallestBlock = 8 * kTileRows;

// Ranks on this machine, this one included: those that see the same start of its kernel.
int ranks_here(ProcessGroup& group) {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  const std::string mine{std::istreambuf_iterator<char>(in), {}};
  const std::vector<std::string> all = group.all_gather(mine, "machines of the ranks");
  return static_cast<int>(std::count(all.begin(), all.end(), mine));
}

ReplayConfig with_copies(ReplayConfig config, ProcessGroup& group) {
  if (group.world_size() > 1) config.copies = ranks_here(group);
  return config;
}

}  // namespace

ReplayCollector::ReplayCollector(const EnvEntry& env, const BatchConfig& config,
                                 const DeviceChoice& device, const ReplayConfig& replay,
                                 ThreadPool& pool, ProcessGroup& group)
    : batch_(make_batch(env, config, &pool, device, 0)),
      rollout_(batch_->spec(), 1, config.num_envs),
      replay_(batch_->spec(), with_copies(replay, group)),
      pool_(pool),
      block_(std::max(kSmallestBlock,
                      (config.num_envs / pool.threads() + kTileRows) / kTileRows * kTileRows)) {
  RM_ASSERT(!batch_->on_device() && batch_->stride() == rollout_.buffer().stride);
  RM_ASSERT(replay.num_envs == config.num_envs * group.world_size());
  if (group.world_size() > 1) exchange_.emplace(batch_->spec(), config.num_envs, group);
  final_masks_.resize(static_cast<std::size_t>(batch_->spec().mask_columns * batch_->stride()));
}

void ReplayCollector::reset() {
  const RolloutBuffer& b = rollout_.buffer();
  batch_->reset(b.observation_slot(0), b.mask_slot(0));
  const RolloutBuffer& all = exchange_ ? exchange_->gather_start(b) : b;
  replay_.start(all.observation_slot(0), all.mask_slot(0), all.stride);
}

void ReplayCollector::step(const Policy& policy, std::vector<EpisodeRecord>& finished) {
  const RolloutBuffer& b = rollout_.buffer();
  const EpisodeColumns keys = batch_->episodes();
  StepBuffers buffers = b.step_buffers(0);
  buffers.final_masks = final_masks_.empty() ? nullptr : final_masks_.data();
  const int blocks = (b.num_envs + block_ - 1) / block_;
  times_.resize(static_cast<std::size_t>(blocks));
  const auto start = Clock::now();
  pool_.run(blocks, [&](int task) {
    const auto begun = Clock::now();
    ActRequest q = request_for_slot(b, 0);
    q.keys = keys;
    q.batch = batch_.get();
    q.begin = task * block_;
    q.end = std::min(b.num_envs, q.begin + block_);
    q.logprobs = q.values = nullptr;
    policy.act(q);
    const auto acted = Clock::now();
    batch_->step_range(buffers, q.begin, q.end);
    const auto stepped = Clock::now();
    times_[static_cast<std::size_t>(task)] = {stepped - acted, stepped - begun};
  });
  const std::chrono::duration<double> passed = Clock::now() - start;
  BlockTime total;
  for (const BlockTime& time : times_) {
    total.environment += time.environment;
    total.all += time.all;
  }
  environment_seconds_ += passed.count() * static_cast<double>(total.environment.count()) /
                          static_cast<double>(std::max<std::int64_t>(1, total.all.count()));
  if (exchange_) {
    exchange_->add(b, buffers.final_masks);
    if (exchange_->full()) share(finished);
  } else {
    store(b, buffers.final_masks, finished);
  }
  advance_rollout(b);
}

void ReplayCollector::share(std::vector<EpisodeRecord>& finished) {
  if (!exchange_) return;
  exchange_->exchange(
      [&](const RolloutBuffer& step) { store(step, exchange_->final_masks(), finished); });
}

void ReplayCollector::store(const RolloutBuffer& b, const Word* final_masks,
                            std::vector<EpisodeRecord>& finished) {
  replay_.push(b, final_masks);
  for (int i = 0; i < b.num_envs; ++i) {
    if (b.ends[i] == kRunning) continue;
    finished.push_back(
        {b.episode_returns[i], b.episode_lengths[i], b.outcomes[i], b.episode_levels[i], 0.0f});
  }
}

std::function<void()> ReplayCollector::read(const H5Group& root, const std::string& path) {
  return [this, restore = replay_.read(root, path)] {
    restore();
    // The observations of the next step: a function of the states, which are restored already.
    const RolloutBuffer& b = rollout_.buffer();
    batch_->observe(b.observation_slot(0), b.mask_slot(0));
  };
}

}  // namespace rollmill
