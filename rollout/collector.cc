#include "rollout/collector.h"

#include <algorithm>

#include "core/base/aligned.h"
#include "core/base/assert.h"
#include "core/base/thread_pool.h"
#include "core/math/math.h"
#include "rollout/advantage.h"
#include "rollout/column_kernels.h"

namespace rollmill {
namespace {

// Looks at what others have played, some 100 us in all: of environments that take longer a step nothing is gained.
constexpr int kPatience = 4000;

}  // namespace

HostCollector::HostCollector(EnvBatch& batch, const MlpPolicy& policy, const RolloutBuffer& buffer,
                             ThreadPool& pool)
    : batch_(batch), policy_(policy), buffer_(buffer), pool_(pool) {
  RM_ASSERT(!batch.on_device() && batch.stride() == buffer.stride);
  RM_ASSERT(policy.frame_stack() == buffer.frame_stack);
  RM_ASSERT(policy.memory_columns() == buffer.memory_columns);
  // As few blocks as there are threads while they stay small enough for the cache.
  const int per_thread = (buffer.num_envs + pool.threads() - 1) / pool.threads();
  block_ = std::clamp((per_thread + 15) / 16 * 16, 16, 10 * kTileRows);
  // Few environments leave most of a tile empty, and threads idle. What acts must be asked step by step; a critic of its own
  // need not.
  const PolicyShape& shape = policy.shape();
  values_later_ =
      block_ < kTileRows && shape.trunk == Trunk::kSeparate && shape.memory_columns() == 0;
  // More threads than cores: who waits would keep those that play from running.
  followed_ = values_later_ && blocks() < pool.threads() && pool.threads() <= available_cores();
  if (followed_) played_ = std::make_unique<Played[]>(static_cast<std::size_t>(blocks()));
}

void HostCollector::reset() { batch_.reset(buffer_.observation_slot(0), buffer_.mask_slot(0)); }

void HostCollector::collect(const AdvantageOptions& options) {
  const int blocks = this->blocks();
  times_.assign(static_cast<std::size_t>(blocks), {});
  const auto begin_of = [&](int b) { return std::min(b * block_, buffer_.num_envs); };
  const auto finish = [&](int b) { finish_block(options, begin_of(b), begin_of(b + 1)); };
  const auto play = [&](int b) {
    BlockTime time;  // on the task's own stack: no two threads write to one cache line
    const auto start = Clock::now();
    play_block(b, begin_of(b), begin_of(b + 1), time);
    if (!values_later_) finish(b);
    time.all = Clock::now() - start;
    times_[static_cast<std::size_t>(b)] = time;
  };
  BlockTime total;
  const auto start = Clock::now();
  next_tile_.store(0, std::memory_order_relaxed);
  if (followed_) {
    for (int b = 0; b < blocks; ++b) played_[b].steps.store(0, std::memory_order_relaxed);
    // One thread's critic keeps up with four that play.
    pool_.run(std::min(blocks + (blocks + 3) / 4, pool_.threads()), [&](int task) {
      if (task < blocks) play(task);
      value_tiles_of_played(blocks, task < blocks ? 0 : kPatience);
    });
  } else {
    pool_.run(blocks, play);
  }
  if (values_later_) {
    const int first = next_tile_.load(std::memory_order_relaxed);
    pool_.run(value_tiles() - first, [&](int tile) { value_tile(first + tile); });
    pool_.run(blocks, finish);
    total.all = (Clock::now() - start) * std::min(blocks, pool_.threads());
  }
  for (const BlockTime& time : times_) {
    total.environment += time.environment;
    if (!values_later_) total.all += time.all;
  }
  environment_share_ =
      static_cast<double>(total.environment.count()) / static_cast<double>(total.all.count());
}

void HostCollector::play_block(int block, int begin, int end, BlockTime& time) {
  const EpisodeColumns keys = batch_.episodes();
  // A look at the clock takes as long as a step of few environments: one step stands for those after it.
  const int every = end - begin < kTileRows ? 8 : 1;
  for (int t = 0; t < buffer_.horizon; ++t) {
    count_frames(buffer_, t, keys.step, begin, end);
    keep_memory(buffer_, t, keys.step, begin, end);
    ActRequest q = request_for_slot(buffer_, t);
    q.keys = keys;
    q.batch = &batch_;
    q.begin = begin;
    q.end = end;
    if (values_later_) q.values = nullptr;
    policy_.act(q);
    const bool timed = t % every == 0;
    const auto before_step = timed ? Clock::now() : Clock::time_point();
    batch_.step_range(buffer_.step_buffers(t), begin, end);
    if (timed)
      time.environment += (Clock::now() - before_step) * std::min(every, buffer_.horizon - t);
    // What an episode remembered is gone with the next step.
    if (buffer_.memory_columns > 0) value_truncated(t, t + 1, begin, end);
    if (followed_) played_[block].steps.store(t + 1, std::memory_order_release);
  }
}

int HostCollector::blocks() const { return (buffer_.num_envs + block_ - 1) / block_; }

int HostCollector::value_tiles() const {
  const std::int64_t rows = std::int64_t{buffer_.horizon} * buffer_.num_envs;
  return static_cast<int>((rows + kTileRows - 1) / kTileRows);
}

// Tile after tile, each as soon as all blocks have played its steps. Who has waited for `patience` looks in vain gives up: a block
// that nobody has begun may be waiting for this very thread, and what is left is done after all have played.
void HostCollector::value_tiles_of_played(int blocks, int patience) {
  const int tiles = value_tiles();
  const auto played = [&](int tile) {
    const auto rows = std::min((std::int64_t{tile} + 1) * kTileRows,
                               std::int64_t{buffer_.horizon} * buffer_.num_envs);
    const std::int64_t steps = (rows - 1) / buffer_.num_envs + 1;
    return std::all_of(played_.get(), played_.get() + blocks, [&](const Played& block) {
      return block.steps.load(std::memory_order_acquire) >= steps;
    });
  };
  for (int waited = 0; waited <= patience;) {
    int tile = next_tile_.load(std::memory_order_relaxed);
    if (tile == tiles) return;
    if (!played(tile)) {
      ++waited;
      relax();
    } else if (next_tile_.compare_exchange_strong(tile, tile + 1, std::memory_order_relaxed)) {
      value_tile(tile);
      waited = 0;
    }
  }
}

// A tile of all steps' environments, step after step.
void HostCollector::value_tile(std::int64_t tile) {
  const int n = buffer_.num_envs;
  const std::int64_t first = tile * kTileRows;
  const auto rows = static_cast<int>(
      std::min<std::int64_t>(kTileRows, std::int64_t{buffer_.horizon} * n - first));
  std::int64_t at[kTileRows], slot[kTileRows];
  std::uint8_t frames[kTileRows];
  float values[kTileRows];
  for (int r = 0; r < rows; ++r) {
    const std::int64_t t = (first + r) / n, i = (first + r) % n;
    at[r] = t * buffer_.slot_words() + i;
    slot[r] = t * buffer_.stride + i;
    frames[r] = buffer_.frames == nullptr ? 0 : buffer_.frames[slot[r]];
  }
  policy_.value_rows({buffer_.observations, buffer_.stride, buffer_.slot_words(), nullptr}, at,
                     frames, rows, values);
  for (int r = 0; r < rows; ++r) buffer_.values[slot[r]] = values[r];
}

// Values of what comes after the last step and after truncated episodes, then advantages.
void HostCollector::finish_block(const AdvantageOptions& options, int begin, int end) {
  const EpisodeColumns keys = batch_.episodes();
  const int last = buffer_.horizon;
  count_frames(buffer_, last, keys.step, begin, end);
  policy_.value({buffer_.observation_slot(last), buffer_.stride, buffer_.slot_words(),
                 buffer_.frame_slot(last)},
                begin, end, buffer_.values + last * buffer_.stride, buffer_.current_memory(),
                keys.step);
  if (buffer_.memory_columns == 0) value_truncated(0, buffer_.horizon, begin, end);
  compute_gae(buffer_, options, begin, end);
}

Staleness HostCollector::correct(const AdvantageOptions& options, ThreadPool& pool) {
  RM_ASSERT(buffer_.memory_columns == 0);
  ratios_.resize(static_cast<std::size_t>(buffer_.horizon * buffer_.stride));
  const int blocks = staleness_blocks(buffer_.num_envs);
  std::vector<RatioSums> parts(static_cast<std::size_t>(blocks * buffer_.horizon));
  pool.run(blocks, [&](int b) {
    correct_block(options, b * kStalenessEnvs, std::min((b + 1) * kStalenessEnvs, buffer_.num_envs),
                  parts.data() + b * buffer_.horizon);
  });
  return staleness_of(parts, buffer_.horizon, buffer_.num_envs);
}

void HostCollector::correct_block(const AdvantageOptions& options, int begin, int end,
                                  RatioSums* parts) {
  float change[kStalenessEnvs];  // of log-probabilities
  for (int t = 0; t < buffer_.horizon; ++t) {
    ActRequest q = request_for_slot(buffer_, t);
    q.begin = begin;
    q.end = end;
    float then[kStalenessEnvs];
    std::copy(q.logprobs + begin, q.logprobs + end, then);
    policy_.judge(q);
    float* RM_RESTRICT ratio = ratios_.data() + t * buffer_.stride + begin;
    for (int r = 0; r < end - begin; ++r) change[r] = q.logprobs[begin + r] - then[r];
    for (int r = 0; r < end - begin; ++r) ratio[r] = math::exp(change[r]);
    for (int r = 0; r < end - begin; ++r) parts[t].add(ratio[r], change[r]);
  }
  const int last = buffer_.horizon;
  policy_.value({buffer_.observation_slot(last), buffer_.stride, buffer_.slot_words(),
                 buffer_.frame_slot(last)},
                begin, end, buffer_.values + last * buffer_.stride);
  value_truncated(0, last, begin, end);
  compute_vtrace(buffer_, options, ratios_.data(), begin, end);
}

// V of the last observation of each episode that was truncated in steps [first, last); rare, so gathered into one tile at a time, [frames][D][kTileRows]:
// the frames before it lie in slots t, t - 1, ...
void HostCollector::value_truncated(int first, int last, int begin, int end) {
  if (last - first == 1) {  // most steps end nothing
    const std::uint8_t* ends = buffer_.ends + first * buffer_.stride;
    if (std::find(ends + begin, ends + end, kTruncated) == ends + end) return;
  }
  const int size = buffer_.observation_columns, stack = buffer_.frame_stack;
  const int newest = (stack - 1) * size;  // column of the newest frame
  std::vector<float> columns(static_cast<std::size_t>(stack * size) * kTileRows);
  std::vector<float> memory(static_cast<std::size_t>(buffer_.memory_columns) * kTileRows);
  std::uint8_t frames[kTileRows] = {};
  std::int64_t slots[kTileRows];
  float values[kTileRows];
  int count = 0;
  const auto flush = [&] {
    policy_.value({columns.data() + newest * kTileRows, kTileRows, size * kTileRows, frames}, 0,
                  count, values, memory.empty() ? nullptr : memory.data());
    for (int r = 0; r < count; ++r) buffer_.final_values[slots[r]] = values[r];
    count = 0;
  };
  for (int t = first; t < last; ++t) {
    const std::uint8_t* ends = buffer_.ends + t * buffer_.stride;
    for (int i = begin; i < end; ++i) {
      if (ends[i] != kTruncated) continue;
      const auto copy_frame = [&](int back, const float* from) {
        float* to = columns.data() + (newest - back * size) * kTileRows + count;
        for (int k = 0; k < size; ++k) to[k * kTileRows] = from[k * buffer_.stride + i];
      };
      copy_frame(0, buffer_.final_observations + t * buffer_.slot_words());
      if (stack > 1) {
        frames[count] = earlier_frames(buffer_.frame_slot(t)[i] + 1u, stack);
        for (int back = 1; back <= frames[count]; ++back)
          copy_frame(back, buffer_.observation_slot(t + 1 - back));
      }
      for (int k = 0; k < buffer_.memory_columns; ++k)
        memory[static_cast<std::size_t>(k * kTileRows + count)] =
            buffer_.current_memory()[k * buffer_.stride + i];
      slots[count++] = t * buffer_.stride + i;
      if (count == kTileRows) flush();
    }
  }
  if (count > 0) flush();
}

void HostCollector::advance() { advance_rollout(buffer_); }

// Mean |advantage| of the episode that ended at step `end` of environment i, as far as it lies in this rollout.
static float mean_value_error(const RolloutBuffer& b, int end, std::int64_t i) {
  float sum = 0.0f;
  int steps = 0;
  for (int t = end; t >= 0 && (t == end || b.ends[t * b.stride + i] == kRunning); --t, ++steps)
    sum += math::abs(b.advantages[t * b.stride + i]);
  return sum / static_cast<float>(steps);
}

std::vector<EpisodeRecord> HostCollector::finished_episodes(int groups) const {
  RM_ASSERT(buffer_.num_envs % groups == 0);
  const int envs = buffer_.num_envs / groups;
  std::vector<EpisodeRecord> records;
  for (int g = 0; g < groups; ++g) {
    for (int t = 0; t < buffer_.horizon; ++t) {
      const std::int64_t at = t * buffer_.stride;
      for (std::int64_t i = at + g * envs; i < at + (g + 1) * envs; ++i) {
        if (buffer_.ends[i] == kRunning) continue;
        records.push_back({buffer_.episode_returns[i], buffer_.episode_lengths[i],
                           buffer_.outcomes[i], buffer_.episode_levels[i],
                           mean_value_error(buffer_, t, i - at)});
      }
    }
  }
  return records;
}

std::vector<Moments> HostCollector::observation_moments(int groups) const {
  RM_ASSERT(buffer_.num_envs % groups == 0);
  RM_ASSERT(batch_.spec().observed.kind == ObservationKind::kReal);
  const int size = buffer_.observation_columns, envs = buffer_.num_envs / groups;
  // One part per group, time step and element, each summed in environment order; merged in time order.
  const std::int64_t parts_of_group = std::int64_t{buffer_.horizon} * size;
  std::vector<Moments> parts(static_cast<std::size_t>(parts_of_group * groups));
  pool_.run(buffer_.horizon, [&](int t) {
    for (int g = 0; g < groups; ++g) {
      for (int k = 0; k < size; ++k) {
        const float* column = buffer_.observation_slot(t) + k * buffer_.stride + g * envs;
        parts[static_cast<std::size_t>(g * parts_of_group + std::int64_t{t} * size + k)] =
            column_moments(column, envs);
      }
    }
  });
  std::vector<Moments> total(static_cast<std::size_t>(size) * static_cast<std::size_t>(groups));
  for (int g = 0; g < groups; ++g) {
    for (std::int64_t p = 0; p < parts_of_group; ++p) {
      total[static_cast<std::size_t>(g * size + p % size)].merge(
          parts[static_cast<std::size_t>(g * parts_of_group + p)]);
    }
  }
  return total;
}

}  // namespace rollmill
