#include "trainer/algos/td3.h"

#include <algorithm>
#include <cmath>

#include "core/math/math.h"
#include "core/rng/rng.h"
#include "rollout/mlp/elementwise.h"
#include "trainer/algos/twin_rows.h"
#include "trainer/state_arrays.h"

namespace rollmill {
namespace {

// The policy's action and noise on it: keyed as a policy's samples are.
class NoisyPolicy final : public Policy {
 public:
  NoisyPolicy(const EnvSpec& spec, const PolicyWeights& weights, const ActionScale& scale,
              std::uint64_t seed, float noise)
      : policy_(spec, weights, seed, /*greedy=*/true), scale_(scale), seed_(seed), noise_(noise) {}
  void act(const ActRequest& q) const override {
    policy_.act(q);
    for (std::size_t a = 0; a < scale_.middle.size(); ++a) {
      auto* actions = static_cast<FloatWord*>(q.actions) + static_cast<std::int64_t>(a) * q.stride;
      for (int i = q.begin; i < q.end; ++i) {
        const Rng rng = action_rng(seed_, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]);
        actions[i] = noisy_action(actions[i], rng, static_cast<int>(a), noise_,
                                  scale_.half_range[a], scale_.low[a], scale_.high[a]);
      }
    }
  }
  std::string id() const override { return "noisy"; }
  std::string hash() const override { return policy_.hash(); }

 private:
  MlpPolicy policy_;
  const ActionScale& scale_;
  std::uint64_t seed_;
  float noise_;
};

}  // namespace

// Everything one tile of rows needs, allocated once. Columns are [kTileRows] each.
struct Td3Trainer::Tile {
  Tile(const MlpLayout& layout, const TwinCritic& twin, int observation_words)
      : forward(layout),
        critic(twin),
        next(static_cast<std::size_t>(observation_words) * kTileRows),
        dvalue(static_cast<std::size_t>(layout.shape.reals) * kTileRows),
        dhead(static_cast<std::size_t>(layout.actor.head().width) * kTileRows),
        scratch(static_cast<std::size_t>(backward_scratch(layout.max_width))) {}
  ForwardScratch forward;
  TwinCritic::Tile critic;
  AlignedVector<float> next;    // [rows][words] observations to bootstrap from
  AlignedVector<float> dvalue;  // [actions] d Q / d action
  AlignedVector<float> dhead, scratch;
  std::int64_t at[kTileRows];
  float target[kTileRows];
  TwinCritic::Sums sums;
  double policy_value = 0;
};

Td3Trainer::Td3Trainer(const TrainOptions& options, ProcessGroup& group)
    : run_(options, group),
      weights_(twin_actor_shape(run_.spec, options)),
      critic_(weights_.layout.shape, options.seed),
      scale_(run_.spec),
      collector_(find_env(options.env.id), run_.batch_config(),
                 parse_device(options.env.device, "env.device"),
                 replay_config(options, options.td3.replay), *run_.pool, group),
      actor_gradient_(weights_.layout.size, options.td3.replay.batch_size),
      critic_gradient_(2 * critic_.layout().size, options.td3.replay.batch_size),
      transposed_(weights_.layout.actor),
      drawn_(static_cast<std::size_t>(options.td3.replay.batch_size)) {
  initialize_weights(weights_, options.seed, 0.0f);
  target_ = weights_.params;
  optimizer_.first.resize(target_.size());
  optimizer_.second.resize(target_.size());
  for (int t = 0; t < actor_gradient_.tiles(); ++t) {
    tiles_.push_back(
        std::make_unique<Tile>(weights_.layout, critic_, run_.spec.observation_columns()));
  }
  collector_.reset();
}

Td3Trainer::~Td3Trainer() = default;

double Td3Trainer::rate() const {
  return learning_rate_at(run_.options.td3.replay, env_steps_, run_.options.total_steps);
}

UpdateReport Td3Trainer::step() {
  const TrainOptions& o = run_.options;
  const OffPolicyOptions& r = o.td3.replay;
  const NoisyPolicy policy(run_.spec, weights_, scale_, o.seed, o.td3.exploration_noise);
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
  report.metrics = td3_metrics(sums_, rate(), critic_.optimizer().step);
  run_.count(finished, std::int64_t{r.report_every} * o.env.num_envs, batch(), report);
  return report;
}

void Td3Trainer::learn() {
  const Td3Options& o = run_.options.td3;
  const OffPolicyOptions& r = o.replay;
  const AdamOptions adam{r.adam_beta1, r.adam_beta2, r.adam_epsilon, r.max_grad_norm,
                         run_.options.max_skipped};
  collector_.replay().draw(run_.options.seed, critic_.optimizer().attempt(), 0.0f, r.batch_size,
                           drawn_.data());
  critic_.pack();
  critic_gradient_.run(*run_.pool, [&](int t, int first, int rows, float* gradient) {
    critic_tile(*tiles_[static_cast<std::size_t>(t)], first, rows, gradient);
  });
  critic_.update(adam, rate(), critic_gradient_);
  if (critic_.optimizer().skipped > 0) {
    ++sums_.skipped;
    return;
  }
  ++sums_.updates;
  for (const auto& tile : tiles_) {
    sums_.critic_loss += tile->sums.loss / r.batch_size;
    sums_.value += tile->sums.value / r.batch_size;
  }
  if (critic_.optimizer().step % o.policy_every != 0) return;
  critic_.pack();
  transposed_.pack(weights_.layout.actor, weights_.params.data());
  actor_gradient_.run(*run_.pool, [&](int t, int, int rows, float* gradient) {
    actor_tile(*tiles_[static_cast<std::size_t>(t)], rows, gradient);
  });
  adam_update(adam, rate(), actor_gradient_, weights_.params, optimizer_, "actor");
  if (optimizer_.skipped > 0) {
    ++sums_.skipped;
    return;
  }
  track(weights_.params, r.tau, target_);
  critic_.track_target(r.tau);
  ++sums_.policy_updates;
  for (const auto& tile : tiles_) sums_.policy_value += tile->policy_value / r.batch_size;
}

// The policy's actions at the observations in the tile's input, into the critic's rows.
void Td3Trainer::act(const AlignedVector<float>& params, Tile& tile, int rows) {
  const MlpLayout& layout = weights_.layout;
  ForwardScratch& s = tile.forward;
  network_forward(layout.actor, params.data(), s.input, rows, s.actor);
  critic_.set_observations(s.input, rows, tile.critic);
  const int width = layout.actor.head().width;
  for (int r = 0; r < rows; ++r) {
    for (int a = 0; a < layout.shape.reals; ++a)
      critic_.action(tile.critic, r, a) = math::tanh(s.actor.head()[r * width + a]);
  }
}

// target = n-step reward + discount * the lower critic's target value near the target policy's next action.
void Td3Trainer::bootstrap(Tile& tile, int first, int rows) {
  const Td3Options& o = run_.options.td3;
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
  act(target_, tile, rows);
  for (int r = 0; r < rows; ++r) {
    Rng rng = update_noise(run_.options.seed, first + r, critic_.optimizer().step, 0);
    for (int a = 0; a < weights_.layout.shape.reals; ++a) {
      float& action = critic_.action(tile.critic, r, a);
      action = near_action(action, rng.normal(), o.target_noise, o.target_noise_clip);
    }
  }
  critic_.values(critic_.target(), rows, tile.critic);
  for (int r = 0; r < rows; ++r)
    tile.target[r] += discount[r] * math::min(tile.critic.q[0][r], tile.critic.q[1][r]);
}

// Mean over the minibatch of half the squared error, for each critic.
void Td3Trainer::critic_tile(Tile& tile, int first, int rows, float* gradient) {
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
  const float inv_n = 1.0f / static_cast<float>(run_.options.td3.replay.batch_size);
  tile.sums = critic_.regress(tile.target, inv_n, rows, tile.critic, gradient);
}

// Mean over the minibatch of -Q(policy's action) of the first critic, at the rows that critic_tile left in tile.at.
void Td3Trainer::actor_tile(Tile& tile, int rows, float* gradient) {
  const MlpLayout& layout = weights_.layout;
  const int width = layout.actor.head().width;
  ForwardScratch& s = tile.forward;
  s.input.gather({replay().observations(), 1}, tile.at, nullptr, rows, weights_.normalizer);
  act(weights_.params, tile, rows);
  critic_.values(critic_.params(), rows, tile.critic);
  const float inv_n = 1.0f / static_cast<float>(run_.options.td3.replay.batch_size);
  float dq[2][kTileRows] = {};
  tile.policy_value = 0;
  for (int r = 0; r < rows; ++r) {
    dq[0][r] = -inv_n;
    tile.policy_value += static_cast<double>(tile.critic.q[0][r]);
  }
  critic_.action_gradient(dq, rows, tile.critic, tile.dvalue.data());
  std::fill(tile.dhead.begin(), tile.dhead.end(), 0.0f);
  for (int a = 0; a < layout.shape.reals; ++a) {
    for (int r = 0; r < rows; ++r) {
      const float unit = critic_.action(tile.critic, r, a);
      tile.dhead[static_cast<std::size_t>(r * width + a)] =
          tile.dvalue[static_cast<std::size_t>(a * kTileRows + r)] * (1.0f - unit * unit);
    }
  }
  network_backward(layout.actor, transposed_, s.input, rows, s.actor, tile.dhead.data(),
                   tile.scratch.data(), layout.max_width, gradient);
}

void Td3Trainer::save(H5Group& root) {
  write_optimizer(root, "optimizer", optimizer_);
  write_array<float>(root, "target", target_);
  critic_.save(root);
  collector_.save(root);
}

std::function<void()> Td3Trainer::read(const H5Group& root, const std::string& path) {
  return [this, optimizer = read_optimizer(root, "optimizer", optimizer_.first.size(), path),
          target = read_finite(root, "target", target_.size(), path, "the target policy"),
          critic = critic_.read(root, path), replay = collector_.read(root, path)] {
    optimizer_ = optimizer;
    target_.assign(target.begin(), target.end());
    critic();
    replay();
  };
}

}  // namespace rollmill
