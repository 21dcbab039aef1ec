#include "trainer/algos/sac.h"

#include <algorithm>
#include <cmath>

#include "core/math/math.h"
#include "core/rng/rng.h"
#include "rollout/mlp/distribution.h"
#include "trainer/algos/twin_rows.h"
#include "trainer/fused/adam.h"
#include "trainer/may_step.h"
#include "trainer/state_arrays.h"

namespace rollmill {

// Everything one tile of rows needs, allocated once. Columns are [kTileRows] each.
struct SacTrainer::Tile {
  Tile(const MlpLayout& layout, const TwinCritic& twin, int observation_words)
      : forward(layout),
        critic(twin),
        next(static_cast<std::size_t>(observation_words) * kTileRows),
        raw(static_cast<std::size_t>(layout.shape.reals) * kTileRows),
        noise(raw.size()),
        dvalue(raw.size()),
        dhead(static_cast<std::size_t>(layout.actor.head().width) * kTileRows),
        scratch(static_cast<std::size_t>(backward_scratch(layout.max_width))) {}
  ForwardScratch forward;
  TwinCritic::Tile critic;
  AlignedVector<float> next;        // [rows][words] observations to bootstrap from
  AlignedVector<float> raw, noise;  // [actions]: before the tanh; standard normal
  AlignedVector<float> dvalue;      // [actions] d Q / d action
  AlignedVector<float> dhead, scratch;
  std::int64_t at[kTileRows];
  float logp[kTileRows], target[kTileRows];
  TwinCritic::Sums sums;
  double actor_loss = 0, logp_sum = 0;
};

SacTrainer::SacTrainer(const TrainOptions& options, ProcessGroup& group)
    : run_(options, group),
      weights_(twin_actor_shape(run_.spec, options)),
      critic_(weights_.layout.shape, options.seed),
      scale_(run_.spec),
      log_temperature_(1),
      collector_(find_env(options.env.id), run_.batch_config(),
                 parse_device(options.env.device, "env.device"),
                 replay_config(options, options.sac.replay), *run_.pool, group),
      actor_gradient_(weights_.layout.size, options.sac.replay.batch_size),
      critic_gradient_(2 * critic_.layout().size, options.sac.replay.batch_size),
      transposed_(weights_.layout.actor),
      drawn_(static_cast<std::size_t>(options.sac.replay.batch_size)) {
  initialize_weights(weights_, options.seed, options.log_std_init);
  optimizer_.first.resize(weights_.params.size());
  optimizer_.second.resize(weights_.params.size());
  log_temperature_[0] = math::log(options.sac.temperature);
  temperature_optimizer_.first.resize(log_temperature_.size());
  temperature_optimizer_.second.resize(log_temperature_.size());
  for (int t = 0; t < actor_gradient_.tiles(); ++t) {
    tiles_.push_back(
        std::make_unique<Tile>(weights_.layout, critic_, run_.spec.observation_columns()));
  }
  collector_.reset();
}

SacTrainer::~SacTrainer() = default;

float SacTrainer::temperature() const { return math::exp(log_temperature_[0]); }

double SacTrainer::rate() const {
  return learning_rate_at(run_.options.sac.replay, env_steps_, run_.options.total_steps);
}

UpdateReport SacTrainer::step() {
  const TrainOptions& o = run_.options;
  const OffPolicyOptions& r = o.sac.replay;
  const MlpPolicy policy(run_.spec, weights_, o.seed, /*greedy=*/false);
  const RandomPolicy anything(run_.spec, o.seed);
  UpdateReport report;
  std::vector<EpisodeRecord> finished;
  sums_ = {};
  env_steps_ = run_.progress.env_steps;
  // 1. Experience, and 2. learning from what the buffer holds.
  run_turns(
      r, collector_, env_steps_, finished, report,
      [&](std::vector<EpisodeRecord>& ended) {
        const bool learnt = env_steps_ >= r.learning_starts;  // at random until then
        collector_.step(learnt ? static_cast<const Policy&>(policy) : anything, ended);
      },
      [&] { learn(); });
  // 3. Bookkeeping.
  report.faults = batch().take_faults();
  report.skipped = sums_.skipped;
  report.metrics = sac_metrics(sums_, temperature(), rate(), optimizer_.step);
  run_.count(finished, std::int64_t{r.report_every} * o.env.num_envs, batch(), report);
  return report;
}

void SacTrainer::learn() {
  const SacOptions& o = run_.options.sac;
  const int rows = o.replay.batch_size;
  collector_.replay().draw(run_.options.seed, optimizer_.attempt(), 0.0f, rows, drawn_.data());
  learn_critics();
  learn_actor();
  if (optimizer_.skipped > 0 || critic_.optimizer().skipped > 0) ++sums_.skipped;
  if (optimizer_.skipped > 0) return;
  double logp = 0;
  for (const auto& tile : tiles_) {
    sums_.critic_loss += tile->sums.loss / rows;
    sums_.actor_loss += tile->actor_loss / rows;
    sums_.value += tile->sums.value / rows;
    logp += tile->logp_sum / rows;
  }
  sums_.entropy -= logp;
  if (o.automatic_temperature) learn_temperature(logp);
  critic_.track_target(o.replay.tau);
  ++sums_.updates;
}

void SacTrainer::learn_critics() {
  const OffPolicyOptions& r = run_.options.sac.replay;
  critic_.pack();
  critic_gradient_.run(*run_.pool, [&](int t, int first, int rows, float* gradient) {
    critic_tile(*tiles_[static_cast<std::size_t>(t)], first, rows, gradient);
  });
  const AdamOptions adam{r.adam_beta1, r.adam_beta2, r.adam_epsilon, r.max_grad_norm,
                         run_.options.max_skipped};
  critic_.update(adam, rate(), critic_gradient_);
}

void SacTrainer::learn_actor() {
  const OffPolicyOptions& r = run_.options.sac.replay;
  critic_.pack();
  transposed_.pack(weights_.layout.actor, weights_.params.data());
  actor_gradient_.run(*run_.pool, [&](int t, int first, int rows, float* gradient) {
    actor_tile(*tiles_[static_cast<std::size_t>(t)], first, rows, gradient);
  });
  const AdamOptions adam{r.adam_beta1, r.adam_beta2, r.adam_epsilon, r.max_grad_norm,
                         run_.options.max_skipped};
  adam_update(adam, rate(), actor_gradient_, weights_.params, optimizer_, "actor");
}

void SacTrainer::learn_temperature(double logp) {
  const SacOptions& o = run_.options.sac;
  OptimizerState& s = temperature_optimizer_;
  if (!may_step(logp, 0.0, run_.options.max_skipped, "temperature", s)) return;
  const float gradient = temperature_gradient(logp, o.target_entropy);
  const OffPolicyOptions& r = o.replay;
  const AdamStep step =
      adam_step(r.adam_beta1, r.adam_beta2, r.adam_epsilon, rate(), ++s.step, 1.0f);
  adam_range(step, &gradient, 0, 1, log_temperature_.data(), s.first.data(), s.second.data());
}

// Samples the policy at the observations in the tile's input: raw and noise, logp, and the actions into the critic's rows.
void SacTrainer::sample(Tile& tile, int first, int rows, std::uint32_t draw) {
  const MlpLayout& layout = weights_.layout;
  const int actions = layout.shape.reals;
  ForwardScratch& s = tile.forward;
  network_forward(layout.actor, weights_.params.data(), s.input, rows, s.actor);
  head_to_columns(s.actor.head(), layout.actor.head().width, 2 * actions, rows, s.head.data());
  for (int r = 0; r < rows; ++r) {
    Rng rng = update_noise(run_.options.seed, first + r, optimizer_.step, draw);
    for (int a = 0; a < actions; ++a)
      tile.noise[static_cast<std::size_t>(a * kTileRows + r)] = rng.normal();
  }
  critic_.set_observations(s.input, rows, tile.critic);
  std::fill(tile.logp, tile.logp + rows, 0.0f);
  for (int a = 0; a < actions; ++a) {
    const float *mean = s.head.data() + a * kTileRows, *log_std = mean + actions * kTileRows;
    float* raw = tile.raw.data() + a * kTileRows;
    for (int r = 0; r < rows; ++r) {
      raw[r] = squashed_raw(mean[r], log_std[r],
                            tile.noise[static_cast<std::size_t>(a * kTileRows + r)]);
    }
    add_squashed_logp(raw, mean, log_std, rows, tile.logp);
    for (int r = 0; r < rows; ++r) critic_.action(tile.critic, r, a) = math::tanh(raw[r]);
  }
}

// target = n-step reward + discount * (the lower critic's target value of a sampled next action + its entropy's worth).
void SacTrainer::bootstrap(Tile& tile, int first, int rows) {
  const int words = replay().row_words();
  float discount[kTileRows];
  for (int r = 0; r < rows; ++r) {
    tile.at[r] = std::int64_t{r} * words;
    const NStep n = replay().n_step(drawn_[static_cast<std::size_t>(first + r)].row,
                                    tile.next.data() + tile.at[r]);
    tile.target[r] = n.reward;
    discount[r] = n.discount;
  }
  tile.forward.input.gather({tile.next.data(), 1}, tile.at, nullptr, rows, weights_.normalizer);
  sample(tile, first, rows, kNextAction);
  critic_.values(critic_.target(), rows, tile.critic);
  const float alpha = temperature();
  for (int r = 0; r < rows; ++r) {
    const float value = math::min(tile.critic.q[0][r], tile.critic.q[1][r]);
    tile.target[r] += discount[r] * (value - alpha * tile.logp[r]);
  }
}

// Mean over the minibatch of half the squared error, for each critic.
void SacTrainer::critic_tile(Tile& tile, int first, int rows, float* gradient) {
  bootstrap(tile, first, rows);
  const int words = replay().row_words();
  for (int r = 0; r < rows; ++r)
    tile.at[r] = drawn_[static_cast<std::size_t>(first + r)].row * words;
  tile.forward.input.gather({replay().observations(), 1}, tile.at, nullptr, rows,
                            weights_.normalizer);
  critic_.set_observations(tile.forward.input, rows, tile.critic);
  for (int r = 0; r < rows; ++r)
    scale_.to_unit(replay().action(tile.at[r] / words), &critic_.action(tile.critic, r, 0));
  critic_.values(critic_.params(), rows, tile.critic);
  const float inv_n = 1.0f / static_cast<float>(run_.options.sac.replay.batch_size);
  tile.sums = critic_.regress(tile.target, inv_n, rows, tile.critic, gradient);
}

// Mean over the minibatch of temperature * log pi(a) - the lower critic's Q(a), a sampled through the noise.
void SacTrainer::actor_tile(Tile& tile, int first, int rows, float* gradient) {
  const MlpLayout& layout = weights_.layout;
  const int actions = layout.shape.reals, width = layout.actor.head().width;
  ForwardScratch& s = tile.forward;
  s.input.gather({replay().observations(), 1}, tile.at, nullptr, rows, weights_.normalizer);
  sample(tile, first, rows, kPresentAction);
  critic_.values(critic_.params(), rows, tile.critic);
  const float alpha = temperature();
  const float inv_n = 1.0f / static_cast<float>(run_.options.sac.replay.batch_size);
  float dq[2][kTileRows];
  tile.actor_loss = tile.logp_sum = 0;
  for (int r = 0; r < rows; ++r) {
    const bool second = tile.critic.q[1][r] < tile.critic.q[0][r];
    dq[0][r] = second ? 0.0f : 1.0f;
    dq[1][r] = second ? 1.0f : 0.0f;
    tile.actor_loss += static_cast<double>(alpha * tile.logp[r] - tile.critic.q[second ? 1 : 0][r]);
    tile.logp_sum += static_cast<double>(tile.logp[r]);
  }
  critic_.action_gradient(dq, rows, tile.critic, tile.dvalue.data());
  std::fill(tile.dhead.begin(), tile.dhead.end(), 0.0f);
  for (int a = 0; a < actions; ++a) {
    const float* log_std = s.head.data() + (actions + a) * kTileRows;
    for (int r = 0; r < rows; ++r) {
      const auto at = static_cast<std::size_t>(a * kTileRows + r);
      const SquashedGradient d = squashed_gradient(tile.raw[at], log_std[r], tile.noise[at],
                                                   tile.dvalue[at], alpha, inv_n);
      float* head = tile.dhead.data() + r * width;
      head[a] = d.mean;
      head[actions + a] = d.log_std;
    }
  }
  network_backward(layout.actor, transposed_, s.input, rows, s.actor, tile.dhead.data(),
                   tile.scratch.data(), layout.max_width, gradient);
}

void SacTrainer::save(H5Group& root) {
  write_optimizer(root, "optimizer", optimizer_);
  critic_.save(root);
  write_array<float>(root, "log_temperature", std::span<const float>(log_temperature_));
  write_optimizer(root, "temperature_optimizer", temperature_optimizer_);
  collector_.save(root);
}

std::function<void()> SacTrainer::read(const H5Group& root, const std::string& path) {
  const std::size_t n = log_temperature_.size();
  return [this, optimizer = read_optimizer(root, "optimizer", optimizer_.first.size(), path),
          critic = critic_.read(root, path),
          log_temperature = read_finite(root, "log_temperature", n, path, "the temperature"),
          temperature = read_optimizer(root, "temperature_optimizer", n, path),
          replay = collector_.read(root, path)] {
    optimizer_ = optimizer;
    critic();
    log_temperature_.assign(log_temperature.begin(), log_temperature.end());
    temperature_optimizer_ = temperature;
    replay();
  };
}

}  // namespace rollmill
