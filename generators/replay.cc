#include "generators/replay.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "datasets/reader.h"
#include "envs/env_options.h"
#include "envs/registry.h"
#include "generators/shard_builder.h"
#include "rollout/dataset_columns.h"
#include "rollout/recorded_actions.h"

namespace rollmill {
namespace {

// Acts as the shard recorded: the action of (episode, step), wherever the runner asks for it. Past the recorded end of an
// episode it repeats action 0: the comparison finds the difference in length.
class RecordedPolicy final : public Policy {
 public:
  RecordedPolicy(const EnvSpec& spec, const ShardData& shard)
      : actions_(spec, shard),
        first_(shard.first_episode),
        starts_(shard.values<std::int64_t>("episodes/start")),
        lengths_(shard.values<std::int32_t>("episodes/length")) {}

  void act(const ActRequest& q) const override {
    for (int i = q.begin; i < q.end; ++i) {
      const std::int64_t e = std::int64_t{q.keys.episode[i]} - first_;
      const std::int64_t step = q.keys.step[i];
      const bool known = e >= 0 && e < static_cast<std::int64_t>(starts_.size()) &&
                         step < lengths_[static_cast<std::size_t>(e)];
      auto* out = static_cast<Word*>(q.actions) + i;
      for (int k = 0; k < actions_.columns(); ++k) {
        out[k * q.stride] =
            known ? actions_.word(starts_[static_cast<std::size_t>(e)] + step, k) : 0u;
      }
    }
  }
  std::string id() const override { return "recorded"; }
  std::string hash() const override { return "recorded"; }

 private:
  RecordedActions actions_;
  std::int64_t first_;
  std::span<const std::int64_t> starts_;
  std::span<const std::int32_t> lengths_;
};

// The layout that this environment's shards have: a manifest may claim anything.
void check_columns(const EnvEntry& entry, const DatasetSpec& spec, const std::string& where) {
  const World world = parse_env_params_json(entry, spec.env_params, where).world;
  for (const bool policy_outputs : {false, true}) {
    if (spec.columns == dataset_columns(entry.spec(), policy_outputs, world)) return;
  }
  fail_data(where + ": its columns are not those of " + spec.env_id);
}

std::string text_of(DType dtype, const std::byte* p) {
  switch (dtype) {
    case DType::kF32: {
      float v;
      std::memcpy(&v, p, 4);
      return fmt::format("{}", v);
    }
    case DType::kI64: {
      std::int64_t v;
      std::memcpy(&v, p, 8);
      return std::to_string(v);
    }
    case DType::kI32: {
      std::int32_t v;
      std::memcpy(&v, p, 4);
      return std::to_string(v);
    }
    case DType::kU64: {
      std::uint64_t v;
      std::memcpy(&v, p, 8);
      return std::to_string(v);
    }
    default: return std::to_string(std::to_integer<int>(*p));
  }
}

// Re-executed columns. What a policy added (logprobs, values) is not, and the actions are the input.
bool compared(const std::string& name) {
  return name != "logprobs" && name != "values" && name != "actions" && name != "real_actions";
}

// Writes the first difference of one episode, if any, into the report.
bool compare_episode(const ShardData& recorded, const ShardData& replayed, std::int64_t e,
                     ReplayReport& report) {
  const auto at = static_cast<std::size_t>(e);
  const std::int64_t start = recorded.values<std::int64_t>("episodes/start")[at];
  const std::int64_t again = replayed.values<std::int64_t>("episodes/start")[at];
  const std::int64_t length = recorded.values<std::int32_t>("episodes/length")[at];
  const std::int64_t common =
      std::min<std::int64_t>(length, replayed.values<std::int32_t>("episodes/length")[at]);
  const auto differs = [&](std::size_t c, std::int64_t row_a, std::int64_t row_b,
                           std::int64_t step) {
    const ShardColumn &a = recorded.columns()[c], &b = replayed.columns()[c];
    const auto bytes = static_cast<std::int64_t>(a.column.row_bytes());
    const std::byte *pa = a.bytes.data() + row_a * bytes, *pb = b.bytes.data() + row_b * bytes;
    if (std::memcmp(pa, pb, static_cast<std::size_t>(bytes)) == 0) return false;
    const auto size = static_cast<std::int64_t>(dtype_size(a.column.dtype));
    std::int64_t k = 0;
    while (std::memcmp(pa + k * size, pb + k * size, static_cast<std::size_t>(size)) == 0) ++k;
    report.equal = false;
    report.episode = recorded.first_episode + e;
    report.step = step;
    report.field = a.column.name + (bytes > size ? fmt::format("[{}]", k) : "");
    report.recorded = text_of(a.column.dtype, pa + k * size);
    report.replayed = text_of(a.column.dtype, pb + k * size);
    return true;
  };
  const auto columns = recorded.columns().size();
  for (std::int64_t t = 0; t < common; ++t) {
    for (std::size_t c = 0; c < columns; ++c) {
      const Column& column = recorded.columns()[c].column;
      if (column.per_episode() || !compared(column.name)) continue;
      if (differs(c, start + t, again + t, t)) return true;
    }
  }
  for (std::size_t c = 0; c < columns; ++c) {
    const Column& column = recorded.columns()[c].column;
    if (!column.per_episode() || !compared(column.name) || column.name == "episodes/start")
      continue;
    if (differs(c, e, e, common)) return true;
  }
  return false;
}

}  // namespace

ReplayReport replay_dataset(const std::string& dir, ThreadPool& pool,
                            const std::function<void(std::int64_t)>& progress) {
  const DatasetReader reader(dir);
  const DatasetSpec& spec = reader.manifest().spec;
  const EnvEntry* entry = nullptr;
  try {
    entry = &find_env(spec.env_id);
  } catch (const Error& e) {
    fail_data(dir + ": " + e.what());
  }
  const EnvOptions env = parse_env_params_json(*entry, spec.env_params, dir + "/MANIFEST.json");
  check_columns(*entry, spec, dir + "/MANIFEST.json");
  ReplayReport report;
  for (std::size_t s = 0; s < reader.shards(); ++s) {
    const ShardData recorded = reader.load(s);
    check_actions(entry->spec(), recorded, dir + "/" + reader.manifest().shards[s].file);
    const RecordedPolicy policy(entry->spec(), recorded);
    EpisodeJob job;
    job.env = entry;
    job.params = env.params;
    job.world = env.world;
    job.time_limit = env.time_limit;
    job.seed = spec.seed;
    job.policy = &policy;
    job.first = recorded.first_episode;
    job.count = static_cast<std::int64_t>(recorded.episodes());
    for (const ShardColumn& c : recorded.columns()) {
      if (c.column.name == "logprobs") job.policy_outputs = true;
    }
    ShardData replayed(spec.columns);
    build_shard(job, pool, replayed);
    report.shard = reader.manifest().shards[s].file;
    for (std::int64_t e = 0; e < job.count; ++e) {
      if (compare_episode(recorded, replayed, e, report)) return report;
    }
    report.episodes += job.count;
    report.steps += static_cast<std::int64_t>(recorded.steps());
    progress(report.episodes);
  }
  return report;
}

std::unique_ptr<Policy> recorded_policy(const EnvEntry& entry, const DatasetSpec& spec,
                                        const ShardData& shard, const std::string& where) {
  check_columns(entry, spec, where);
  check_actions(entry.spec(), shard, where);
  return std::make_unique<RecordedPolicy>(entry.spec(), shard);
}

}  // namespace rollmill
