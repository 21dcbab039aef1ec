// Episodes of a job as plain data, to compare.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "core/base/thread_pool.h"
#include "generators/episode_runner.h"
#include "rollout/mlp/mlp_policy.h"

namespace rollmill::testing {

struct Episode {
  std::vector<std::uint32_t> words;
  int width = 0;
  EpisodeSummary summary;
  std::vector<std::uint32_t> final_observation;
  bool operator==(const Episode& o) const {
    return words == o.words && width == o.width && final_observation == o.final_observation &&
           summary.episode_return == o.summary.episode_return &&
           summary.length == o.summary.length && summary.outcome == o.summary.outcome &&
           summary.terminated == o.summary.terminated && summary.cut == o.summary.cut &&
           summary.blind_step == o.summary.blind_step &&
           summary.blind_element == o.summary.blind_element;
  }
};

// Throws when an episode comes twice or a block's number is not below episode_blocks().
inline std::map<std::int64_t, Episode> play(const EpisodeJob& job, int threads,
                                            bool record = true) {
  ThreadPool pool(threads);
  const int blocks = episode_blocks(job, pool);
  std::map<std::int64_t, Episode> episodes;
  std::mutex mutex;
  run_episodes(job, record, pool, [&](int block, const EpisodeRows& rows) {
    Episode e;
    e.width = rows.width;
    e.summary = rows.summary;
    e.final_observation = rows.final_observation;
    if (rows.words != nullptr) {
      e.words.assign(rows.words,
                     rows.words + static_cast<std::int64_t>(rows.width) * rows.summary.length);
    }
    const std::lock_guard lock(mutex);
    if (block < 0 || block >= blocks) throw std::runtime_error("block out of range");
    if (!episodes.emplace(rows.episode, std::move(e)).second)
      throw std::runtime_error("an episode came twice");
  });
  return episodes;
}

// A job with a policy that owns what it needs.
struct Job {
  Job(const std::string& env, std::int64_t first, std::int64_t count, bool trained,
      int time_limit = -1)
      : weights(shape_for(find_env(env).spec(), {20})) {
    const EnvSpec spec = find_env(env).spec();
    initialize_weights(weights, 3, -0.2f);
    if (trained) {
      policy = std::make_unique<MlpPolicy>(spec, weights, 9, false);
    } else {
      policy = std::make_unique<RandomPolicy>(spec, 9);
    }
    job.env = &find_env(env);
    job.seed = 9;
    job.policy = policy.get();
    job.first = first;
    job.count = count;
    job.time_limit = time_limit;
    job.policy_outputs = trained;
  }
  PolicyWeights weights;
  std::unique_ptr<Policy> policy;
  EpisodeJob job;
};

}  // namespace rollmill::testing
