// A small dataset with known values: what check_shard.py and the tests expect. Episode e has 1 + (7 e + 3) % 50 steps.
#pragma once

#include <string>

#include "datasets/manifest.h"
#include "datasets/shard.h"
#include "datasets/writer.h"

namespace rollmill::testing {

inline DatasetSpec sample_spec(std::int64_t shard_episodes = 100) {
  DatasetSpec spec;
  spec.env_id = "CartPole-v1";
  spec.env_params = "{\"gravity\":9.8}";
  spec.env_params_hash = params_hash(spec.env_params);
  spec.policy_id = "random";
  spec.seed = 0xfedcba9876543210ULL;
  spec.config = "seed = 1\n";
  spec.build = "test build";
  spec.observation_names = {"x", "x_dot", "theta", "theta_dot"};
  spec.observation_units = {"m", "m/s", "rad", "rad/s"};
  spec.action_description = "0: push left, 1: push right";
  spec.outcome_names = {"none", "fell", "left the track", "time limit"};
  spec.columns = standard_columns({DType::kF32, {4}, {"actions", DType::kI8, {}}}, true, 2);
  spec.shard_episodes = shard_episodes;
  return spec;
}

inline std::int32_t sample_length(std::int64_t episode) {
  return static_cast<std::int32_t>(1 + (7 * episode + 3) % 50);
}

// Values are small whole numbers or quarters: exact in float32 in any language.
inline void fill_steps(ShardData& data) {
  const auto rows = data.steps();
  const auto observations = data.values<float>("observations");
  for (std::size_t i = 0; i < observations.size(); ++i)
    observations[i] = static_cast<float>(i % 1000) * 0.25f;
  for (std::size_t i = 0; i < rows; ++i) {
    data.values<std::int8_t>("actions")[i] = static_cast<std::int8_t>(i % 2);
    data.values<float>("rewards")[i] = 1.0f;
    data.values<float>("logprobs")[i] = -0.5f;
    data.values<float>("values")[i] = static_cast<float>(i % 7);
  }
}

inline ShardData sample_shard(const DatasetSpec& spec, std::int64_t index, std::int64_t episodes) {
  ShardData data(spec.columns);
  data.first_episode = index * spec.shard_episodes;
  std::uint64_t steps = 0;
  for (std::int64_t e = 0; e < episodes; ++e)
    steps += static_cast<std::uint64_t>(sample_length(data.first_episode + e));
  data.resize(steps, static_cast<std::uint64_t>(episodes));
  fill_steps(data);
  std::int64_t at = 0;
  for (std::size_t e = 0; e < static_cast<std::size_t>(episodes); ++e) {
    const std::int64_t id = data.first_episode + static_cast<std::int64_t>(e);
    const std::int32_t length = sample_length(id);
    data.values<std::int64_t>("episodes/start")[e] = at;
    data.values<std::int32_t>("episodes/length")[e] = length;
    data.values<std::int64_t>("episodes/id")[e] = id;
    data.values<std::uint64_t>("episodes/seed_key")[e] = spec.seed ^ static_cast<std::uint64_t>(id);
    data.values<float>("episodes/return")[e] = static_cast<float>(length);
    data.values<std::uint8_t>("episodes/outcome")[e] = length == 50 ? 3 : 1;
    for (std::size_t k = 0; k < 4; ++k)
      data.values<float>("episodes/final_observation")[4 * e + k] = static_cast<float>(k);
    for (std::size_t k = 0; k < 2; ++k) data.values<float>("episodes/params")[2 * e + k] = 9.75f;
    at += length;
    const char* flag = length == 50 ? "timeouts" : "terminals";
    data.values<std::uint8_t>(flag)[static_cast<std::size_t>(at - 1)] = 1;
  }
  return data;
}

// `shards` full shards in dir, finished.
inline Manifest write_sample(const std::string& dir, int shards, std::int64_t shard_episodes,
                             bool compress = false) {
  Manifest manifest;
  manifest.spec = sample_spec(shard_episodes);
  write_manifest(dir, manifest);
  AsyncShardWriter writer(dir, manifest.spec, {compress});
  for (int i = 0; i < shards; ++i) writer.push(i, sample_shard(manifest.spec, i, shard_episodes));
  append_shards(dir, manifest, writer.finish());
  finish_manifest(dir, manifest);
  return manifest;
}

}  // namespace rollmill::testing
