#include "generators/episode_runner.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/log/log.h"
#include "envs/step_kernel.h"

namespace rollmill {
namespace {

constexpr int kLanesPerBlock = 256;
constexpr int kWindow = 32;  // steps between two looks at what ended
// An episode without a time limit that is longer may have no end.
constexpr std::int64_t kLongEpisode = 100'000;
// Rows of one episode, in words, from which on there must be room for them before they double.
constexpr std::size_t kManyWords = std::size_t{1} << 22;

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
    const int limit = job.time_limit < 0 ? job.env->spec().time_limit : job.time_limit;
    unlimited_ = limit == 0;
    config.time_limit = unlimited_ ? static_cast<int>(job.max_steps) : limit;
    config.params = job.params;
    config.world = job.world;
    config.trace_steps = job.trace_steps;
    config.reset_pool = job.reset_pool;
    batch_ = job.env->make_cpu(config, nullptr);
    rollout_ =
        std::make_unique<HostRollout>(batch_->spec(), kWindow, count_, job.policy->frame_stack(),
                                      RolloutMemory{job.policy->memory_columns()});
    width_ = episode_row_words(batch_->spec(), job.policy_outputs);
    for (int l = 0; l < count_; ++l) {
      episode_.push_back(job.first + begin + l);
      if (episode_.back() < job.first + job.count) ++active_;
    }
    pending_.resize(static_cast<std::size_t>(count_));
    sight_.resize(static_cast<std::size_t>(count_));
  }

  void run() {
    const RolloutBuffer& b = rollout_->buffer();
    batch_->reset(b.observation_slot(0), b.mask_slot(0));
    for (std::int64_t steps = kWindow; active_ > 0 && !job_.stopped(); steps += kWindow) {
      play_window();
      blind_ = shows_not_finite();
      if (unlimited_ && steps % (1024 * kWindow) == 0) look_for_endless();
      if (job_.on_faults) {
        if (const auto faults = batch_->take_faults(); faults.count > 0) job_.on_faults(faults);
      }
      for (int l = 0; l < count_; ++l) drain_lane(l);
      advance_rollout(b);
    }
  }

 private:
  void play_window() {
    const RolloutBuffer& b = rollout_->buffer();
    const EpisodeColumns keys = batch_->episodes();
    for (int t = 0; t < kWindow; ++t) {
      count_frames(b, t, keys.step, 0, count_);
      ActRequest q = request_for_slot(b, t);
      q.keys = keys;
      q.batch = batch_.get();
      q.end = count_;
      q.raw_actions = nullptr;
      if (!job_.policy_outputs) q.logprobs = q.values = nullptr;
      job_.policy->act(q);
      batch_->step_range(b.step_buffers(t), 0, count_);
    }
  }

  void look_for_endless() {
    const std::uint32_t* step = batch_->episodes().step;
    const std::uint32_t longest = *std::max_element(step, step + count_);
    if (longest < kLongEpisode || job_.warned->exchange(true)) return;
    log_warn(
        "{}: an episode goes on after {} steps and the environment has no time limit; it will "
        "be cut at {}: set env.time_limit",
        job_.env->id, longest, job_.max_steps);
  }

  // Whether any policy was shown a number that is NaN or infinite in this window.
  bool shows_not_finite() const {
    const RolloutBuffer& b = rollout_->buffer();
    if (batch_->spec().observed.kind != ObservationKind::kReal) return false;
    std::uint32_t largest = 0;
    for (int t = 0; t < kWindow; ++t) {
      for (int k = 0; k < b.observation_columns; ++k) {
        const float* column = b.observation_slot(t) + k * b.stride;
        for (int i = 0; i < count_; ++i) largest = std::max(largest, magnitude_bits(column[i]));
      }
    }
    return largest >= kExponent;
  }

  // The lane's steps [begin, end) of the window are its episode's next ones.
  void take_steps(int lane, int begin, int end) {
    if (record_) append_rows(lane, begin, end);
    const RolloutBuffer& b = rollout_->buffer();
    Sight& s = sight_[static_cast<std::size_t>(lane)];
    for (int t = begin; blind_ && s.blind_step < 0 && t < end; ++t) {
      for (int k = 0; k < b.observation_columns && s.blind_step < 0; ++k) {
        if (magnitude_bits(b.observation_slot(t)[k * b.stride + lane]) < kExponent) continue;
        s.blind_step = s.steps + t - begin;
        s.blind_element = k;
      }
    }
    s.steps += end - begin;
  }

  void drain_lane(int lane) {
    if (episode_[lane] >= job_.first + job_.count) return;
    const RolloutBuffer& b = rollout_->buffer();
    int begin = 0;
    for (int t = 0; t < kWindow; ++t) {
      const std::uint8_t end = b.ends[t * b.stride + lane];
      if (end == kRunning) continue;
      take_steps(lane, begin, t + 1);
      finish(lane, t, end);
      begin = t + 1;
      if (episode_[lane] >= job_.first + job_.count) {
        --active_;
        return;
      }
    }
    take_steps(lane, begin, kWindow);
  }

  // Rows [begin, end) of the window, transposed from columns.
  void append_rows(int lane, int begin, int end) {
    const RolloutBuffer& b = rollout_->buffer();
    auto& rows = pending_[lane];
    std::size_t at = rows.size();
    const std::size_t size = at + static_cast<std::size_t>((end - begin) * width_);
    if (size > rows.capacity() && size > kManyWords) {  // the other lanes' are as long
      check_memory(2 * size * sizeof(Word) * static_cast<std::size_t>(active_),
                   std::to_string(active_) + " episodes of " + job_.env->id + " of more than " +
                       std::to_string(at / static_cast<std::size_t>(width_)) + " steps",
                   "set a lower env.time_limit");
    }
    rows.resize(size);
    const auto add = [&](const void* columns, int count) {
      for (int k = 0; k < count; ++k)
        rows[at++] = static_cast<const Word*>(columns)[k * b.stride + lane];
    };
    for (int t = begin; t < end; ++t) {
      add(b.observation_slot(t), b.observation_columns);
      add(b.mask_slot(t), b.mask_columns);
      add(b.action_slot(t), b.action_size());
      add(b.rewards + t * b.stride, 1);
      if (job_.policy_outputs) {
        add(b.logprobs + t * b.stride, 1);
        add(b.values + t * b.stride, 1);
      }
    }
  }

  void finish(int lane, int t, std::uint8_t end) {
    const RolloutBuffer& b = rollout_->buffer();
    const std::int64_t at = t * b.stride + lane;
    EpisodeRows rows{episode_[lane], record_ ? pending_[lane].data() : nullptr, width_, {}, {}};
    Sight& sight = sight_[static_cast<std::size_t>(lane)];
    rows.summary.episode_return = b.episode_returns[at];
    rows.summary.length = b.episode_lengths[at];
    rows.summary.outcome = b.outcomes[at];
    rows.summary.terminated = end == kTerminated;
    rows.summary.cut = unlimited_ && end == kTruncated;
    rows.summary.blind_step = sight.blind_step;
    rows.summary.blind_element = sight.blind_element;
    sight = {};
    if (record_) {
      const auto* final_words =
          reinterpret_cast<const Word*>(b.final_observations) + t * b.slot_words() + lane;
      for (int k = 0; k < b.observation_columns; ++k)
        rows.final_observation.push_back(final_words[k * b.stride]);
    }
    sink_(index_, rows);
    pending_[lane].clear();
    episode_[lane] += lanes_;
  }

  const EpisodeJob& job_;
  int lanes_, count_;
  bool record_, unlimited_ = false;
  int index_, width_ = 0, active_ = 0;
  const EpisodeSink& sink_;
  std::unique_ptr<EnvBatch> batch_;
  std::unique_ptr<HostRollout> rollout_;
  // What the lane's episode has shown so far.
  struct Sight {
    std::int32_t steps = 0, blind_step = -1, blind_element = -1;
  };
  bool blind_ = false;  // somewhere in this window
  std::vector<std::int64_t> episode_;
  std::vector<Sight> sight_;
  std::vector<std::vector<std::uint32_t>> pending_;
};

}  // namespace

int episode_row_words(const EnvSpec& spec, bool policy_outputs) {
  return spec.observation_columns() + spec.mask_columns + spec.action_size() + 1 +
         (policy_outputs ? 2 : 0);
}

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
    for (int b = next++; b < plan.blocks && !job.stopped(); b = next++) {
      const auto begin = static_cast<int>(static_cast<std::int64_t>(plan.lanes) * b / plan.blocks);
      const auto end =
          static_cast<int>(static_cast<std::int64_t>(plan.lanes) * (b + 1) / plan.blocks);
      Block(job, plan.lanes, begin, end, record_rows, b, sink).run();
    }
  });
}

}  // namespace rollmill
