#include "trainer/imitation/imitation.h"

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/log/log.h"
#include "trainer/make_learner.h"

namespace rollmill {

Imitation::Imitation(const std::string& dataset, TrainRun& run, const PpoOptions& options,
                     int streams, PolicyWeights& weights, OptimizerState& optimizer)
    : run_(run),
      options_(options),
      demonstrations_(dataset, run.spec, weights.layout.shape, options.gamma,
                      run.options.reward_scale),
      streams_(streams),
      rollout_(run.spec, options.horizon, streams / run.group.world_size(),
               run.options.policy.frame_stack,
               {weights.layout.shape.memory_columns(), options.horizon, 0}) {
  if (weights.normalizer.enabled() && weights.normalizer.moments().front().count == 0)
    weights.normalizer.merge(demonstrations_.observation_moments());
  optimizer.first.resize(weights.params.size());
  optimizer.second.resize(weights.params.size());
  RM_ASSERT(options.entropy_coefficient == 0.0f);  // padding would be pushed, too
  LearnerContext context{&options_,  &weights,       &optimizer,
                         &run.group, run.pool.get(), run.options.seed};
  context.groups = run.options.groups;
  context.bf16 = run.options.bf16;
  context.frozen = actor_weights_of(run.options.actor_ignores, run.spec, weights.layout);
  learner_ = make_learner(run.options.kernels, context);
  demonstrations_.begin_pass(run.options.seed, 0, options.horizon);
}

void Imitation::go_to(std::int64_t pass, std::int64_t stream) {
  pass_ = pass;
  next_ = stream;
  demonstrations_.begin_pass(run_.options.seed, pass, options_.horizon);
}

UpdateStats Imitation::update(double learning_rate) {
  const RolloutBuffer& b = rollout_.buffer();
  steps_learned_ = demonstrations_.steps_in(next_, streams_);
  demonstrations_.fill(b, next_ + std::int64_t{b.num_envs} * run_.group.rank(), next_, streams_);
  // Numbered so that no two windows have their minibatches in the same order.
  const std::int64_t number = (pass_ << 20) + next_ / streams_;
  const UpdateStats stats = learner_->update(b, number, learning_rate);
  next_ += streams_;
  if (next_ >= demonstrations_.streams()) go_to(pass_ + 1, 0);
  return stats;
}

bool imitate_first(TrainRun& run, PolicyWeights& weights) {
  const TrainOptions& o = run.options;
  PpoOptions options = o.ppo;
  options.objective = Objective::kImitateWeighted;
  options.epochs = 1;
  options.normalize_advantages = false;
  options.entropy_coefficient = 0.0f;
  options.target_kl = 0.0f;
  options.value_clip = 0.0f;  // about values that there are none of
  options.sequence_length = options.burn_in = 0;
  OptimizerState optimizer;
  Imitation imitation(o.init.dataset, run, options, o.env.num_envs, weights, optimizer);
  if (run.group.rank() == 0) {
    log_info("imitating {}: {} steps in {} episodes, {} passes", o.init.dataset,
             imitation.demonstrations().steps(), imitation.demonstrations().episodes(),
             o.init.epochs);
  }
  std::int64_t skipped = 0;
  while (imitation.pass() < o.init.epochs) {
    if (run.stopped()) return false;
    const std::int64_t pass = imitation.pass();
    const UpdateStats stats = imitation.update(o.init.learning_rate);
    skipped += stats.skipped;
    if (imitation.pass() > pass && run.group.rank() == 0) {
      log_info("pass {}: -log pi {:.4f} a step, value loss {:.4f}, entropy {:.3f}", pass + 1,
               stats.policy_loss, stats.value_loss, stats.entropy);
    }
  }
  if (optimizer.step == 0) {
    fail_numerical("init.dataset: NaN or infinity in the loss or its gradient of all " +
                   std::to_string(skipped) +
                   " optimiser steps, so that nothing was learnt; lower init.learning_rate or "
                   "trainer.reward_scale");
  }
  if (skipped > 0 && run.group.rank() == 0) {
    log_warn(
        "init.dataset: {} of {} optimiser steps were skipped: NaN or infinity in the loss or its "
        "gradient",
        skipped, skipped + optimizer.step);
  }
  return true;
}

}  // namespace rollmill
