// The three speeds of a system, always side by side: E environment steps with random actions, R the same with a 64-64 policy
// acting, T training end to end (PPO, 4 epochs of 4 minibatches). Autoreset and the writing of observations included.
#pragma once

#include <cstdint>
#include <string>

namespace rollmill {

struct SpeedJob {
  std::string env_id;
  int num_envs = 65536;
  int threads = 1;
  int horizon = 32;
  double seconds = 1.0;  // for each figure, after a warm-up
  bool env_only = false;
  // E with random actions drawn before the clock starts, not at each step; masked environments draw at each step anyway.
  bool actions_ahead = false;
};

struct SpeedFigures {
  double environment = 0, rollout = 0, training = 0;  // steps per second; 0 where not measured
  double fastest_rollout = 0;  // R of the fastest single rollout: what a busy machine left alone
  std::int64_t bytes_per_environment = 0;  // in E: the whole batch and one step's buffers
  std::int64_t field_bytes = 0;  // of those: state, action, observation, mask, reward, end
};

SpeedFigures measure_speed(const SpeedJob& job);

// The CPU's model name.
std::string processor_name();

}  // namespace rollmill
