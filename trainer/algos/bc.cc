#include "trainer/algos/bc.h"

#include <algorithm>
#include <chrono>

#include "core/base/aligned.h"
#include "envs/registry.h"
#include "trainer/imitation/initial_policy.h"
#include "trainer/make_learner.h"
#include "trainer/state_arrays.h"

namespace rollmill {

BcTrainer::BcTrainer(const TrainOptions& options, ProcessGroup& group)
    : run_(options, group),
      now_(options.ppo),
      batch_(find_env(options.env.id).make_cpu(run_.batch_config(), run_.pool.get())),
      weights_(shape_for(run_.spec, options.policy)) {
  weights_.normalizer = ObservationNormalizer(
      run_.spec.observed.elements, options.normalize_observations, options.clip_observations);
  warn_of_slow_bf16(options, group);
  initialize_weights(weights_, options.seed, options.log_std_init, options.init_gains);
  imitation_ = std::make_unique<Imitation>(options.bc.dataset, run_, now_, options.bc.streams,
                                           weights_, optimizer_);
  const HostRollout first(run_.spec, 1, batch_->num_envs(), options.policy.frame_stack);
  batch_->reset(first.buffer().observation_slot(0), first.buffer().mask_slot(0));
}

UpdateReport BcTrainer::step() {
  using Clock = std::chrono::steady_clock;
  const TrainOptions& o = run_.options;
  UpdateReport report;
  now_ = annealed(
      o.ppo, static_cast<double>(run_.progress.env_steps) / static_cast<double>(o.total_steps));
  if (run_.progress.update == 0 && !o.init.policy.empty())
    start_from("init.policy", o.init.policy, weights_);
  if (run_.progress.update == 0) {
    set_to_zero(actor_weights_of(o.actor_ignores, run_.spec, weights_.layout),
                weights_.params.data());
  }
  const auto start = Clock::now();
  const UpdateStats stats = imitation_->update(now_.learning_rate);
  report.learn_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  report.skipped = stats.skipped;
  report.metrics = {{"policy_loss", stats.policy_loss},
                    {"value_loss", stats.value_loss},
                    {"entropy", stats.entropy},
                    {"grad_norm", stats.grad_norm},
                    {"learning_rate", now_.learning_rate},
                    {"skipped", static_cast<double>(stats.skipped)},
                    {"passes", static_cast<double>(imitation_->pass())}};
  run_.count({}, imitation_->steps_learned(), *batch_, report);
  return report;
}

void BcTrainer::save(H5Group& root) {
  write_optimizer(root, "optimizer", optimizer_);
  const std::int64_t place[2] = {imitation_->pass(), imitation_->next_stream()};
  write_array<std::int64_t>(root, "dataset_place", place);
  const std::string& content = imitation_->demonstrations().content_hash();
  write_array<std::uint8_t>(
      root, "dataset_content",
      {reinterpret_cast<const std::uint8_t*>(content.data()), content.size()});
}

std::function<void()> BcTrainer::read(const H5Group& root, const std::string& path) {
  OptimizerState optimizer = read_optimizer(root, "optimizer", optimizer_.first.size(), path);
  const auto place = read_array<std::int64_t>(root, "dataset_place", 2, path);
  if (place[0] < 0 || place[1] < 0)
    fail_data(path + ": dataset_place is negative; the checkpoint is damaged");
  const std::string& content = imitation_->demonstrations().content_hash();
  const auto saved = read_array<std::uint8_t>(root, "dataset_content", content.size(), path);
  if (!std::equal(saved.begin(), saved.end(), content.begin())) {
    fail_data(path + ": the run began with another content of " + run_.options.bc.dataset +
              "; bring that dataset back, or start a new run");
  }
  return [this, optimizer = std::move(optimizer), place]() {
    optimizer_ = optimizer;
    imitation_->go_to(place[0], place[1]);
  };
}

}  // namespace rollmill
