#include "generators/episode_runner.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "core/base/error.h"
#include "core/base/thread_pool.h"

namespace rollmill {
namespace {

constexpr int kLanesPerBlock = 256;
constexpr int kWindow = 32;  // steps between two looks at what ended

struct Plan {
  int lanes, blocks;
};

Plan plan_for(const EpisodeJob& job, int threads) {
  // A few blocks a thread, so that a slow one does not keep the others waiting; small jobs get small blocks.
  const std::int64_t wanted = std::int64_t{4} * threads * kLanesPerBlock;
  const int lanes = static_cast<int>(std::clamp<std::int64_t>(job.count, 1, wanted));
  const int per_block = std::clamp((lanes + 4 * threads - 1) / (4 * threads), 16, kLanesPerBlock);
  return {lanes, (lanes + per_block - 1) / per_block};
}

// One block of lanes: its own batch and buffers, so that blocks share nothing.
class Block {
 public:
  Block(const EpisodeJob& job, int lanes, int begin, int end, bool record, int index,
        const EpisodeSink& sink)
      : job_(job), lanes_(lanes), count_(end - begin), record_(record), index_(index), sink_(sink) {
    BatchConfig config;
    config.num_envs = count_;
    config.seed = job.seed;
    config.environment_stride = 0;
    config.first_episode = static_cast<std::uint32_t>(job.first + begin);
    config.episode_offset = 1;
    config.episode_stride = static_cast<std::uint32_t>(lanes);
    // An environment without a time limit gets the job's: an endless episode must not hang it.
    config.time_limit = job.time_limit == 0 ? static_cast<int>(job.max_steps) : job.time_limit;
    config.params = job.params;
    config.world = job.world;
    config.trace_steps = job.trace_steps;
    batch_ = job.env->make_cpu(config, nullptr);
    rollout_ = std::make_unique<HostRollout>(batch_->spec(), kWindow, count_);
    width_ = rollout_->buffer().observation_columns + rollout_->buffer().action_size() + 1 +
             (job.policy_outputs ? 2 : 0);
    for (int l = 0; l < count_; ++l) {
      episode_.push_back(job.first + begin + l);
      if (episode_.back() < job.first + job.count) ++active_;
    }
    pending_.resize(static_cast<std::size_t>(count_));
  }

  void run() {
    const RolloutBuffer& b = rollout_->buffer();
    batch_->reset(b.observation_slot(0), b.mask_slot(0));
    while (active_ > 0) {
      play_window();
      if (job_.on_faults) {
        if (const auto faults = batch_->take_faults(); faults.count > 0) job_.on_faults(faults);
      }
      for (int l = 0; l < count_; ++l) drain_lane(l);
      std::memcpy(b.observation_slot(0), b.observation_slot(kWindow),
                  static_cast<std::size_t>(b.observation_columns * b.stride) * sizeof(float));
    }
  }

 private:
  void play_window() {
    const RolloutBuffer& b = rollout_->buffer();
    ActRequest q;
    q.stride = b.stride;
    q.keys = batch_->episodes();
    q.batch = batch_.get();
    q.begin = 0;
    q.end = count_;
    for (int t = 0; t < kWindow; ++t) {
      q.observations = b.observation_slot(t);
      q.masks = b.mask_slot(t);
      q.actions = b.action_slot(t);
      if (job_.policy_outputs) {
        q.logprobs = b.logprobs + t * b.stride;
        q.values = b.values + t * b.stride;
      }
      job_.policy->act(q);
      batch_->step_range(b.step_buffers(t), 0, count_);
    }
  }

  void drain_lane(int lane) {
    if (episode_[lane] >= job_.first + job_.count) return;
    const RolloutBuffer& b = rollout_->buffer();
    const std::int64_t first = 0;
    std::int64_t begin = first;
    for (int t = 0; t < kWindow; ++t) {
      const std::uint8_t end = b.ends[t * b.stride + lane];
      if (end == kRunning) continue;
      if (record_) append_rows(lane, static_cast<int>(begin), t + 1);
      finish(lane, t, end);
      begin = t + 1;
      if (episode_[lane] >= job_.first + job_.count) {
        --active_;
        return;
      }
    }
    if (record_) append_rows(lane, static_cast<int>(begin), kWindow);
  }

  // Rows [begin, end) of the window, transposed from columns.
  void append_rows(int lane, int begin, int end) {
    const RolloutBuffer& b = rollout_->buffer();
    auto& rows = pending_[lane];
    std::size_t at = rows.size();
    rows.resize(at + static_cast<std::size_t>((end - begin) * width_));
    const auto word = [](const void* column, std::int64_t i) {
      return static_cast<const std::uint32_t*>(column)[i];
    };
    for (int t = begin; t < end; ++t) {
      const float* observation = b.observation_slot(t) + lane;
      for (int k = 0; k < b.observation_columns; ++k) rows[at++] = word(observation, k * b.stride);
      const void* action = b.action_slot(t);
      for (int k = 0; k < b.action_size(); ++k) rows[at++] = word(action, k * b.stride + lane);
      rows[at++] = word(b.rewards + t * b.stride, lane);
      if (job_.policy_outputs) {
        rows[at++] = word(b.logprobs + t * b.stride, lane);
        rows[at++] = word(b.values + t * b.stride, lane);
      }
    }
  }

  void finish(int lane, int t, std::uint8_t end) {
    const RolloutBuffer& b = rollout_->buffer();
    const std::int64_t at = t * b.stride + lane;
    EpisodeRows rows{
        episode_[lane],
        record_ ? pending_[lane].data() : nullptr,
        width_,
        {b.episode_returns[at], b.episode_lengths[at], b.outcomes[at], end == kTerminated},
        {}};
    if (record_) {
      for (int k = 0; k < b.observation_columns; ++k) {
        rows.final_observation.push_back(
            b.final_observations[(static_cast<std::int64_t>(t) * b.observation_columns + k) *
                                     b.stride +
                                 lane]);
      }
    }
    sink_(index_, rows);
    pending_[lane].clear();
    episode_[lane] += lanes_;
  }

  const EpisodeJob& job_;
  int lanes_, count_;
  bool record_;
  int index_, width_ = 0, active_ = 0;
  const EpisodeSink& sink_;
  std::unique_ptr<EnvBatch> batch_;
  std::unique_ptr<HostRollout> rollout_;
  std::vector<std::int64_t> episode_;
  std::vector<std::vector<std::uint32_t>> pending_;
};

}  // namespace

int episode_blocks(const EpisodeJob& job, const ThreadPool& pool) {
  return plan_for(job, pool.threads()).blocks;
}

void run_episodes(const EpisodeJob& job, bool record_rows, ThreadPool& pool,
                  const EpisodeSink& sink) {
  if (job.count <= 0) return;
  if (job.first + job.count > std::numeric_limits<std::uint32_t>::max()) {
    fail_usage("episode numbers end at 2^32 - 1; this job asks for " +
               std::to_string(job.first + job.count));
  }
  const Plan plan = plan_for(job, pool.threads());
  // Threads take the next block when they are done with one: blocks differ in length.
  std::atomic<int> next{0};
  pool.run(pool.threads(), [&](int) {
    for (int b = next++; b < plan.blocks; b = next++) {
      const auto begin = static_cast<int>(static_cast<std::int64_t>(plan.lanes) * b / plan.blocks);
      const auto end =
          static_cast<int>(static_cast<std::int64_t>(plan.lanes) * (b + 1) / plan.blocks);
      Block(job, plan.lanes, begin, end, record_rows, b, sink).run();
    }
  });
}

}  // namespace rollmill
