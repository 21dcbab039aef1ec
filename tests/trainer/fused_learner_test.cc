// The update as a whole: the same on any number of threads, early stopping, minibatches, exact ratios on real rollouts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "envs/registry.h"
#include "rollout/collector.h"
#include "tests/support/counter_env.h"
#include "tests/trainer/scene.h"

namespace rollmill {
namespace {

using testing::Scene;

TEST(FusedLearner, TheSameWeightsOnAnyNumberOfThreads) {
  for (bool discrete : {true, false}) {
    // 37 x 53 samples: minibatches of 1961 rows are 21 shards, the last tiles not full; wide enough for several
    // chunks of the reduction.
    const auto run = [&](int threads) {
      auto s = std::make_unique<Scene>(discrete, std::vector<int>{70, 40}, 37, 53, 9, threads);
      s->options.epochs = 2;
      s->options.minibatches = 1;
      s->options.entropy_coefficient = 0.01f;
      const auto learner = s->learner();
      for (int update = 0; update < 2; ++update) learner->update(s->rollout.buffer(), update, 1e-3);
      return s;
    };
    const auto one = run(1);
    EXPECT_NE(one->weights.params, Scene(discrete, {70, 40}, 37, 53, 9).weights.params);
    for (int threads : {2, 3, 8}) {
      const auto many = run(threads);
      EXPECT_EQ(many->weights.params, one->weights.params) << threads << " threads";
      EXPECT_EQ(many->optimizer.first, one->optimizer.first) << threads << " threads";
      EXPECT_EQ(many->optimizer.second, one->optimizer.second) << threads << " threads";
    }
  }
}

// Of few shards two threads have a network each, and take a step when they come to it again: after epochs that end early, steps that
// are skipped, and with weights that stay 0, the same as of one thread.
TEST(FusedLearner, AThreadForEachNetworkChangesNothing) {
  struct Case {
    const char* name;
    bool discrete;
    float target_kl;
    bool spoilt;
  };
  for (const Case& c : {Case{"choices", true, 0, false}, Case{"reals", false, 0, false},
                        Case{"early end", true, 1e-9f, false}, Case{"skipped", false, 0, true}}) {
    const auto run = [&](int threads, std::vector<double>& said) {
      // Minibatches of 240 rows are three shards.
      auto s = std::make_unique<Scene>(c.discrete, std::vector<int>{70, 40}, 32, 15, 9, threads);
      s->options.minibatches = 2;
      s->options.entropy_coefficient = 0.01f;
      s->options.target_kl = c.target_kl;
      s->options.normalize_advantages = false;
      if (c.spoilt) s->rollout.buffer().advantages[7] = INFINITY;
      LearnerContext context{&s->options, &s->weights, &s->optimizer, s->group.get(), &s->pool, 5};
      const DenseLayer& first = s->weights.layout.actor.dense.front();
      context.frozen = {{first.weight + 80, first.weight + 240}};
      set_to_zero(context.frozen, s->weights.params.data());
      const auto learner = make_fused_learner(context);
      for (int update = 0; update < 3; ++update) {
        const UpdateStats stats = learner->update(s->rollout.buffer(), update, 1e-3);
        said.insert(said.end(), {stats.grad_norm, stats.value_loss, stats.approx_kl,
                                 double(stats.epochs), double(stats.skipped)});
      }
      return s;
    };
    std::vector<double> said_by_one, said_by_two;
    const auto one = run(1, said_by_one), two = run(2, said_by_two);
    EXPECT_EQ(said_by_one[3], c.target_kl > 0 ? 1 : 4) << c.name;
    EXPECT_EQ(said_by_one[4], c.spoilt ? 4 : 0) << c.name;
    EXPECT_EQ(said_by_two, said_by_one) << c.name;
    EXPECT_EQ(two->weights.params, one->weights.params) << c.name;
    EXPECT_EQ(two->optimizer.first, one->optimizer.first) << c.name;
    EXPECT_EQ(two->optimizer.second, one->optimizer.second) << c.name;
    EXPECT_EQ(two->optimizer.step, one->optimizer.step) << c.name;
  }
}

// Its gradients of earlier minibatches are memory that it uses again: a new learner for each update does the same.
TEST(FusedLearner, KeepsNothingOfEarlierUpdates) {
  const PolicyChoices separate{{9, 8}}, shared{{9, 8}, 1, Activation::kTanh, Trunk::kShared};
  const auto expect = [](auto&& make, const char* what) {
    const std::unique_ptr<Scene> kept = make(), anew = make();
    const auto learner = kept->learner();
    for (Scene* s : {kept.get(), anew.get()}) s->options.entropy_coefficient = 0.01f;
    for (int update = 0; update < 3; ++update) {
      learner->update(kept->rollout.buffer(), update, 1e-3);
      anew->learner()->update(anew->rollout.buffer(), update, 1e-3);
    }
    EXPECT_EQ(kept->weights.params, anew->weights.params) << what;
    EXPECT_EQ(kept->optimizer.first, anew->optimizer.first) << what;
  };
  for (const bool discrete : {true, false}) {
    for (const PolicyChoices* network : {&separate, &shared}) {
      expect([&] { return std::make_unique<Scene>(discrete, *network, 20, 15); },
             discrete ? "discrete" : "continuous");
    }
  }
  using testing::test_entry;
  for (const EnvEntry* entry :
       {&test_entry<testing::MixedEnv>(), &test_entry<testing::ChoicesEnv>(),
        &test_entry<testing::PlanesEnv>(), &test_entry<testing::DiscreteEnv>()}) {
    for (const PolicyChoices* network : {&separate, &shared}) {
      expect([&] { return std::make_unique<Scene>(*entry, *network, 20, 15); },
             entry->spec().id.c_str());
    }
  }
}

TEST(FusedLearner, KlLimitStopsTheEpochs) {
  Scene free(true, {8}, 16, 16), stopped(true, {8}, 16, 16);
  for (Scene* s : {&free, &stopped}) s->options.epochs = 10, s->options.minibatches = 2;
  stopped.options.target_kl =
      1e-4f;  // the scene's policy has moved further than that from the start
  EXPECT_EQ(free.learner()->update(free.rollout.buffer(), 0, 1e-2).epochs, 10);
  EXPECT_EQ(free.optimizer.step, 20);
  const UpdateStats stats = stopped.learner()->update(stopped.rollout.buffer(), 0, 1e-2);
  EXPECT_EQ(stats.epochs, 1);
  EXPECT_GT(stats.approx_kl, 1.5e-4);
  EXPECT_EQ(stopped.optimizer.step, 2);  // the epoch itself is finished
  Scene generous(true, {8}, 16, 16);
  generous.options = stopped.options;
  generous.options.target_kl = 100.0f;
  EXPECT_EQ(generous.learner()->update(generous.rollout.buffer(), 0, 1e-2).epochs, 10);
  EXPECT_EQ(generous.weights.params, free.weights.params);
}

TEST(FusedLearner, ARateOfZeroChangesNothingButTheMoments) {
  Scene s(false, {8}, 8, 8);
  const auto before = s.weights.params;
  s.learner()->update(s.rollout.buffer(), 0, 0.0);
  EXPECT_EQ(s.weights.params, before);
  EXPECT_EQ(s.optimizer.step, 16);  // 4 epochs of 4 minibatches
}

// Float64 sums of a fixed shape: the same bits on any number of threads.
TEST(FusedLearner, ExplainedVariance) {
  const auto explained = [](int threads, auto&& change) {
    Scene s(true, {8}, 37, 53, 3, threads);
    const RolloutBuffer& b = s.rollout.buffer();
    for (int t = 0; t < b.horizon; ++t) {
      for (std::int64_t i = t * b.stride; i < t * b.stride + b.num_envs; ++i)
        change(b.returns[i], b.values[i]);
    }
    return s.learner()->update(b, 0, 1e-3).explained_variance;
  };
  const auto as_it_is = [](float&, float&) {};
  for (int threads : {2, 3, 8})
    EXPECT_EQ(explained(threads, as_it_is), explained(1, as_it_is)) << threads;
  EXPECT_EQ(explained(1, [](float& r, float& v) { v = r; }), 1.0);
  EXPECT_NEAR(explained(1, [](float&, float& v) { v = 3.0f; }), 0.0, 1e-14);  // explains nothing
  EXPECT_TRUE(std::isnan(explained(1, [](float& r, float&) { r = 2.0f; })));
}

TEST(Minibatches, AreAPermutationOfTheirOwnForEachKey) {
  std::set<std::vector<std::uint32_t>> seen;
  const auto order = [](std::uint64_t seed, int rank, std::int64_t update, int epoch,
                        std::uint32_t n) {
    std::vector<std::uint32_t> o(n, ~0u);
    minibatch_order(seed, rank, update, epoch, n, o.data());
    return o;
  };
  for (std::uint64_t seed : {1u, 2u}) {
    for (int rank : {0, 1}) {
      for (int update : {0, 1, 2}) {
        for (int epoch : {0, 1, 2}) {
          auto o = order(seed, rank, update, epoch, 257);
          EXPECT_TRUE(seen.insert(o).second)
              << "rank " << rank << " update " << update << " epoch " << epoch;
          EXPECT_EQ(o, order(seed, rank, update, epoch, 257));
          std::sort(o.begin(), o.end());
          for (std::uint32_t i = 0; i < 257; ++i) ASSERT_EQ(o[i], i);
        }
      }
    }
  }
  EXPECT_EQ(order(1, 0, 0, 0, 1), std::vector<std::uint32_t>{0});
}

// Copies the samples order[0..8) of `from` into the one step of `to`, sample by sample.
void copy_samples(const RolloutBuffer& from, const std::uint32_t* order, const RolloutBuffer& to) {
  for (int i = 0; i < to.num_envs; ++i) {
    const std::int64_t t = order[i] / 8, e = order[i] % 8, at = t * from.stride + e;
    for (int k = 0; k < from.observation_columns; ++k) {
      to.observations[k * to.stride + i] =
          from.observation_slot(static_cast<int>(t))[k * from.stride + e];
    }
    to.discrete_slot(0)[i] = from.discrete_slot(static_cast<int>(t))[e];
    to.logprobs[i] = from.logprobs[at];
    to.values[i] = from.values[at];
    to.advantages[i] = from.advantages[at];
    to.returns[i] = from.returns[at];
  }
}

// One epoch of four minibatches is four updates, each on a rollout of just those samples. At a learning rate of zero
// Adam's first moment is sum (1 - b1) b1^(3 - m) g_m: it tells the minibatches and their order apart. Tolerance: the single
// updates add their eight rows in another order: 8 roundings of the largest element.
TEST(Minibatches, TakeTheirPartOfTheOrder) {
  const auto moments = [](bool whole, bool swapped) {
    Scene s(true, {8}, 4, 8), part(true, {8}, 1, 8);
    s.options.epochs = 1;
    s.options.minibatches = whole ? 4 : 1;
    s.options.max_grad_norm = 0;
    if (whole) {
      s.learner(5)->update(s.rollout.buffer(), 3, 0.0);
      return s.optimizer.first;
    }
    std::vector<std::uint32_t> order(32);
    minibatch_order(5, 0, 3, 0, 32, order.data());
    const auto learner = s.learner(5);
    for (int m : swapped ? std::vector<int>{0, 2, 1, 3} : std::vector<int>{0, 1, 2, 3}) {
      copy_samples(s.rollout.buffer(), order.data() + 8 * m, part.rollout.buffer());
      learner->update(part.rollout.buffer(), 0, 0.0);
    }
    return s.optimizer.first;
  };
  const auto whole = moments(true, false), pieces = moments(false, false),
             swapped = moments(false, true);
  float largest = 0, off = 0, off_swapped = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    largest = std::max(largest, std::abs(whole[i]));
    off = std::max(off, std::abs(whole[i] - pieces[i]));
    off_swapped = std::max(off_swapped, std::abs(whole[i] - swapped[i]));
  }
  EXPECT_LT(off, 8 * 0x1p-24f * 4 * largest);
  EXPECT_GT(off_swapped, 1e-3f * largest);
}

// The trainer's forward pass is the policy's: on a rollout that this policy made, each recomputed log-probability equals
// the recorded one, so the ratio is 1 and the KL estimate 0, exactly; with one minibatch both cover every sample.
TEST(FusedLearner, RecomputesRecordedLogProbabilitiesBitForBit) {
  for (const char* id : {"CartPole-v1", "Acrobot-v1", "Pendulum-v1", "MountainCarContinuous-v0"}) {
    for (bool normalize : {true, false}) {
      ThreadPool pool(2);
      BatchConfig config;
      config.num_envs = 75;
      config.seed = 3;
      const auto batch = find_env(id).make_cpu(config, &pool);
      PolicyWeights weights(shape_for(batch->spec(), {33, 64}));
      initialize_weights(weights, 1, -0.2f);
      const int size = batch->spec().observation_size();
      weights.normalizer = ObservationNormalizer(size, normalize, 10.0f);
      const MlpPolicy policy(batch->spec(), weights, 4, false);
      const HostRollout rollout(batch->spec(), 20, 75);
      HostCollector collector(*batch, policy, rollout.buffer(), pool);
      OptimizerState optimizer;
      optimizer.first.resize(weights.params.size());
      optimizer.second.resize(weights.params.size());
      const auto group = make_process_group(LaunchInfo{}, false);
      PpoOptions options;
      options.epochs = options.minibatches = 1;
      const auto learner =
          make_fused_learner({&options, &weights, &optimizer, group.get(), &pool, 1});
      collector.reset();
      for (int update = 0; update < 4; ++update) {
        collector.collect({});
        const UpdateStats stats = learner->update(rollout.buffer(), update, 3e-2);
        EXPECT_EQ(stats.first_ratio_error, 0) << id << " update " << update;
        EXPECT_EQ(stats.approx_kl, 0) << id << " update " << update;
        EXPECT_GT(stats.grad_norm, 0);
        if (normalize) weights.normalizer.merge(collector.observation_moments());
        collector.advance();
      }
      // The check can fail: with other weights the ratios are not one.
      collector.collect({});
      weights.params[static_cast<std::size_t>(weights.layout.actor.head().bias)] += 1e-3f;
      EXPECT_GT(learner->update(rollout.buffer(), 9, 3e-2).first_ratio_error, 0) << id;
    }
  }
}

// The learner recomputes what the policy computed, with the recorded masks and frames: ratios are exactly 1.
TEST(FusedLearner, TheFirstRatiosAreOneInEverySpace) {
  testing::for_each_space([](const char* name, auto env) {
    const EnvEntry& entry = testing::test_entry<decltype(env)>();
    for (int stack : {1, 4}) {
      Scene s(entry, stack, {20}, 9, 30);
      testing::collect_rollout(entry, s.weights, s.rollout.buffer());  // not perturbed
      s.options.minibatches = s.options.epochs = 1;
      const UpdateStats stats = s.learner()->update(s.rollout.buffer(), 0, 1e-3);
      EXPECT_EQ(stats.first_ratio_error, 0) << name << ", stack of " << stack;
      EXPECT_EQ(stats.clip_fraction, 0) << name;
      EXPECT_GT(stats.grad_norm, 0) << name;
    }
  });
}

// And with a memory, whose state the rollout kept: over ends of episodes, sequence after sequence, on any number of threads.
TEST(FusedLearner, TheFirstRatiosAreOneWithMemory) {
  const auto& entry = testing::test_entry<testing::MixedEnv>();
  for (const auto kind : {MemoryKind::kGru, MemoryKind::kMinGru}) {
    for (const auto trunk : {Trunk::kSeparate, Trunk::kShared}) {
      const PolicyChoices network = {
          .hidden = {20}, .frame_stack = 2, .trunk = trunk, .memory = kind, .memory_size = 21};
      AlignedVector<float> trained;
      for (int threads : {1, 3}) {
        Scene s(entry, network, 12, 70, threads, 4, threads);
        testing::collect_rollout(entry, s.weights, s.rollout.buffer());  // not perturbed
        s.options.minibatches = s.options.epochs = 1;
        const UpdateStats stats = s.learner()->update(s.rollout.buffer(), 0, 1e-3);
        EXPECT_EQ(stats.first_ratio_error, 0) << memory_name(kind) << ' ' << trunk_name(trunk);
        EXPECT_EQ(stats.approx_kl, 0);
        EXPECT_GT(stats.grad_norm, 0);
      }
      for (int threads : {1, 3}) {
        Scene s(entry, network, 12, 70, threads, 4, 3);
        s.options.minibatches = 2;
        s.learner()->update(s.rollout.buffer(), 0, 1e-3);
        if (threads == 1) trained = s.weights.params;
        EXPECT_EQ(s.weights.params, trained) << "on " << threads << " threads";
      }
    }
  }
}

// Patches of several steps go in together: windows end inside a sequence and inside its burn-in.
TEST(FusedLearner, TheFirstRatiosAreOneWhereAMemoryReadsPatches) {
  for (const auto trunk : {Trunk::kSeparate, Trunk::kShared}) {
    const PolicyChoices network = {.hidden = {20},
                                   .frame_stack = 2,
                                   .trunk = trunk,
                                   .memory = MemoryKind::kGru,
                                   .memory_size = 21,
                                   .conv = {{16, 2, 1}}};
    AlignedVector<float> trained;
    for (int threads : {1, 3}) {
      const auto& entry = testing::test_entry<testing::PlanesEnv>();
      Scene s(entry, network, 40, 35, threads, 20, 15);
      ASSERT_TRUE(s.weights.layout.actor.by_patch);
      testing::collect_rollout(entry, s.weights, s.rollout.buffer());  // not perturbed
      s.options.minibatches = s.options.epochs = 1;
      const UpdateStats stats = s.learner()->update(s.rollout.buffer(), 0, 1e-3);
      EXPECT_EQ(stats.first_ratio_error, 0) << trunk_name(trunk);
      EXPECT_GT(stats.grad_norm, 0);
      if (threads == 1) trained = s.weights.params;
      EXPECT_EQ(s.weights.params, trained) << "on " << threads << " threads";
    }
  }
}

TEST(FusedLearner, TheFirstRatiosAreOneWithConvolutions) {
  const auto check = [](const EnvEntry& entry, const PolicyChoices& network) {
    AlignedVector<float> trained;
    for (int threads : {1, 3}) {
      Scene s(entry, network, 6, 110, threads);
      testing::collect_rollout(entry, s.weights, s.rollout.buffer());  // not perturbed
      s.options.minibatches = s.options.epochs = 1;
      const UpdateStats stats = s.learner()->update(s.rollout.buffer(), 0, 1e-3);
      EXPECT_EQ(stats.first_ratio_error, 0) << entry.id;
      EXPECT_GT(stats.grad_norm, 0);
      if (threads == 1) trained = s.weights.params;
      EXPECT_EQ(s.weights.params, trained) << "on " << threads << " threads";
    }
  };
  check(testing::test_entry<testing::PlanesEnv>(),
        {.hidden = {20}, .frame_stack = 3, .conv = {{16, 3, 1}, {32, 2, 2}}});
  check(testing::test_entry<testing::PlanesEnv>(),
        {.hidden = {20}, .frame_stack = 2, .conv = {{16, 2, 1}}});
  check(testing::test_entry<testing::PlanesEnv>(),
        {.hidden = {}, .trunk = Trunk::kShared, .conv = {{32, 3, 2}}});
  check(testing::test_entry<testing::PixelsEnv>(),
        {.hidden = {20}, .trunk = Trunk::kShared, .conv = {{16, 2, 1}}});
}

// Mean reward of a step after PPO has learned in a test environment; a new policy's is `before`.
template <class Env>
double learn(int updates, int stack, double& before) {
  constexpr int kEnvs = 128, kHorizon = 16;
  Scene s(testing::test_entry<Env>(), stack, {48}, kHorizon, kEnvs);
  initialize_weights(s.weights, 2, -0.7f);
  s.weights.normalizer = ObservationNormalizer(s.spec.observed.elements, false, 10.0f);
  s.options.entropy_coefficient = 0.003f;
  BatchConfig config;
  config.num_envs = kEnvs;
  config.seed = 4;
  const auto batch = testing::test_entry<Env>().make_cpu(config, &s.pool);
  const MlpPolicy policy(s.spec, s.weights, 4, false);
  HostCollector collector(*batch, policy, s.rollout.buffer(), s.pool);
  collector.reset();
  const auto learner = s.learner();
  const RolloutBuffer& b = s.rollout.buffer();
  double mean = 0;
  for (int u = 0; u < updates; ++u) {
    collector.collect({0.0f, 0.0f, 1.0f});  // what is right depends on the present state alone
    mean = 0;
    for (int t = 0; t < kHorizon; ++t) {
      for (int i = 0; i < kEnvs; ++i)
        mean += static_cast<double>(b.rewards[t * b.stride + i]) / (kHorizon * kEnvs);
    }
    if (u == 0) before = mean;
    learner->update(b, u, 3e-3);
    collector.advance();
  }
  return mean;
}

// The best policies earn 1 for each choice and lose nothing on real actions.
TEST(FusedLearner, LearnsInEverySpace) {
  double before;
  EXPECT_GT(learn<testing::DiscreteEnv>(80, 1, before), 0.9);
  EXPECT_LT(before, 0.6);
  EXPECT_GT(learn<testing::PlanesEnv>(80, 1, before), 0.9);
  EXPECT_LT(before, 0.4);
  EXPECT_GT(learn<testing::ChoicesEnv>(150, 1, before), 1.6);
  EXPECT_LT(before, 0.4);
  EXPECT_GT(learn<testing::MixedEnv>(200, 2, before), 1.5);
  EXPECT_LT(before, 0.3);
}

}  // namespace
}  // namespace rollmill
