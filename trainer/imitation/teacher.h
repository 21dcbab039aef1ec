// A trained policy that says what it would have done in the states of a rollout.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/thread_pool.h"
#include "rollout/mlp/mlp_policy.h"
#include "rollout/mlp/policy_file.h"
#include "trainer/imitation/demonstrations.h"

namespace rollmill {

// path: a run, checkpoint or policy.safetensors of this environment. student: its shape. Errors: no such policy (bad data), one
// for another environment or of another number of stacked frames (usage).
PolicyFile load_teacher(const std::string& path, const EnvSpec& spec, const PolicyShape& student);

class Teacher {
 public:
  // As load_teacher.
  Teacher(const std::string& path, const EnvSpec& spec, const PolicyShape& student, int num_envs,
          std::int64_t stride, std::uint64_t seed, bool greedy);

  // Before a rollout is collected: where its episodes stand.
  void watch(const EpisodeColumns& episodes);
  // After: writes the teacher's actions over the rollout's, with the student's raw samples that would have given them.
  void label(const RolloutBuffer& buffer, ThreadPool& pool);

  // Which policy it is, and how it acts: a run that resumes must have the same teacher.
  std::string hash() const { return policy_.hash(); }

  // What it remembers of the running episodes, [memory columns][stride]: for checkpoints.
  std::vector<float>& memory() { return memory_; }

 private:
  void label_range(const RolloutBuffer& buffer, int begin, int end);

  PolicyFile file_;
  MlpPolicy policy_;
  RealDistribution distribution_;  // the student's
  ActionRange range_;
  int num_envs_;
  std::vector<std::uint32_t> environment_, episode_, step_;  // [num_envs]
  std::vector<float> memory_;
};

}  // namespace rollmill
