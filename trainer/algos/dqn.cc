#include "trainer/algos/dqn.h"

#include <algorithm>
#include <cmath>

#include "core/math/math.h"
#include "rollout/mlp/distribution.h"
#include "rollout/mlp/elementwise.h"
#include "trainer/fused/patch_backward.h"
#include "trainer/state_arrays.h"

namespace rollmill {
namespace {

// The greedy action, or with probability epsilon any allowed one: keyed as a policy's samples are.
class EpsilonGreedy final : public Policy {
 public:
  EpsilonGreedy(const EnvSpec& spec, const PolicyWeights& weights, std::uint64_t seed,
                double epsilon)
      : greedy_(spec, weights, seed, /*greedy=*/true),
        seed_(seed),
        epsilon_(static_cast<float>(epsilon)),
        choices_(spec.choices[0]) {}
  void act(const ActRequest& q) const override {
    greedy_.act(q);
    for (int i = q.begin; i < q.end; ++i) {
      explore(q, i, action_rng(seed_, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]),
              epsilon_, choices_);
    }
  }
  std::string id() const override { return "epsilon-greedy"; }
  std::string hash() const override { return greedy_.hash(); }

 private:
  MlpPolicy greedy_;
  std::uint64_t seed_;
  float epsilon_;
  int choices_;
};

// A thread's own, since it is large: a tile needs it from its first network forward to its gradient.
std::shared_ptr<PatchWindow> window_of_thread(const MlpLayout& layout) {
  thread_local std::shared_ptr<PatchWindow> window;
  thread_local PolicyShape shape;
  if (!window || !(shape == layout.shape)) {
    window = PatchWindow::of(layout, std::make_shared<PatchRoom>());
    shape = layout.shape;
  }
  return window;
}

}  // namespace

// Everything one tile of rows needs, allocated once. Columns are [kTileRows] each.
struct DqnTrainer::Tile {
  Tile(const MlpLayout& layout, int row_words, int mask_words)
      : forward(layout),
        next(static_cast<std::size_t>(row_words) * kTileRows),
        mask(static_cast<std::size_t>(mask_words) * kTileRows),
        q(static_cast<std::size_t>(layout.shape.outputs()) * kTileRows),
        q_target(q.size()),
        dhead(static_cast<std::size_t>(layout.actor.head().width) * kTileRows),
        scratch(static_cast<std::size_t>(backward_scratch(layout.max_width))),
        dpatches(layout.shape.by_patch()
                     ? static_cast<std::size_t>(layout.actor.dense.front().width) * kTileRows
                     : 0) {}
  ForwardScratch forward;
  AlignedVector<float> next;         // [rows][words] observations to bootstrap from
  AlignedVector<Word> mask;          // [words][kTileRows] of those
  AlignedVector<float> q, q_target;  // [actions][kTileRows]
  AlignedVector<float> dhead, scratch, dpatches;
  std::int64_t at[kTileRows];
  float target[kTileRows], derivative[kTileRows];
  std::int32_t action[kTileRows];
  double loss = 0, value = 0, error = 0;
};

DqnTrainer::DqnTrainer(const TrainOptions& options, ProcessGroup& group)
    : run_(options, group),
      weights_(dqn_shape(run_.spec, options)),
      collector_(find_env(options.env.id), run_.batch_config(),
                 parse_device(options.env.device, "env.device"), dqn_replay(options), *run_.pool,
                 group),
      gradient_(weights_.layout.size, options.dqn.replay.batch_size),
      actor_transposed_(weights_.layout.actor),
      critic_transposed_(weights_.layout.critic),
      drawn_(static_cast<std::size_t>(options.dqn.replay.batch_size)),
      errors_(drawn_.size()) {
  initialize_weights(weights_, options.seed, 0.0f);
  target_ = weights_.params;
  optimizer_.first.resize(target_.size());
  optimizer_.second.resize(target_.size());
  for (int t = 0; t < gradient_.tiles(); ++t)
    tiles_.push_back(
        std::make_unique<Tile>(weights_.layout, replay().row_words(), run_.spec.mask_columns));
  collector_.reset();
}

DqnTrainer::~DqnTrainer() = default;

UpdateReport DqnTrainer::step() {
  const TrainOptions& o = run_.options;
  const OffPolicyOptions& r = o.dqn.replay;
  UpdateReport report;
  std::vector<EpisodeRecord> finished;
  sums_ = {};
  env_steps_ = run_.progress.env_steps;
  // 1. Experience, and 2. learning from what the buffer holds.
  run_turns(
      r, collector_, env_steps_, finished, report,
      [&](std::vector<EpisodeRecord>& ended) {
        collector_.step(EpsilonGreedy(run_.spec, weights_, o.seed, epsilon()), ended);
      },
      [&] { learn(); });
  // 3. Bookkeeping.
  report.faults = batch().take_faults();
  report.skipped = sums_.skipped;
  report.metrics = dqn_metrics(sums_, o, env_steps_, optimizer_.step);
  run_.count(finished, std::int64_t{r.report_every} * o.env.num_envs, batch(), report);
  return report;
}

double DqnTrainer::epsilon() const { return epsilon_at(run_.options.dqn, env_steps_); }

float DqnTrainer::beta() const {
  return beta_at(run_.options.dqn, env_steps_, run_.options.total_steps);
}

void DqnTrainer::learn() {
  const DqnOptions& o = run_.options.dqn;
  const OffPolicyOptions& r = o.replay;
  collector_.replay().draw(run_.options.seed, optimizer_.attempt(), beta(), r.batch_size,
                           drawn_.data());
  actor_transposed_.pack(weights_.layout.actor, weights_.params.data());
  if (!weights_.layout.critic.dense.empty())
    critic_transposed_.pack(weights_.layout.critic, weights_.params.data());
  gradient_.run(*run_.pool, [&](int t, int first, int rows, float* gradient) {
    tile_gradient(*tiles_[static_cast<std::size_t>(t)], first, rows, gradient);
  });
  const AdamOptions adam{r.adam_beta1, r.adam_beta2, r.adam_epsilon, r.max_grad_norm,
                         run_.options.max_skipped};
  const double rate = learning_rate_at(r, env_steps_, run_.options.total_steps);
  const double norm = adam_update(adam, rate, gradient_, weights_.params, optimizer_, "network");
  if (optimizer_.skipped > 0) {  // errors that are not finite must not become priorities
    ++sums_.skipped;
    return;
  }
  sums_.norm += norm;
  collector_.replay().set_errors(drawn_.data(), errors_.data(), r.batch_size);
  if (optimizer_.step % o.target_every == 0) track(weights_.params, r.tau, target_);
  for (const auto& tile : tiles_) {
    sums_.loss += tile->loss / r.batch_size;
    sums_.value += tile->value / r.batch_size;
    sums_.error += tile->error / r.batch_size;
  }
  ++sums_.updates;
}

void DqnTrainer::tile_gradient(Tile& tile, int first, int rows, float* gradient) {
  tile.forward.window = window_of_thread(weights_.layout);
  bootstrap(tile, first, rows);
  const int words = replay().row_words();
  for (int r = 0; r < rows; ++r) {
    const std::int64_t row = drawn_[static_cast<std::size_t>(first + r)].row;
    tile.at[r] = row * words;
    tile.action[r] = replay().action(row)[0];
  }
  gather(tile, replay().observations(), rows);
  values(weights_.params.data(), tile, rows, tile.q.data());
  loss_rows(tile, first, rows);
  backward(tile, rows, gradient);
}

// target = n-step reward + discount * the value of the best next action that is allowed.
void DqnTrainer::bootstrap(Tile& tile, int first, int rows) {
  const int words = replay().row_words(), actions = weights_.layout.shape.choices[0];
  float discount[kTileRows];
  for (int r = 0; r < rows; ++r) {
    tile.at[r] = std::int64_t{r} * words;
    const NStep n = replay().n_step(drawn_[static_cast<std::size_t>(first + r)].row,
                                    tile.next.data() + tile.at[r]);
    tile.target[r] = n.reward;
    discount[r] = n.discount;
    const Word* mask = replay().mask(tile.next.data() + tile.at[r]);
    for (int w = 0; w < run_.spec.mask_columns; ++w)
      tile.mask[static_cast<std::size_t>(w * kTileRows + r)] = mask[w];
  }
  gather(tile, tile.next.data(), rows);
  values(target_.data(), tile, rows, tile.q_target.data());
  const bool twice = run_.options.dqn.double_q;
  if (twice) values(weights_.params.data(), tile, rows, tile.q.data());
  float* chosen_by = twice ? tile.q.data() : tile.q_target.data();
  if (!tile.mask.empty()) exclude_masked(chosen_by, tile.mask.data(), 0, actions, rows);
  argmax_categorical(chosen_by, actions, rows, tile.action);
  for (int r = 0; r < rows; ++r)
    tile.target[r] += discount[r] * tile.q_target[tile.action[r] * kTileRows + r];
}

// Observations at tile.at.
void DqnTrainer::gather(Tile& tile, const float* observations, int rows) {
  ForwardScratch& s = tile.forward;
  s.input.gather({observations, 1}, tile.at, nullptr, rows, weights_.normalizer);
  if (!s.window) return;
  s.window->ids.clear();
  s.window->ids.add(s.input, rows);
  s.window->ids.name();
}

// q [actions][kTileRows] of the tile's input.
void DqnTrainer::values(const float* params, Tile& tile, int rows, float* q) {
  const MlpLayout& layout = weights_.layout;
  const int actions = layout.shape.choices[0];
  ForwardScratch& s = tile.forward;
  if (s.window) s.window->prepare(params);
  network_forward(layout.actor, params, s.input, rows, s.actor, s.actor_rows());
  head_to_columns(s.actor.head(), layout.actor.head().width, actions, rows, q);
  if (!run_.options.dqn.duelling) return;
  // The state's value: the critic's, or the last output of a shared network.
  const bool shared = layout.shape.trunk == Trunk::kShared;
  if (!shared) network_forward(layout.critic, params, s.input, rows, s.critic, s.critic_rows());
  const float* v = shared ? s.actor.head() + actions : s.critic.head();
  const int width = (shared ? layout.actor : layout.critic).head().width;
  for (int r = 0; r < rows; ++r) add_state_value<kTileRows>(q + r, actions, v[r * width]);
}

// The loss of the tile's rows and its derivatives by Q(s, a).
void DqnTrainer::loss_rows(Tile& tile, int first, int rows) {
  const float limit = run_.options.dqn.huber;
  const float inv_n = 1.0f / static_cast<float>(run_.options.dqn.replay.batch_size);
  tile.loss = tile.value = tile.error = 0;
  for (int r = 0; r < rows; ++r) {
    const auto k = static_cast<std::size_t>(first + r);
    const float q = tile.q[tile.action[r] * kTileRows + r];
    const DqnLoss loss = dqn_loss(q, tile.target[r], drawn_[k].weight, limit, inv_n);
    tile.derivative[r] = loss.derivative;
    errors_[k] = loss.error;
    tile.loss += static_cast<double>(loss.loss);
    tile.value += static_cast<double>(q);
    tile.error += static_cast<double>(loss.error);
  }
}

void DqnTrainer::backward(Tile& tile, int rows, float* gradient) {
  const MlpLayout& layout = weights_.layout;
  const int actions = layout.shape.choices[0], width = layout.actor.head().width;
  const bool duelling = run_.options.dqn.duelling, shared = layout.shape.trunk == Trunk::kShared;
  std::fill(tile.dhead.begin(), tile.dhead.end(), 0.0f);
  for (int r = 0; r < rows; ++r) {
    dqn_head_row(tile.derivative[r], tile.action[r], actions, duelling, shared,
                 tile.dhead.data() + r * width);
  }
  ForwardScratch& s = tile.forward;
  const auto network = [&](const Network& net, const TransposedWeights& transposed,
                           const NetActivations& activations, const PatchSums* patches) {
    float* dpatches = patches == nullptr ? nullptr : tile.dpatches.data();
    network_backward(net, transposed, s.input, rows, activations, tile.dhead.data(),
                     tile.scratch.data(), layout.max_width, gradient, nullptr, dpatches);
    if (patches != nullptr) patch_backward(net, *patches, transposed.layer(0), dpatches, gradient);
  };
  network(layout.actor, actor_transposed_, s.actor, s.actor_rows().sums);
  if (!duelling || shared) return;
  const int critic_width = layout.critic.head().width;
  std::fill(tile.dhead.begin(), tile.dhead.end(), 0.0f);
  for (int r = 0; r < rows; ++r)
    tile.dhead[static_cast<std::size_t>(r * critic_width)] = tile.derivative[r];
  network(layout.critic, critic_transposed_, s.critic, s.critic_rows().sums);
}

void DqnTrainer::save(H5Group& root) {
  write_optimizer(root, "optimizer", optimizer_);
  write_array<float>(root, "target", target_);
  collector_.save(root);
}

std::function<void()> DqnTrainer::read(const H5Group& root, const std::string& path) {
  OptimizerState optimizer = read_optimizer(root, "optimizer", optimizer_.first.size(), path);
  const auto target = read_finite(root, "target", target_.size(), path, "the target network");
  return [this, optimizer = std::move(optimizer), target, replay = collector_.read(root, path)] {
    optimizer_ = optimizer;
    target_.assign(target.begin(), target.end());
    replay();
  };
}

}  // namespace rollmill
