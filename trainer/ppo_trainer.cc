#include "trainer/ppo_trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/base/error.h"
#include "core/log/log.h"
#include "envs/env.h"
#include "envs/registry.h"
#include "trainer/fused/minibatch_shards.h"
#include "trainer/fused/shard.h"
#include "trainer/guards.h"
#include "trainer/imitation/imitation.h"
#include "trainer/imitation/initial_policy.h"
#include "trainer/make_learner.h"
#include "trainer/state_arrays.h"

namespace rollmill {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Metric> metrics_of(const UpdateStats& s, double learning_rate) {
  return {{"policy_loss", s.policy_loss},
          {"value_loss", s.value_loss},
          {"entropy", s.entropy},
          {"approx_kl", s.approx_kl},
          {"clip_fraction", s.clip_fraction},
          {"explained_variance", s.explained_variance},
          {"grad_norm", s.grad_norm},
          {"learning_rate", learning_rate},
          {"skipped", static_cast<double>(s.skipped)},
          {"epochs", static_cast<double>(s.epochs)},
          {"first_ratio_error", s.first_ratio_error}};
}

// The CPU's learner takes this much when it learns first; a network that is too large is refused before it is initialised.
void check_learner_memory(const TrainRun& run, const MlpLayout& layout) {
  const TrainOptions& o = run.options;
  const int groups = groups_of_rank(o.groups, run.group);
  const bool sequences = layout.shape.memory_columns() > 0;
  const int whole = o.ppo.sequence_length > 0 ? o.ppo.sequence_length : o.ppo.horizon;
  const int length = sequences ? whole : 1;
  const int units = o.ppo.horizon / length * (run.batch_config().num_envs / groups) /
                    std::max(o.ppo.minibatches, 1);
  const int shards = minibatch_shards(units, shard_units(layout.shape), layout.size);
  check_shard_memory(layout.size, shards * groups, run.pool->threads());
}

}  // namespace

PpoTrainer::PpoTrainer(const TrainOptions& options, ProcessGroup& group, int local_rank,
                       const PpoParts& parts)
    : run_(options, group), now_(options.ppo), weights_(shape_for(run_.spec, options.policy)) {
  weights_.normalizer = ObservationNormalizer(
      run_.spec.observed.elements, options.normalize_observations, options.clip_observations);
  if (options.kernels == "fused" && !options.env.device.starts_with("cuda"))
    check_learner_memory(run_, weights_.layout);
  initialize_weights(weights_, options.seed, options.log_std_init, options.init_gains);
  frozen_ = actor_weights_of(options.actor_ignores, run_.spec, weights_.layout);
  set_to_zero(frozen_, weights_.params.data());
  optimizer_.first.resize(weights_.params.size());
  optimizer_.second.resize(weights_.params.size());
  ExperienceConfig config;
  config.env = &find_env(options.env.id);
  config.batch = run_.batch_config();
  config.horizon = options.ppo.horizon;
  config.seed = options.seed;
  config.frame_stack = options.policy.frame_stack;
  config.sequence_length = options.ppo.sequence_length;
  config.burn_in = options.ppo.burn_in;
  config.overlap = options.ppo.overlap;
  config.threads = run_.pool->threads();
  config.bf16 = options.bf16 && options.kernels == "fused";
  config.exact = options.groups > 0;
  warn_of_slow_bf16(options, group);
  config.device = parse_device(options.env.device, "env.device");
  config.local_rank = local_rank;
  experience_ = parts.experience(config, weights_, *run_.pool);
  if (options.ppo.normalize_rewards) rewards_.emplace(config.batch.num_envs, options.ppo.gamma);
  LearnerContext context{&now_, &weights_, &optimizer_, &group, run_.pool.get(), options.seed};
  context.cuda = experience_->cuda();
  context.device = config.device.gpu(local_rank);
  context.groups = options.groups;
  context.frozen = frozen_;
  context.bf16 = options.bf16;
  learner_ = parts.learner(options.kernels, context);
  experience_->reset();
  if (options.algorithm == "distill") {
    const RolloutBuffer& b = experience_->buffer();
    teacher_ = std::make_unique<Teacher>(options.distill.teacher, run_.spec, weights_.layout.shape,
                                         b.num_envs, b.stride, options.seed,
                                         options.distill.greedy_teacher);
  }
}

PpoTrainer::~PpoTrainer() = default;

UpdateReport PpoTrainer::step() {
  const TrainOptions& o = run_.options;
  UpdateReport report;
  now_ = annealed(
      o.ppo, static_cast<double>(run_.progress.env_steps) / static_cast<double>(o.total_steps));
  const double rate = now_.learning_rate;

  // 0. What the run starts from, if not from random weights; a checkpoint has it.
  if (run_.progress.update == 0 && !o.init.policy.empty())
    start_from("init.policy", o.init.policy, weights_);
  if (run_.progress.update == 0) set_to_zero(frozen_, weights_.params.data());
  if (run_.progress.update == 0 && !o.init.dataset.empty() && !imitate_first(run_, weights_)) {
    report.stopped = true;
    return report;
  }

  // 1. Experience: horizon steps in every environment, with values and advantages.
  const auto start = std::chrono::steady_clock::now();
  experience_->refresh_policy();
  if (teacher_) teacher_->watch(batch().episodes());
  AdvantageOptions advantage{o.ppo.gamma, o.ppo.gae_lambda, o.reward_scale};
  if (rewards_) advantage.reward_scale *= rewards_->scale();
  if (o.ppo.clip_rewards > 0.0f) advantage.reward_clip = o.ppo.clip_rewards;
  experience_->collect(advantage);
  if (teacher_) teacher_->label(experience_->buffer(), *run_.pool);
  report.collect_seconds = o.ppo.overlap ? experience_->made_in_seconds() : seconds_since(start);
  report.env_seconds = report.collect_seconds * experience_->environment_share();

  // 2. Learning from it, with the observation statistics it was acted with.
  const auto learn_start = std::chrono::steady_clock::now();
  experience_->begin_next();
  const UpdateStats stats = learn(rate);
  experience_->finish_next();
  report.skipped = stats.skipped;
  report.metrics = metrics_of(stats, rate);
  if (o.ppo.overlap) {
    const Staleness stale = experience_->staleness();
    report.metrics.insert(
        report.metrics.end(),
        {{"stale_ratio", stale.mean_ratio}, {"stale_cut", stale.cut}, {"stale_kl", stale.kl}});
  }
  report.learn_seconds = seconds_since(learn_start);

  // 3. Bookkeeping; the statistics learn from this rollout last, so that log-probabilities stay comparable.
  if (weights_.normalizer.enabled()) update_normalizer();
  if (rewards_) rewards_->update(experience_->buffer(), local_groups(), *run_.pool, run_.group);
  report.faults = batch().take_faults();  // with overlap those of the rollout that waits
  run_.count(run_.of_all_ranks(finished_episodes(report)),
             std::int64_t{o.ppo.horizon} * o.env.num_envs, batch(), report);
  experience_->advance();
  return report;
}

UpdateStats PpoTrainer::learn(double rate) {
  try {
    return learner_->update(experience_->buffer(), run_.progress.update, rate);
  } catch (const Error& e) {
    if (e.code() != ExitCode::kNumerical || experience_->cuda()) throw;
    const std::string first = first_not_finite(experience_->buffer());
    fail_numerical("update " + std::to_string(run_.progress.update) + ": " + e.what() +
                   (first.empty() ? "; the rollout's own numbers are finite"
                                  : "; the first in the rollout: " + first));
  }
}

std::string PpoTrainer::observation_not_finite() {
  if (experience_->cuda()) return "";
  return first_observation_not_finite(experience_->buffer(), run_.spec,
                                      run_.batch_config().first_environment);
}

void PpoTrainer::save(H5Group& root) {
  write_optimizer(root, "optimizer", optimizer_);
  write_array<float>(root, "observations", experience_->first_observations());
  if (const auto memory = experience_->memory(); !memory.empty())
    write_array<float>(root, "memory", memory);
  if (const auto waiting = experience_->waiting(); !waiting.empty())
    write_array<std::uint8_t>(root, "waiting_rollout", waiting);
  if (rewards_) rewards_->save(root);
  if (!teacher_) return;
  const std::string hash = teacher_->hash();
  write_array<std::uint8_t>(root, "teacher",
                            {reinterpret_cast<const std::uint8_t*>(hash.data()), hash.size()});
  if (!teacher_->memory().empty()) write_array<float>(root, "teacher_memory", teacher_->memory());
}

std::function<void()> PpoTrainer::read(const H5Group& root, const std::string& path) {
  OptimizerState optimizer = read_optimizer(root, "optimizer", optimizer_.first.size(), path);
  std::vector<float> observations =
      read_array<float>(root, "observations", experience_->first_observations().size(), path);
  std::vector<float> memory;
  if (const std::size_t size = experience_->memory().size(); size > 0)
    memory = read_finite(root, "memory", size, path, "the policy's memory");
  std::vector<std::uint8_t> waiting;
  if (const std::size_t bytes = experience_->waiting_bytes();
      bytes > 0 && root.has("waiting_rollout"))  // not before the first update
    waiting = read_array<std::uint8_t>(root, "waiting_rollout", bytes, path);
  std::optional<RewardNormalizer> rewards;
  if (rewards_) {
    rewards =
        RewardNormalizer::read(root, path, experience_->batch().num_envs(), run_.options.ppo.gamma);
  }
  if (teacher_) {
    const auto saved = root.open_dataset("teacher").read_vector<std::uint8_t>();
    const std::string hash = teacher_->hash();
    if (!std::equal(saved.begin(), saved.end(), hash.begin(), hash.end())) {
      fail_data(path + ": the run began with another teacher than distill.teacher = \"" +
                run_.options.distill.teacher + "\" is now; name the checkpoint that it was");
    }
  }
  std::vector<float> teacher;
  if (teacher_ && !teacher_->memory().empty()) {
    teacher = read_finite(root, "teacher_memory", teacher_->memory().size(), path,
                          "the teacher's memory");
  }
  return [this, optimizer = std::move(optimizer), observations = std::move(observations),
          memory = std::move(memory), rewards = std::move(rewards), waiting = std::move(waiting),
          teacher = std::move(teacher)]() mutable {
    experience_->set_waiting(waiting);
    if (!teacher.empty()) teacher_->memory() = std::move(teacher);
    rewards_ = std::move(rewards);
    optimizer_ = std::move(optimizer);
    experience_->set_first_observations(observations);
    experience_->set_memory(memory);
  };
}

std::vector<EpisodeRecord> PpoTrainer::finished_episodes(UpdateReport& report) const {
  std::vector<EpisodeRecord> finished = experience_->finished_episodes(local_groups());
  if (experience_->cuda()) {  // a GPU's batch ends them, and leaves the counting to its episodes
    for (const EpisodeRecord& e : finished) report.faults.count += e.outcome == kOutcomeNotFinite;
  }
  return finished;
}

// Groups of all ranks, merged in group order. One number that is not finite would stay in the statistics, and in every policy
// of the run from then on.
void PpoTrainer::update_normalizer() {
  const std::vector<Moments> mine = experience_->observation_moments(local_groups());
  const std::string bytes(reinterpret_cast<const char*>(mine.data()),
                          mine.size() * sizeof(Moments));
  std::vector<Moments> total(static_cast<std::size_t>(run_.spec.observed.elements));
  for (const std::string& part : run_.group.all_gather(bytes, "observation statistics")) {
    for (std::size_t k = 0; k < part.size() / sizeof(Moments); ++k) {
      Moments m;
      std::memcpy(&m, part.data() + k * sizeof(Moments), sizeof(Moments));
      total[k % total.size()].merge(m);
    }
  }
  for (std::size_t k = 0; k < total.size(); ++k) {
    if (std::isfinite(total[k].mean) && std::isfinite(total[k].m2)) continue;
    fail_numerical("update " + std::to_string(run_.progress.update) + ": observation '" +
                   run_.spec.observation[k].name +
                   "' is NaN or infinite (policy.normalize_observations keeps its mean)");
  }
  weights_.normalizer.merge(total);
}

int PpoTrainer::local_groups() const { return groups_of_rank(run_.options.groups, run_.group); }

std::int64_t PpoTrainer::bytes_per_environment() const {
  EnvBatch& batch = experience_->batch();
  return batch.bytes_per_environment() +
         static_cast<std::int64_t>(experience_->buffer_bytes()) / batch.num_envs();
}

}  // namespace rollmill
