#include "generators/shard_builder.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "core/base/assert.h"
#include "core/base/thread_pool.h"

namespace rollmill {
namespace {

// Where a finished episode's rows wait until all lengths are known.
struct Stored {
  int block = 0;
  std::size_t offset = 0;  // words
  EpisodeSummary summary;
};

struct Columns {
  std::span<float> observations, rewards, logprobs, values, returns, final_observations;
  std::span<std::int8_t> small_actions;
  std::span<std::int32_t> wide_actions;
  std::span<float> real_actions;
  std::span<std::uint8_t> terminals, timeouts, outcomes;
  std::span<std::int64_t> starts, ids;
  std::span<std::int32_t> lengths;
  std::span<std::uint64_t> seed_keys;
};

Columns view(ShardData& d, const EnvSpec& spec, bool policy_outputs) {
  Columns c;
  c.observations = d.values<float>("observations");
  c.rewards = d.values<float>("rewards");
  if (policy_outputs) {
    c.logprobs = d.values<float>("logprobs");
    c.values = d.values<float>("values");
  }
  if (spec.continuous()) {
    c.real_actions = d.values<float>("actions");
  } else if (spec.choices[0] <= 127) {
    c.small_actions = d.values<std::int8_t>("actions");
  } else {
    c.wide_actions = d.values<std::int32_t>("actions");
  }
  c.terminals = d.values<std::uint8_t>("terminals");
  c.timeouts = d.values<std::uint8_t>("timeouts");
  c.starts = d.values<std::int64_t>("episodes/start");
  c.lengths = d.values<std::int32_t>("episodes/length");
  c.ids = d.values<std::int64_t>("episodes/id");
  c.seed_keys = d.values<std::uint64_t>("episodes/seed_key");
  c.returns = d.values<float>("episodes/return");
  c.outcomes = d.values<std::uint8_t>("episodes/outcome");
  c.final_observations = d.values<float>("episodes/final_observation");
  return c;
}

// Rows of one episode from words to columns; `at` is its first row.
void scatter_rows(Columns& c, const EnvSpec& spec, const std::uint32_t* words, int width,
                  bool policy_outputs, std::int64_t at, std::int32_t length) {
  const auto size = static_cast<std::size_t>(spec.observation_columns());
  const auto actions = static_cast<std::size_t>(spec.action_size());
  for (std::int32_t r = 0; r < length; ++r) {
    const std::uint32_t* row = words + static_cast<std::int64_t>(r) * width;
    const auto to = static_cast<std::size_t>(at + r);
    std::memcpy(&c.observations[to * size], row, size * 4);
    row += size;
    if (spec.continuous()) {
      std::memcpy(&c.real_actions[to * actions], row, actions * 4);
    } else if (!c.small_actions.empty()) {
      c.small_actions[to] = static_cast<std::int8_t>(*row);
    } else {
      c.wide_actions[to] = static_cast<std::int32_t>(*row);
    }
    row += actions;
    std::memcpy(&c.rewards[to], row, 4);
    c.terminals[to] = 0;
    c.timeouts[to] = 0;
    if (policy_outputs) {
      std::memcpy(&c.logprobs[to], row + 1, 4);
      std::memcpy(&c.values[to], row + 2, 4);
    }
  }
}

}  // namespace

std::vector<Column> dataset_columns(const EnvSpec& env, bool policy_outputs) {
  Column action;
  action.dtype = env.continuous() ? DType::kF32 : env.choices[0] <= 127 ? DType::kI8 : DType::kI32;
  if (env.continuous()) action.row_shape = {static_cast<std::uint64_t>(env.action_size())};
  const auto size = static_cast<std::uint64_t>(env.observation_columns());
  return standard_columns(DType::kF32, {size}, action, policy_outputs, 0);
}

void build_shard(const EpisodeJob& job, ThreadPool& pool, ShardData& data) {
  const EnvSpec spec = job.env->spec();
  const auto count = static_cast<std::size_t>(job.count);
  const int blocks = episode_blocks(job, pool);
  const int width =
      spec.observation_columns() + spec.action_size() + 1 + (job.policy_outputs ? 2 : 0);
  std::vector<std::vector<std::uint32_t>> arenas(static_cast<std::size_t>(blocks));
  std::vector<Stored> stored(count);
  std::vector<float> finals(count * static_cast<std::size_t>(spec.observation_columns()));
  run_episodes(job, /*record_rows=*/true, pool, [&](int block, const EpisodeRows& rows) {
    RM_ASSERT(rows.width == width);
    const auto e = static_cast<std::size_t>(rows.episode - job.first);
    auto& arena = arenas[static_cast<std::size_t>(block)];
    stored[e] = {block, arena.size(), rows.summary};
    arena.insert(arena.end(), rows.words,
                 rows.words + static_cast<std::int64_t>(rows.summary.length) * width);
    std::copy(rows.final_observation.begin(), rows.final_observation.end(),
              finals.begin() + static_cast<std::ptrdiff_t>(
                                   e * static_cast<std::size_t>(spec.observation_columns())));
  });
  std::int64_t steps = 0;
  for (const Stored& s : stored) steps += s.summary.length;
  data.first_episode = job.first;
  data.resize(static_cast<std::uint64_t>(steps), count);
  Columns c = view(data, spec, job.policy_outputs);
  std::int64_t at = 0;
  for (std::size_t e = 0; e < count; ++e) {
    c.starts[e] = at;
    at += stored[e].summary.length;
  }
  std::copy(finals.begin(), finals.end(), c.final_observations.begin());
  constexpr std::size_t kChunk = 256;
  pool.run(static_cast<int>((count + kChunk - 1) / kChunk), [&](int task) {
    const std::size_t begin = static_cast<std::size_t>(task) * kChunk;
    for (std::size_t e = begin; e < std::min(begin + kChunk, count); ++e) {
      const Stored& s = stored[e];
      const EpisodeSummary& summary = s.summary;
      scatter_rows(c, spec, arenas[static_cast<std::size_t>(s.block)].data() + s.offset, width,
                   job.policy_outputs, c.starts[e], summary.length);
      const auto last = static_cast<std::size_t>(c.starts[e] + summary.length - 1);
      c.terminals[last] = summary.terminated ? 1 : 0;
      c.timeouts[last] = summary.terminated ? 0 : 1;
      c.lengths[e] = summary.length;
      c.ids[e] = job.first + static_cast<std::int64_t>(e);
      c.seed_keys[e] = job.seed;
      c.returns[e] = summary.episode_return;
      c.outcomes[e] = summary.outcome;
    }
  });
}

void trim_shard(ShardData& data, std::int64_t episodes) {
  RM_ASSERT(episodes >= 1 && static_cast<std::uint64_t>(episodes) <= data.episodes());
  const auto last = static_cast<std::size_t>(episodes - 1);
  const std::int64_t steps = data.values<std::int64_t>("episodes/start")[last] +
                             data.values<std::int32_t>("episodes/length")[last];
  data.resize(static_cast<std::uint64_t>(steps), static_cast<std::uint64_t>(episodes));
}

}  // namespace rollmill
