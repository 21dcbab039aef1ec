// Several jobs in one process, each in a thread of its own: what `rollmill train --seeds` does. Under the thread sanitizer, too.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "core/io/hash.h"
#include "tests/core/io/temp_dir.h"
#include "tests/trainer/small_ppo.h"
#include "trainer/train_job.h"

namespace rollmill {
namespace {

TrainOptions options(const std::string& algorithm, int seed) {
  TrainOptions o = testing::small_ppo("CartPole-v1");
  o.algorithm = algorithm;
  o.seed = static_cast<std::uint64_t>(seed);
  if (algorithm == "ppo") {
    o.normalize_observations = true;
    return o;
  }
  o.total_steps = 3'000;
  o.dqn.replay.learning_starts = 500;
  return o;
}

// Weights and state of the run's last checkpoint.
std::string train(const std::string& out, const TrainOptions& o) {
  TrainJob job;
  job.options = o;
  job.config_text = "[run]\nseed = " + std::to_string(o.seed) + "\n";
  job.out_dir = out;
  job.label = "seed: ";
  job.stop = [] { return StopRequest::kNone; };
  job.on_update = [](const MetricsRecord&) {};
  const auto group = make_process_group(LaunchInfo{}, false);
  const std::string folder = run_train_job(job, *group).checkpoint;
  return sha256_file(folder + "/state-rank0.h5") + sha256_file(folder + "/policy.safetensors");
}

TEST(JobsAtOnce, EachInItsThreadIsWhatItIsAlone) {
  const testing::TempDir dir;
  std::vector<TrainOptions> jobs;
  for (const int seed : {1, 2}) {
    for (const char* algorithm : {"ppo", "dqn"}) jobs.push_back(options(algorithm, seed));
  }
  std::vector<std::string> alone, together(jobs.size());
  for (std::size_t k = 0; k < jobs.size(); ++k)
    alone.push_back(train(dir / ("alone" + std::to_string(k)), jobs[k]));
  {
    std::vector<std::jthread> threads;
    for (std::size_t k = 0; k < jobs.size(); ++k) {
      threads.emplace_back(
          [&, k] { together[k] = train(dir / ("together" + std::to_string(k)), jobs[k]); });
    }
  }
  EXPECT_EQ(alone, together);
  EXPECT_NE(alone[0], alone[2]);
}

}  // namespace
}  // namespace rollmill
