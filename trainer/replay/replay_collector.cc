#include "trainer/replay/replay_collector.h"

#include <algorithm>

#include "core/base/assert.h"
#include "core/base/thread_pool.h"
#include "envs/device_batch.h"

namespace rollmill {
namespace {

// A step of fewer environments costs less than waking another thread.
constexpr int kSmallestBlock = 8 * kTileRows;

}  // namespace

ReplayCollector::ReplayCollector(const EnvEntry& env, const BatchConfig& config,
                                 const DeviceChoice& device, const ReplayConfig& replay,
                                 ThreadPool& pool)
    : batch_(make_batch(env, config, &pool, device, 0)),
      rollout_(batch_->spec(), 1, config.num_envs),
      replay_(batch_->spec(), replay),
      pool_(pool),
      block_(std::max(kSmallestBlock,
                      (config.num_envs / pool.threads() + kTileRows) / kTileRows * kTileRows)) {
  RM_ASSERT(!batch_->on_device() && batch_->stride() == rollout_.buffer().stride);
  final_masks_.resize(static_cast<std::size_t>(batch_->spec().mask_columns * batch_->stride()));
}

void ReplayCollector::reset() {
  const RolloutBuffer& b = rollout_.buffer();
  batch_->reset(b.observation_slot(0), b.mask_slot(0));
  replay_.start(b.observation_slot(0), b.mask_slot(0), b.stride);
}

void ReplayCollector::step(const Policy& policy, std::vector<EpisodeRecord>& finished) {
  const RolloutBuffer& b = rollout_.buffer();
  const EpisodeColumns keys = batch_->episodes();
  StepBuffers buffers = b.step_buffers(0);
  buffers.final_masks = final_masks_.empty() ? nullptr : final_masks_.data();
  pool_.run((b.num_envs + block_ - 1) / block_, [&](int task) {
    ActRequest q = request_for_slot(b, 0);
    q.keys = keys;
    q.batch = batch_.get();
    q.begin = task * block_;
    q.end = std::min(b.num_envs, q.begin + block_);
    q.logprobs = q.values = nullptr;
    policy.act(q);
    batch_->step_range(buffers, q.begin, q.end);
  });
  replay_.push(b, buffers.final_masks);
  for (int i = 0; i < b.num_envs; ++i) {
    if (b.ends[i] == kRunning) continue;
    finished.push_back(
        {b.episode_returns[i], b.episode_lengths[i], b.outcomes[i], b.episode_levels[i], 0.0f});
  }
  advance_rollout(b);
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
