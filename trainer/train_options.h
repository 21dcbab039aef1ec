// Everything a training run is told, typed and checked: the TOML keys of `rollmill train`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "envs/env_options.h"
#include "rollout/mlp/layout.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/algos/dqn_options.h"
#include "trainer/algos/sac_options.h"
#include "trainer/algos/td3_options.h"
#include "trainer/curriculum.h"
#include "trainer/imitation/imitation_options.h"
#include "trainer/ppo_options.h"

namespace rollmill {

class Config;

struct TrainOptions {
  std::string name;  // default of --out: runs/<name>
  std::uint64_t seed = 1;
  int threads = 0;  // 0: all cores
  bool tensorboard = true;  // event files beside metrics.jsonl
  EnvOptions env;
  CurriculumOptions curriculum;
  PolicyChoices policy;
  std::vector<std::string> actor_ignores;  // observation fields that only the critic reads
  float log_std_init = 0.0f;
  InitGains init_gains;  // ppo, bc and distill
  bool normalize_observations = false;  // real observations only
  float clip_observations = 10.0f;
  std::string algorithm = "ppo";
  std::string kernels = "fused";  // of PPO
  bool bf16 = false;              // trainer.precision
  // Logical groups of environments: with trainer.reduction = "exact" results are the same on any number of ranks that divides
  // it. 0: "fast", one group a rank.
  int groups = 0;
  std::int64_t total_steps = 0;  // environment steps, over all ranks
  float reward_scale =
      1.0f;  // multiplies rewards where advantages are computed; logs and datasets keep the raw ones
  int max_skipped = 10;  // optimiser steps in a row with NaN or infinity before a run stops
  PpoOptions ppo;  // of "bc" and "distill", too
  InitOptions init;
  BcOptions bc;
  DistillOptions distill;
  DqnOptions dqn;
  SacOptions sac;
  Td3Options td3;
  double stop_at_return =
      0;  // with stop_window > 0: end once the mean of that many last episodes reaches it
  int stop_window = 0;
  std::int64_t checkpoint_updates = 0;  // 0: only by time
  double checkpoint_seconds = 60;
  int checkpoint_keep = 3;
  int evaluation_episodes = 1000;  // after training; 0: none
  bool evaluation_greedy = true;
};

// Reads all keys of a training config and checks what spans several of them. world_size: ranks of the job.
TrainOptions read_train_options(Config& config, int world_size);

// Whether something is annealed over trainer.total_steps. If not, the first half of a long run is the short run, bit for bit.
bool depends_on_length(const TrainOptions& options);

}  // namespace rollmill
