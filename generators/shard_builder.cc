#include "generators/shard_builder.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "envs/world_options.h"
#include "rollout/dataset_columns.h"

namespace rollmill {
namespace {

// Where a finished episode's rows wait until all lengths are known.
struct Stored {
  int block = 0;
  std::size_t offset = 0;  // words
  EpisodeSummary summary;
};

struct Columns {
  std::span<std::byte> observations, masks, actions, real_actions, final_observations;
  std::span<float> rewards, logprobs, values, returns;
  std::span<std::uint8_t> terminals, timeouts, outcomes;
  std::span<std::int64_t> starts, ids;
  std::span<std::int32_t> lengths;
  std::span<std::uint64_t> seed_keys;
};

Columns view(ShardData& d) {
  Columns c;
  const auto optional = [&](const char* name) {
    return d.has(name) ? d.raw(name) : std::span<std::byte>();
  };
  c.observations = d.raw("observations");
  c.masks = optional("action_masks");
  c.actions = d.raw("actions");
  c.real_actions = optional("real_actions");
  c.rewards = d.values<float>("rewards");
  if (d.has("logprobs")) {
    c.logprobs = d.values<float>("logprobs");
    c.values = d.values<float>("values");
  }
  c.terminals = d.values<std::uint8_t>("terminals");
  c.timeouts = d.values<std::uint8_t>("timeouts");
  c.starts = d.values<std::int64_t>("episodes/start");
  c.lengths = d.values<std::int32_t>("episodes/length");
  c.ids = d.values<std::int64_t>("episodes/id");
  c.seed_keys = d.values<std::uint64_t>("episodes/seed_key");
  c.returns = d.values<float>("episodes/return");
  c.outcomes = d.values<std::uint8_t>("episodes/outcome");
  c.final_observations = d.raw("episodes/final_observation");
  return c;
}

bool all_finite(std::span<const std::byte> floats) {
  bool all = true;
  for (std::size_t k = 0; k < floats.size(); k += sizeof(float)) {
    float x;
    std::memcpy(&x, floats.data() + k, sizeof x);
    all = all && std::isfinite(x);
  }
  return all;
}

// Rows of one episode from words to columns; `at` is its first row.
void scatter_rows(Columns& c, const EnvSpec& spec, const std::uint32_t* words, int width,
                  std::int64_t at, std::int32_t length) {
  const std::size_t observation = observation_bytes(spec.observed);
  const std::size_t choices = spec.choices.size(),
                    reals = static_cast<std::size_t>(spec.real_actions()),
                    masked = static_cast<std::size_t>(c.masks.empty() ? 0 : spec.total_choices());
  const bool small = small_action(spec);
  // Real actions lie in `actions` where there are no choices.
  std::byte* const real_out = choices == 0 ? c.actions.data() : c.real_actions.data();
  for (std::int32_t r = 0; r < length; ++r) {
    const std::uint32_t* row = words + static_cast<std::int64_t>(r) * width;
    const auto to = static_cast<std::size_t>(at + r);
    std::memcpy(c.observations.data() + to * observation, row, observation);
    row += spec.observation_columns();
    for (std::size_t b = 0; b < masked; ++b)
      c.masks[to * masked + b] = static_cast<std::byte>((row[b / 32] >> (b % 32)) & 1u);
    row += spec.mask_columns;
    if (small) {
      c.actions[to] = static_cast<std::byte>(*row);
    } else if (choices > 0) {
      std::memcpy(c.actions.data() + to * choices * 4, row, choices * 4);
    }
    row += choices;
    if (reals > 0) std::memcpy(real_out + to * reals * 4, row, reals * 4);
    row += reals;
    std::memcpy(&c.rewards[to], row, 4);
    c.terminals[to] = 0;
    c.timeouts[to] = 0;
    if (!c.logprobs.empty()) {
      std::memcpy(&c.logprobs[to], row + 1, 4);
      std::memcpy(&c.values[to], row + 2, 4);
    }
  }
}

// How each episode was drawn: numbered episodes are all of environment 0.
void record_worlds(const EpisodeJob& job, const EnvSpec& spec, ShardData& data) {
  if (!data.has("episodes/params")) return;
  const auto params = data.values<float>("episodes/params");
  for (std::int64_t e = 0; e < job.count; ++e) {
    const EpisodeWorld w = episode_world(spec, job.params, job.world, job.seed, 0,
                                         static_cast<std::uint32_t>(job.first + e));
    std::copy(w.params.begin(), w.params.end(),
              params.begin() + e * static_cast<std::int64_t>(w.params.size()));
    if (data.has("episodes/level"))
      data.values<std::int64_t>("episodes/level")[static_cast<std::size_t>(e)] = w.level;
  }
}

}  // namespace

void describe_observations(const EnvSpec& env, DatasetSpec& spec) {
  spec.observation_kind = observation_kind_name(env.observed.kind);
  spec.observation_shape.assign(env.observed.shape.begin(), env.observed.shape.end());
  for (const FieldSpec& f : env.observation) {
    spec.observation_names.push_back(f.name);
    spec.observation_units.push_back(f.unit);
  }
}

void build_shard(const EpisodeJob& job, ThreadPool& pool, ShardData& data) {
  const EnvSpec spec = job.env->spec();
  const auto count = static_cast<std::size_t>(job.count);
  const int blocks = episode_blocks(job, pool);
  const int width = episode_row_words(spec, job.policy_outputs);
  const std::size_t final_bytes = observation_bytes(spec.observed);
  std::vector<std::vector<std::uint32_t>> arenas(static_cast<std::size_t>(blocks));
  std::vector<Stored> stored(count);
  std::vector<std::byte> finals(count * final_bytes);
  run_episodes(job, /*record_rows=*/true, pool, [&](int block, const EpisodeRows& rows) {
    RM_ASSERT(rows.width == width);
    const auto e = static_cast<std::size_t>(rows.episode - job.first);
    auto& arena = arenas[static_cast<std::size_t>(block)];
    stored[e] = {block, arena.size(), rows.summary};
    arena.insert(arena.end(), rows.words,
                 rows.words + static_cast<std::int64_t>(rows.summary.length) * width);
    std::memcpy(finals.data() + e * final_bytes, rows.final_observation.data(), final_bytes);
  });
  if (job.stopped()) return;
  std::int64_t steps = 0;
  for (const Stored& s : stored) steps += s.summary.length;
  data.first_episode = job.first;
  data.resize(static_cast<std::uint64_t>(steps), count);
  Columns c = view(data);
  std::int64_t at = 0;
  for (std::size_t e = 0; e < count; ++e) {
    c.starts[e] = at;
    at += stored[e].summary.length;
  }
  std::copy(finals.begin(), finals.end(), c.final_observations.begin());
  record_worlds(job, spec, data);
  constexpr std::size_t kChunk = 256;
  std::atomic<std::int64_t> broken = -1;  // an episode with an observation that is not finite
  pool.run(static_cast<int>((count + kChunk - 1) / kChunk), [&](int task) {
    const std::size_t begin = static_cast<std::size_t>(task) * kChunk;
    for (std::size_t e = begin; e < std::min(begin + kChunk, count); ++e) {
      const Stored& s = stored[e];
      const EpisodeSummary& summary = s.summary;
      scatter_rows(c, spec, arenas[static_cast<std::size_t>(s.block)].data() + s.offset, width,
                   c.starts[e], summary.length);
      if (spec.observed.kind == ObservationKind::kReal &&
          !(all_finite(
                c.observations.subspan(static_cast<std::size_t>(c.starts[e]) * final_bytes,
                                       static_cast<std::size_t>(summary.length) * final_bytes)) &&
            all_finite(c.final_observations.subspan(e * final_bytes, final_bytes)))) {
        broken = job.first + static_cast<std::int64_t>(e);
      }
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
  if (broken >= 0) {
    fail_numerical("episode " + std::to_string(broken) + " of " + spec.id +
                   " shows an observation that is NaN or infinite, though its state is not: its "
                   "observe must not (`rollmill check-env` says where)");
  }
}

void trim_shard(ShardData& data, std::int64_t episodes) {
  RM_ASSERT(episodes >= 1 && static_cast<std::uint64_t>(episodes) <= data.episodes());
  const auto last = static_cast<std::size_t>(episodes - 1);
  const std::int64_t steps = data.values<std::int64_t>("episodes/start")[last] +
                             data.values<std::int32_t>("episodes/length")[last];
  data.resize(static_cast<std::uint64_t>(steps), static_cast<std::uint64_t>(episodes));
}

}  // namespace rollmill
