// Usage: make_spaces DIR. Writes DIR/<space>.h5, a shard of each of the tests' environments (tests/support/counter_env.h), for
// check_spaces.py.
#include <cstdio>

#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/io/atomic_file.h"
#include "datasets/writer.h"
#include "generators/dataset_job.h"
#include "generators/shard_builder.h"
#include "rollout/dataset_columns.h"
#include "rollout/policy.h"
#include "tests/support/counter_env.h"

namespace rollmill {
namespace {

void write(const std::string& dir, const EnvEntry& entry) {
  const EnvSpec env = entry.spec();
  const RandomPolicy policy(env, 3);
  EpisodeJob job;
  job.env = &entry;
  job.seed = 3;
  job.policy = &policy;
  job.first = 7;
  job.count = 150;
  ThreadPool pool(2);
  DatasetSpec spec;
  spec.env_id = env.id;
  spec.env_params_hash = params_hash(spec.env_params);
  spec.policy_id = policy.id();
  describe_observations(env, spec);
  spec.columns = dataset_columns(env, false);
  spec.shard_episodes = job.count;
  ShardData data(spec.columns);
  build_shard(job, pool, data);
  check_structure(data, "shard");
  make_dirs(dir);
  write_shard(dir, 0, spec, data, {});
}

}  // namespace
}  // namespace rollmill

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    const std::string dir = argv[1];
    rollmill::testing::for_each_space([&](const char* name, auto env) {
      rollmill::write(dir + "/" + name, rollmill::testing::test_entry<decltype(env)>());
    });
  } catch (const rollmill::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
  return 0;
}
