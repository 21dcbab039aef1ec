// What a Rollmill dataset is: a folder of shards and a manifest (docs/formats.md has every field).
// A shard holds a fixed range of episode numbers as flat columns. Columns whose name starts with "episodes/" have one
// row an episode, all others one row a step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/io/hash.h"
#include "core/schema/dtype.h"

namespace rollmill {

inline constexpr int kDatasetFormatVersion = 1;

struct Column {
  std::string name;  // path in the shard: "observations", "episodes/length"
  DType dtype = DType::kF32;
  std::vector<std::uint64_t> row_shape;  // empty: one number a row

  bool per_episode() const { return name.starts_with("episodes/"); }
  std::uint64_t row_bytes() const;
  bool operator==(const Column&) const = default;
};

// What makes two jobs the same: everything but `config`, `build` and the number of episodes.
struct DatasetSpec {
  std::string env_id;
  std::string env_version = "1";
  std::string env_params = "{}";  // JSON object
  std::string env_params_hash;  // params_hash(env_params); filled by the manifest writer when empty
  std::string policy_id;        // "random", "scripted", or the run it comes from
  std::string policy_hash;      // of its weights; empty when it has none
  std::uint64_t seed = 0;
  std::string config;                     // resolved TOML
  std::string build;                      // version, commit, compiler
  std::string observation_kind = "real";  // what a row of observations holds: docs/formats.md
  std::vector<std::int64_t>
      observation_shape;  // once unpacked: {d}, {columns}, {c, h, w}; or empty
  // One each per number, column or plane of an observation; or empty.
  std::vector<std::string> observation_names, observation_units;
  std::string action_description;          // "0: push left, 1: push right"
  std::vector<std::string> outcome_names;  // by reason code in episodes/outcome
  std::vector<Column> columns;             // in file and hash order
  std::int64_t shard_episodes = 0;         // episodes of a full shard
};

struct ShardInfo {
  std::string file;  // "shard-000000.h5", in the dataset's folder
  std::int64_t first_episode = 0;
  std::int64_t episodes = 0;
  std::int64_t steps = 0;
  std::uint64_t bytes = 0;  // size of the file
  std::string sha256;       // of the file
  std::string content;  // XXH3-128 of the logical content: the same for any chunking or compression
  bool operator==(const ShardInfo&) const = default;
};

// What a dataset records of a step that depends on the environment's spaces.
struct SpaceColumns {
  DType observation = DType::kF32;
  std::vector<std::uint64_t> observation_shape;
  Column action;                   // dtype and row shape of `actions`; its name is ignored
  std::uint64_t real_actions = 0;  // beside choices: columns of `real_actions`; 0: there is none
  std::uint64_t mask_choices = 0;  // choices of `action_masks`; 0: there is none
};

// The columns that every dataset has, in order: observations, [action_masks], actions, [real_actions], rewards, terminals,
// timeouts, [logprobs, values], episodes/{start, length, id, seed_key, return, outcome, final_observation, [params]}.
// param_count 0 leaves episodes/params out.
std::vector<Column> standard_columns(const SpaceColumns& spaces, bool policy_outputs,
                                     std::uint64_t param_count);

// "shard-000012.h5" for 12; and -1 for anything that is not exactly such a name.
std::string shard_file_name(std::int64_t index);
std::int64_t shard_index(const std::string& file);

std::string params_hash(const std::string& params_json);

// The first key in which two specs are different jobs, as "seed: 1 in the dataset, 2 asked for"; empty when none is.
std::string spec_difference(const DatasetSpec& on_disk, const DatasetSpec& wanted);
// Error kUsage with that text: a dataset is only extended by the job that began it.
void check_same_job(const std::string& dir, const DatasetSpec& on_disk, const DatasetSpec& wanted);

}  // namespace rollmill
