#include "trainer/imitation/teacher.h"

#include <algorithm>

#include "core/base/error.h"
#include "envs/env.h"
#include "rollout/checkpoint_folder.h"
#include "rollout/policy.h"

namespace rollmill {
PolicyFile load_teacher(const std::string& path, const EnvSpec& spec, const PolicyShape& student) {
  const std::string file = find_policy_file(path);
  PolicyFile teacher = load_policy(file);
  check_policy_fits(teacher, spec, file);
  const int frames = teacher.weights->layout.shape.frame_stack;
  if (frames != 1 && frames != student.frame_stack) {
    fail_usage("distill.teacher = \"" + path + "\" reads " + std::to_string(frames) +
               " frames of an observation; set env.frame_stack = " + std::to_string(frames));
  }
  return teacher;
}

Teacher::Teacher(const std::string& path, const EnvSpec& spec, const PolicyShape& student,
                 int num_envs, std::int64_t stride, std::uint64_t seed, bool greedy)
    : file_(load_teacher(path, spec, student)),
      policy_(spec, *file_.weights, seed, greedy),
      distribution_(student.distribution),
      range_(spec),
      num_envs_(num_envs),
      memory_(static_cast<std::size_t>(policy_.memory_columns() * stride)) {}

void Teacher::watch(const EpisodeColumns& e) {
  environment_.assign(e.environment, e.environment + num_envs_);
  episode_.assign(e.episode, e.episode + num_envs_);
  step_.assign(e.step, e.step + num_envs_);
}

void Teacher::label(const RolloutBuffer& b, ThreadPool& pool) {
  constexpr int kBlock = 4 * kTileRows;
  pool.run((num_envs_ + kBlock - 1) / kBlock, [&](int task) {
    label_range(b, task * kBlock, std::min((task + 1) * kBlock, num_envs_));
  });
}

void Teacher::label_range(const RolloutBuffer& b, int begin, int end) {
  for (int t = 0; t < b.horizon; ++t) {
    ActRequest q = request_for_slot(b, t);
    q.keys = {environment_.data(), episode_.data(), step_.data()};
    q.begin = begin;
    q.end = end;
    q.memory = memory_.empty() ? nullptr : memory_.data();
    q.raw_actions = q.logprobs = q.values = nullptr;
    policy_.act(q);
    for (int a = 0; a < b.real_columns; ++a) {
      const auto k = static_cast<std::size_t>(a);
      const float* action = b.continuous_slot(t) + (b.choice_columns + a) * b.stride;
      float* raw = b.raw_action_slot(t) + a * b.stride;
      for (int i = begin; i < end; ++i)
        raw[i] = raw_action(distribution_, action[i], range_.middle[k], range_.half[k]);
    }
    for (int i = begin; i < end; ++i) {
      const auto k = static_cast<std::size_t>(i);
      const bool ended = b.ends[t * b.stride + i] != kRunning;
      episode_[k] += ended ? 1u : 0u;
      step_[k] = ended ? 0u : step_[k] + 1;
    }
  }
}

}  // namespace rollmill
