#include "trainer/ppo_trainer.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/error.h"
#include "envs/env.h"
#include "envs/registry.h"
#include "trainer/make_learner.h"

namespace rollmill {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

BatchConfig batch_config(const TrainOptions& o, const ProcessGroup& group) {
  BatchConfig config;
  config.num_envs = o.env.num_envs / group.world_size();
  config.seed = o.seed;
  // Global ids: the same environments whatever the number of ranks.
  config.first_environment = static_cast<std::uint32_t>(config.num_envs * group.rank());
  config.time_limit = o.env.time_limit;
  config.params = o.env.params;
  config.world = Curriculum(o.curriculum, find_env(o.env.id).spec(), o.env.world).world();
  config.changing_world = o.curriculum.kind != CurriculumKind::kNone;
  config.trace_steps = o.env.trace_steps;
  config.reset_pool = o.env.reset_pool;
  return config;
}

}  // namespace

PpoTrainer::PpoTrainer(const TrainOptions& options, ProcessGroup& group, int local_rank)
    : options_(options),
      group_(group),
      pool_(
          std::make_unique<ThreadPool>(options.threads > 0 ? options.threads : available_cores())),
      spec_(find_env(options.env.id).spec()),
      weights_(shape_for(spec_, options.policy)),
      curriculum_(options.curriculum, spec_, options.env.world) {
  weights_.normalizer = ObservationNormalizer(
      spec_.observed.elements, options_.normalize_observations, options_.clip_observations);
  initialize_weights(weights_, options_.seed, options_.log_std_init);
  optimizer_.first.resize(weights_.params.size());
  optimizer_.second.resize(weights_.params.size());
  ExperienceConfig config;
  config.env = &find_env(options.env.id);
  config.batch = batch_config(options, group);
  config.horizon = options.ppo.horizon;
  config.seed = options.seed;
  config.frame_stack = options.policy.frame_stack;
  config.sequence_length = options.ppo.sequence_length;
  config.burn_in = options.ppo.burn_in;
  config.device = parse_device(options.env.device, "env.device");
  config.local_rank = local_rank;
  experience_ = make_experience(config, weights_, *pool_);
  LearnerContext context{&options_.ppo, &weights_,   &optimizer_,
                         &group_,       pool_.get(), options_.seed};
  context.cuda = experience_->cuda();
  context.device = config.device.gpu(local_rank);
  context.groups = options.groups;
  learner_ = make_learner(options_.kernels, context);
  experience_->reset();
}

PpoTrainer::~PpoTrainer() = default;

bool PpoTrainer::finished() const {
  if (progress_.env_steps >= options_.total_steps) return true;
  const auto window = static_cast<std::size_t>(options_.stop_window);
  if (window == 0 || progress_.recent.size() < window) return false;
  double sum = 0;
  for (const auto& e : progress_.recent) sum += static_cast<double>(e.episode_return);
  return sum / static_cast<double>(progress_.recent.size()) >= options_.stop_at_return;
}

UpdateReport PpoTrainer::step() {
  UpdateReport report;
  report.learning_rate = learning_rate();

  // 1. Experience: horizon steps in every environment, with values and advantages.
  const auto start = std::chrono::steady_clock::now();
  experience_->refresh_policy();
  experience_->collect({options_.ppo.gamma, options_.ppo.gae_lambda, options_.reward_scale});
  report.faults = experience_->batch().take_faults();
  report.collect_seconds = seconds_since(start);

  // 2. Learning from it, with the observation statistics it was acted with.
  const auto learn_start = std::chrono::steady_clock::now();
  report.stats = learner_->update(experience_->buffer(), progress_.update, report.learning_rate);
  report.learn_seconds = seconds_since(learn_start);
  if (!std::isfinite(report.stats.grad_norm) || !std::isfinite(report.stats.policy_loss)) {
    fail_numerical(
        "update " + std::to_string(progress_.update) +
        ": NaN or infinity in the loss or its gradient; lower ppo.learning_rate, or "
        "normalise observations "
        "(policy.normalize_observations = true); a checkpoint before it, if there is one, is good");
  }

  // 3. Bookkeeping; the statistics learn from this rollout last, so that log-probabilities stay comparable.
  if (weights_.normalizer.enabled()) update_normalizer();
  ++progress_.update;
  progress_.env_steps += static_cast<std::int64_t>(options_.ppo.horizon) * options_.env.num_envs;
  count_episodes(report);
  experience_->advance();
  report.update = progress_.update;
  report.env_steps = progress_.env_steps;
  report.episodes = progress_.episodes;
  return report;
}

double PpoTrainer::learning_rate() const {
  if (!options_.ppo.anneal_learning_rate) return options_.ppo.learning_rate;
  const double done =
      static_cast<double>(progress_.env_steps) / static_cast<double>(options_.total_steps);
  return options_.ppo.learning_rate * std::max(0.0, 1.0 - done);
}

// Episodes of all ranks, in rank order: every rank keeps the same window and stops at the same update.
void PpoTrainer::count_episodes(UpdateReport& report) {
  std::vector<EpisodeRecord> finished = experience_->finished_episodes(local_groups());
  if (experience_->cuda()) {  // a GPU's batch ends them, and leaves the counting to its episodes
    for (const EpisodeRecord& e : finished) report.faults.count += e.outcome == kOutcomeNotFinite;
  }
  if (group_.world_size() > 1) {
    const std::string mine(reinterpret_cast<const char*>(finished.data()),
                           finished.size() * sizeof(EpisodeRecord));
    finished.clear();
    for (const std::string& part : group_.all_gather(mine, "finished episodes")) {
      const std::size_t count = part.size() / sizeof(EpisodeRecord);
      const std::size_t at = finished.size();
      finished.resize(at + count);
      std::memcpy(finished.data() + at, part.data(), count * sizeof(EpisodeRecord));
    }
  }
  const std::size_t window =
      options_.stop_window > 0 ? static_cast<std::size_t>(options_.stop_window) : 100;
  for (const EpisodeRecord& e : finished) {
    progress_.recent.push_back(e);
  }
  while (progress_.recent.size() > window) progress_.recent.pop_front();
  progress_.episodes += static_cast<std::int64_t>(finished.size());
  if (curriculum_.active()) {
    curriculum_.observe(finished, progress_.env_steps);
    experience_->batch().set_world(curriculum_.world());
    report.difficulty = curriculum_.difficulty();
    report.success_rate = curriculum_.success_rate();
  }
  double returns = 0, lengths = 0;
  for (const EpisodeRecord& e : progress_.recent) {
    returns += static_cast<double>(e.episode_return);
    lengths += e.length;
  }
  const auto n = static_cast<double>(progress_.recent.size());
  report.mean_return = n > 0 ? returns / n : std::numeric_limits<double>::quiet_NaN();
  report.mean_length = n > 0 ? lengths / n : std::numeric_limits<double>::quiet_NaN();
}

// Groups of all ranks, merged in group order.
void PpoTrainer::update_normalizer() {
  const std::vector<Moments> mine = experience_->observation_moments(local_groups());
  const std::string bytes(reinterpret_cast<const char*>(mine.data()),
                          mine.size() * sizeof(Moments));
  std::vector<Moments> total(static_cast<std::size_t>(spec_.observed.elements));
  for (const std::string& part : group_.all_gather(bytes, "observation statistics")) {
    for (std::size_t k = 0; k < part.size() / sizeof(Moments); ++k) {
      Moments m;
      std::memcpy(&m, part.data() + k * sizeof(Moments), sizeof(Moments));
      total[k % total.size()].merge(m);
    }
  }
  weights_.normalizer.merge(total);
}

int PpoTrainer::local_groups() const {
  return options_.groups > 0 ? options_.groups / group_.world_size() : 1;
}

std::int64_t PpoTrainer::bytes_per_environment() const {
  EnvBatch& batch = experience_->batch();
  return batch.bytes_per_environment() +
         static_cast<std::int64_t>(experience_->buffer_bytes()) / batch.num_envs();
}

}  // namespace rollmill
