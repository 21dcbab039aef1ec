// Proximal policy optimisation (Schulman et al. 2017): its settings and what one update reports.
#pragma once

namespace rollmill {

class Config;
struct TrainOptions;

// What the policy's part of an update wants.
//   kPpo              a better return: PPO's clipped surrogate
//   kImitate          the actions of the rollout, whoever took them: -log pi(a|s)
//   kImitateWeighted  the same, each row weighted with its "advantage", the value's loss, too; without an entropy bonus
// Set by the trainers, not by a key.
enum class Objective { kPpo, kImitate, kImitateWeighted };

struct PpoOptions {
  Objective objective = Objective::kPpo;
  int horizon = 128;         // steps per environment and update
  int epochs = 4;            // passes over a rollout
  int minibatches = 4;       // per epoch; divides horizon * num_envs (all ranks together)
  float gamma = 0.99f;       // discount
  float gae_lambda = 0.95f;  // Schulman et al. 2016
  float clip = 0.2f;         // of the probability ratio
  bool anneal_clip = false;  // linearly to 0 over the run
  float value_clip = 0.0f;   // of the value's change, 0: off
  float value_huber = 0.0f;  // beyond this error the value's loss grows linearly (Huber 1964); 0: squared everywhere
  float value_coefficient = 0.5f;
  float entropy_coefficient = 0.0f;
  float entropy_coefficient_end = -1.0f;  // reached linearly at the end of the run; below 0: no change
  int max_skipped = 10;        // TrainOptions::max_skipped
  float max_grad_norm = 0.5f;  // 0: off
  float target_kl = 0.0f;  // end an update after an epoch whose mean KL exceeds 1.5 x this; 0: off
  // Of a policy with memory: gradients go back through so many steps (0: the horizon), from a state that is recomputed over
  // burn_in steps before them (Kapturowski et al. 2019). Minibatches are of whole sequences.
  int sequence_length = 0, burn_in = 0;
  // The next rollout is made while the learner works on the last one, by weights one update older than those that will learn from
  // it; V-trace corrects for that, and ratios are to the policy before the update. On the CPU and on a GPU; without a memory.
  bool overlap = false;
  bool normalize_advantages = true;  // per minibatch, over all ranks
  bool normalize_rewards = false;    // trainer/reward_normalizer.h; before trainer.reward_scale
  float clip_rewards = 0.0f;         // of the scaled reward, to either side; 0: off
  double learning_rate = 3e-4;
  bool anneal_learning_rate = false;  // linearly to 0 over the run
  float adam_beta1 = 0.9f, adam_beta2 = 0.999f, adam_epsilon = 1e-5f;
};

// Means over the minibatches of one update (over all ranks).
struct UpdateStats {
  double policy_loss = 0, value_loss = 0, entropy = 0;
  double approx_kl = 0;  // mean of (ratio - 1) - log ratio (Schulman's k3), last epoch
  double clip_fraction = 0;
  // 1 - Var(return - value) / Var(return) over the rollout, with the values it was acted with; NaN where all returns are equal.
  double explained_variance = 0;
  double grad_norm = 0;  // before clipping
  double first_ratio_error =
      0;  // max |ratio - 1| of the first minibatch: 0 where forward passes agree bit for bit
  int skipped = 0;  // minibatches whose loss or gradient was not finite: they are in none of the means
  int epochs = 0;  // done before the KL limit
};

// The options as they are after `done` (0 to 1) of the run.
PpoOptions annealed(const PpoOptions& options, double done);

// Both check against what o holds already; errors name the key. world_size: ranks of the job.
// The keys of [trainer] that say how a gradient is computed (kernels, precision, reduction, groups).
void read_learner_options(Config& config, int world_size, TrainOptions& o);
// Those and [ppo].
void read_ppo_options(Config& config, int world_size, TrainOptions& o);

}  // namespace rollmill
