// One shard in memory: plays a range of episodes and lays their rows out as the dataset's columns.
#pragma once

#include <cstdint>
#include <vector>

#include "datasets/shard.h"
#include "generators/episode_runner.h"

namespace rollmill {

class ThreadPool;

// What a dataset says of the environment's observations.
void describe_observations(const EnvSpec& env, DatasetSpec& spec);

// Fills `data` (made with the job's columns) with episodes [job.first, job.first + job.count) in episode order.
// Where job.stopped() afterwards, `data` is of no meaning.
void build_shard(const EpisodeJob& job, ThreadPool& pool, ShardData& data);

// Keeps the first `episodes` episodes.
void trim_shard(ShardData& data, std::int64_t episodes);

}  // namespace rollmill
