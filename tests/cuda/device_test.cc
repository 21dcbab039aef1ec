// On a machine with a GPU: every environment, the collector and the learners against the
// CPU. Skipped, with a word, where there is none; tests/cuda/kernel_emulation_test.cc covers the
// kernels' text there.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>

#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "envs/device_batch.h"
#include "rollout/device_collector.h"
#include "rollout/rollout_fields.h"
#include "tests/trainer/resume.h"
#include "trainer/fused/device_learner.h"
#include "trainer/reference_learner.h"

namespace rollmill {
namespace {

class OnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      require_cuda(0);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kDevice);
      GTEST_SKIP() << e.what();
    }
  }
};

BatchConfig config(int num_envs, int time_limit = -1) {
  BatchConfig c;
  c.num_envs = num_envs;
  c.seed = 12;
  c.first_environment = 5;
  c.time_limit = time_limit;
  return c;
}

TEST_F(OnDevice, EveryEnvironmentHasTheCpusBits) {
  ThreadPool pool(2);
  for (const EnvEntry& entry : env_registry()) {
    for (int limit : {-1, 40}) {
      const BatchConfig c = config(1000, limit);
      const auto batch = make_batch(entry, c, &pool, parse_device("check", "device"), 0);
      HostRollout rollout(batch->spec(), 1, c.num_envs);
      const RandomPolicy policy(batch->spec(), 3);
      const RolloutBuffer& b = rollout.buffer();
      batch->reset(b.observation_slot(1), b.mask_slot(1));
      std::vector<Word> final_masks(static_cast<std::size_t>(b.mask_columns * b.stride));
      StepBuffers buffers = b.step_buffers(0);
      buffers.final_masks = final_masks.empty() ? nullptr : final_masks.data();
      ActRequest q;
      q.masks = b.mask_slot(1);
      q.stride = b.stride;
      q.keys = batch->episodes();
      q.end = c.num_envs;
      q.actions = b.actions;
      for (int t = 0; t < 300; ++t) {
        policy.act(q);
        batch->step(buffers);  // throws at the first difference
      }
      batch->observe(b.observation_slot(0), b.mask_slot(0));
      std::vector<std::byte> snapshot(batch->snapshot_bytes());
      batch->save(snapshot.data());
      batch->load(snapshot.data());
      batch->step(buffers);
    }
  }
}

// A collector on each device with equal weights.
struct Pair {
  Pair(const char* id, bool greedy, const PolicyChoices& network = {{64, 40}}, bool fused = true,
       Products products = Products::kFloat32)
      : entry(find_env(id)),
        pool(2),
        weights(shape_for(entry.spec(), network)),
        batch(entry.make_cpu(config(300, 30), &pool)),
        policy(batch->spec(), weights, 8, greedy, "mlp", products != Products::kFloat32),
        rollout(batch->spec(), 64, 300, network.frame_stack, memory()),
        host(*batch, policy, rollout.buffer(), pool),
        device(make_device_collector({id, config(300, 30), 64, 8, greedy, 0, network.frame_stack,
                                      memory(), fused, products})) {
    initialize_weights(weights, 2, -0.3f);
    const ObservationSpec& observed = batch->spec().observed;
    weights.normalizer =
        ObservationNormalizer(observed.elements, observed.kind == ObservationKind::kReal, 5.0f);
  }
  RolloutMemory memory() const {
    const int columns = weights.layout.shape.memory_columns();
    return columns == 0 ? RolloutMemory{} : RolloutMemory{columns, 16, 4};
  }
  const EnvEntry& entry;
  ThreadPool pool;
  PolicyWeights weights;
  std::unique_ptr<EnvBatch> batch;
  MlpPolicy policy;
  HostRollout rollout;
  HostCollector host;
  std::unique_ptr<DeviceCollector> device;
};

TEST_F(OnDevice, RolloutsHaveTheCpusBits) {
  const AdvantageOptions options{0.98f, 0.9f, 0.1f};
  const auto stacked = [](int frames) {
    return PolicyChoices{.hidden = {64, 40}, .frame_stack = frames};
  };
  PolicyChoices conv = stacked(1), gru = stacked(1), min_gru = stacked(1);
  conv.conv = {{32, 3, 1}};  // more shared memory than a block has unasked
  gru.memory = MemoryKind::kGru;
  min_gru.memory = MemoryKind::kMinGru;
  gru.memory_size = min_gru.memory_size = 40;
  min_gru.trunk = Trunk::kShared;
  const std::pair<const char*, PolicyChoices> cases[] = {{"CartPole-v1", stacked(1)},
                                                         {"Pendulum-v1", stacked(1)},
                                                         {"CartPole-v1", stacked(4)},
                                                         {"FrozenLake-v1", stacked(1)},
                                                         {"MinAtar/Breakout-v1", stacked(2)},
                                                         {"MinAtar/Breakout-v1", conv},
                                                         {"Rollmill/Cups-v0", stacked(1)},
                                                         {"Rollmill/Cups-v0", gru},
                                                         {"Pendulum-v1", min_gru}};
  for (const auto& [id, network] : cases) {
    const int stack = network.frame_stack;
    // Classic control plays a rollout in one kernel if it may: the other way, too.
    for (const auto& [greedy, fused] : {std::pair{false, true}, {true, true}, {false, false}}) {
      Pair pair(id, greedy, network, fused);
      HostRollout copy(pair.batch->spec(), 64, 300, stack, pair.memory());
      pair.host.reset();
      pair.device->reset();
      for (int round = 0; round < 3; ++round) {
        pair.device->set_weights(pair.weights);
        pair.host.collect(options);
        pair.device->collect(options);
        pair.device->copy_to_host(copy.buffer());
        std::vector<const void*> expected;
        RolloutBuffer a = pair.rollout.buffer(), b = copy.buffer();
        visit_rollout_fields(a, [&](auto*& field, std::int64_t) { expected.push_back(field); });
        std::size_t f = 0;
        visit_rollout_fields(b, [&](auto*& field, std::int64_t n) {
          const auto bytes = static_cast<std::size_t>(n) * sizeof(*field);
          EXPECT_EQ(std::memcmp(expected[f], field, bytes), 0)
              << id << ", stack of " << stack << ", memory " << memory_name(network.memory) << ", "
              << network.conv.size() << " convolutions, column " << f;
          ++f;
        });
        EXPECT_EQ(pair.device->finished_episodes().size(), pair.host.finished_episodes().size());
        if (pair.batch->spec().observed.kind == ObservationKind::kReal) {
          const auto moments = pair.host.observation_moments();
          const auto device_moments = pair.device->observation_moments();
          EXPECT_EQ(
              std::memcmp(moments.data(), device_moments.data(), moments.size() * sizeof(Moments)),
              0);
          pair.weights.normalizer.merge(moments);
        }
        pair.host.advance();
        pair.device->advance();
      }
    }
  }
}

// The reference learner reads the rollout where it lies. cuBLAS adds in another order than the CPU:
// a step differs by float32's rounding of 300 * 64 / 4 terms, taken here as a hundredth of it.
TEST_F(OnDevice, TheReferenceLearnerUpdatesFromDeviceMemory) {
  constexpr double kLearningRate = 1e-3;
  for (const char* id : {"CartPole-v1", "Pendulum-v1"}) {
    Pair pair(id, false);
    pair.device->reset();
    pair.device->set_weights(pair.weights);
    pair.device->collect({});
    pair.device->copy_to_host(pair.rollout.buffer());
    PolicyWeights start = pair.weights, other = pair.weights;
    OptimizerState first, second;
    for (OptimizerState* state : {&first, &second}) {
      state->first.resize(start.params.size());
      state->second.resize(start.params.size());
    }
    PpoOptions options;
    options.epochs = 1;
    const auto group = make_process_group(LaunchInfo{}, false);
    const LearnerContext cpu{&options, &pair.weights, &first, group.get(), &pair.pool, 3, false, 0};
    const LearnerContext gpu{&options, &other, &second, group.get(), &pair.pool, 3, true, 0};
    make_reference_learner(cpu)->update(pair.rollout.buffer(), 0, kLearningRate);
    make_reference_learner(gpu)->update(pair.device->buffer(), 0, kLearningRate);
    double moved = 0, difference = 0;
    for (std::size_t i = 0; i < start.params.size(); ++i) {
      const double a = pair.weights.params[i], b = other.params[i];
      moved = std::max(moved, std::abs(a - static_cast<double>(start.params[i])));
      difference = std::max(difference, std::abs(a - b));
    }
    EXPECT_GT(moved, kLearningRate);
    EXPECT_LT(difference, 0.01 * 4 * kLearningRate) << id;
  }
}

// Updates by both learners from one start, from the device's rollouts.
void expect_equal_updates(const char* id, const PolicyChoices& network, bool watched) {
  Pair pair(id, false, network);
  PolicyWeights other = pair.weights;
  OptimizerState first, second;
  for (OptimizerState* state : {&first, &second}) {
    state->first.resize(other.params.size());
    state->second.resize(other.params.size());
  }
  PpoOptions options;
  options.entropy_coefficient = 0.01f;
  options.target_kl = watched ? 1e6f : 0.0f;
  options.normalize_advantages = !watched;
  const auto group = make_process_group(LaunchInfo{}, false);
  LearnerContext cpu{&options, &pair.weights, &first, group.get(), &pair.pool, 3, false, 0};
  LearnerContext gpu{&options, &other, &second, group.get(), &pair.pool, 3, true, 0};
  cpu.groups = gpu.groups = watched ? 4 : 0;
  cpu.frozen = gpu.frozen = {{pair.weights.layout.actor.dense.front().weight,
                              pair.weights.layout.actor.dense.front().weight + 64}};
  const auto on_cpu = make_fused_learner(cpu), on_gpu = make_cuda_learner(gpu);
  pair.device->reset();
  for (int update = 0; update < 4; ++update) {
    options.clip = 0.2f / static_cast<float>(1 + update);
    pair.device->set_weights(pair.weights);
    pair.device->collect({});
    pair.device->copy_to_host(pair.rollout.buffer());
    const double rate = 1e-3 / (1 + update);
    const UpdateStats a = on_cpu->update(pair.rollout.buffer(), update, rate);
    const UpdateStats b = on_gpu->update(pair.device->buffer(), update, rate);
    EXPECT_EQ(pair.weights.params, other.params) << id << ", " << memory_name(network.memory);
    EXPECT_EQ(first.first, second.first);
    EXPECT_EQ(first.second, second.second);
    EXPECT_EQ(a.policy_loss, b.policy_loss);
    EXPECT_EQ(a.approx_kl, b.approx_kl);
    EXPECT_EQ(a.explained_variance, b.explained_variance);
    if (pair.weights.normalizer.enabled()) {
      const auto moments = pair.device->observation_moments();
      pair.weights.normalizer.merge(moments);
      other.normalizer.merge(moments);
    }
    pair.device->advance();
  }
}

// Own kernels, the update as one CUDA graph (and without one, where the KL divergence is watched): the CPU's bits, while learning
// rate, clip range, rollouts and, with real observations, the normaliser change from update to update.
TEST_F(OnDevice, TheFusedLearnerHasTheCpusBits) {
  for (const char* id : {"CartPole-v1", "Pendulum-v1", "MinAtar/Breakout-v1", "Taxi-v3"}) {
    for (const bool watched : {false, true}) expect_equal_updates(id, {{64, 40}}, watched);
  }
}

// Sequences of 16 steps with a burn-in of 4 (Pair), episodes of 30.
TEST_F(OnDevice, TheFusedLearnerOfMemoriesHasTheCpusBits) {
  for (const MemoryKind memory : {MemoryKind::kGru, MemoryKind::kMinGru}) {
    for (const Trunk trunk : {Trunk::kSeparate, Trunk::kShared}) {
      PolicyChoices network{.hidden = {64, 40}};
      network.memory = memory;
      network.memory_size = 40;
      network.trunk = trunk;
      for (const char* id : {"CartPole-v1", "Pendulum-v1", "Rollmill/Cups-v0"})
        expect_equal_updates(id, network, trunk == Trunk::kShared);
    }
  }
}

// Patches that are looked up, and two convolutions.
TEST_F(OnDevice, TheFusedLearnerOfConvolutionsHasTheCpusBits) {
  const std::vector<ConvShape> one = {{16, 3, 1}}, two = {{16, 3, 1}, {32, 2, 2}};
  for (const auto& conv : {one, two}) {
    for (const Trunk trunk : {Trunk::kSeparate, Trunk::kShared}) {
      PolicyChoices network{.hidden = {64, 40}, .frame_stack = 2};
      network.conv = conv;
      network.trunk = trunk;
      for (const char* id : {"MinAtar/Breakout-v1", "MinAtar/Freeway-v1"})
        expect_equal_updates(id, network, trunk == Trunk::kShared);
      network.memory = MemoryKind::kGru;
      network.memory_size = 40;
      expect_equal_updates("MinAtar/Breakout-v1", network, trunk == Trunk::kShared);
    }
  }
}

PolicyChoices remembering(std::vector<int> hidden) {
  PolicyChoices network{.hidden = std::move(hidden)};
  network.memory = MemoryKind::kGru;
  network.memory_size = 40;
  return network;
}

PolicyChoices convolving(std::vector<ConvShape> conv) {
  PolicyChoices network{.hidden = {64, 40}};
  network.conv = std::move(conv);
  return network;
}

// Two learners that start from the same weights.
struct Learners {
  Learners(Pair& pair, const PpoOptions& options, int groups)
      : other(pair.weights), group(make_process_group(LaunchInfo{}, false)) {
    for (OptimizerState* state : {&first, &second}) {
      state->first.resize(other.params.size());
      state->second.resize(other.params.size());
    }
    LearnerContext cpu{&options, &pair.weights, &first, group.get(), &pair.pool, 3, false, 0};
    LearnerContext gpu{&options, &other, &second, group.get(), &pair.pool, 3, true, 0};
    cpu.groups = gpu.groups = groups;
    cpu.bf16 = gpu.bf16 = true;
    on_cpu = make_fused_learner(cpu);
    on_gpu = make_cuda_learner(gpu);
  }
  PolicyWeights other;
  OptimizerState first, second;
  std::unique_ptr<ProcessGroup> group;
  std::unique_ptr<Learner> on_cpu, on_gpu;
};

// trainer.precision = "bf16" with trainer.reduction = "exact": acting, in one kernel and step by step, and learning.
TEST_F(OnDevice, Bf16HasTheCpusBits) {
  PolicyChoices odd{.hidden = {7, 40, 33}, .activation = Activation::kRelu};
  odd.trunk = Trunk::kShared;
  for (const char* id : {"CartPole-v1", "Pendulum-v1", "MinAtar/Breakout-v1", "Taxi-v3"}) {
    for (const auto& [network, fused] : {std::pair{PolicyChoices{{64, 40}}, true},
                                         {odd, false},
                                         {remembering({64, 40}), false},
                                         {convolving({{16, 3, 1}}), true},
                                         {convolving({{16, 3, 1}, {32, 2, 2}}), false}}) {
      if (!network.conv.empty() && find_env(id).spec().observed.shape.size() != 3) continue;
      Pair pair(id, false, network, fused, Products::kBf16);
      PpoOptions options;
      options.entropy_coefficient = 0.01f;
      Learners learners(pair, options, 4);
      pair.host.reset();
      pair.device->reset();
      for (int update = 0; update < 3; ++update) {
        pair.policy.refresh();
        pair.device->set_weights(learners.other);
        pair.host.collect({});
        pair.device->collect({});
        HostRollout copy(pair.batch->spec(), 64, 300, 1, pair.memory());
        pair.device->copy_to_host(copy.buffer());
        const RolloutBuffer &a = pair.rollout.buffer(), &b = copy.buffer();
        const auto bytes = static_cast<std::size_t>(a.horizon * a.stride) * sizeof(float);
        EXPECT_EQ(std::memcmp(a.logprobs, b.logprobs, bytes), 0) << id << ", update " << update;
        EXPECT_EQ(std::memcmp(a.values, b.values, bytes), 0) << id << ", update " << update;
        const UpdateStats cpu = learners.on_cpu->update(a, update, 1e-3);
        const UpdateStats gpu = learners.on_gpu->update(pair.device->buffer(), update, 1e-3);
        EXPECT_EQ(pair.weights.params, learners.other.params) << id << ", update " << update;
        EXPECT_EQ(learners.first.second, learners.second.second);
        EXPECT_EQ(cpu.policy_loss, gpu.policy_loss);
        EXPECT_EQ(gpu.first_ratio_error, 0.0);
        pair.host.advance();
        pair.device->advance();
      }
    }
  }
}

// With trainer.reduction = "fast" on tensor cores: first ratios of 1, the same twice, one kernel or many; and of the first step the
// gradient that the CPU finds in bfloat16, but for sums' roundings and activations that are rounded the other way for their sake
// (2^-8 of one factor of thousands).
TEST_F(OnDevice, TensorProductsLearnWhatTheyAct) {
  PolicyChoices odd{.hidden = {7, 40, 33}, .activation = Activation::kRelu};
  odd.trunk = Trunk::kShared;
  for (const char* id : {"CartPole-v1", "Pendulum-v1", "MinAtar/Breakout-v1"}) {
    for (const PolicyChoices& network : {PolicyChoices{{64, 40}}, odd, remembering({7, 40, 33}),
                                         convolving({{16, 3, 1}, {32, 2, 2}})}) {
      if (!network.conv.empty() && find_env(id).spec().observed.shape.size() != 3) continue;
      std::vector<PolicyWeights> ends;
      for (const bool fused : {true, false}) {
        Pair pair(id, false, network, fused, Products::kBf16Tensor);
        PpoOptions options;
        options.epochs = options.minibatches = 1;
        options.max_grad_norm = 0;
        Learners learners(pair, options, 0);
        pair.device->reset();
        for (int update = 0; update < 4; ++update) {
          pair.device->set_weights(learners.other);
          pair.device->collect({});
          const UpdateStats s = learners.on_gpu->update(pair.device->buffer(), update, 1e-3);
          EXPECT_EQ(s.first_ratio_error, 0.0) << id << ", update " << update;
          if (update == 0) {
            pair.device->copy_to_host(pair.rollout.buffer());
            learners.on_cpu->update(pair.rollout.buffer(), update, 1e-3);
            double difference = 0, size = 0;
            for (std::size_t i = 0; i < learners.first.first.size(); ++i) {
              const double expected = learners.first.first[i],
                           d = learners.second.first[i] - expected;
              difference += d * d;
              size += expected * expected;
            }
            EXPECT_LT(std::sqrt(difference / size), 1e-4) << id;
          }
          pair.device->advance();
        }
        ends.push_back(learners.other);
      }
      EXPECT_EQ(ends[0].params, ends[1].params) << id;
    }
  }
}

// Updates with ppo.overlap, whose rollouts run beside the learner: the checkpoints' bytes, the rollout that waits included; resumed, too.
TEST_F(OnDevice, OverlappedPpoHasTheCpusBits) {
  for (const char* id : {"CartPole-v1", "Pendulum-v1", "Taxi-v3", "MinAtar/Breakout-v1"}) {
    TrainOptions o;
    o.env.id = id;
    o.env.num_envs = 304;
    o.env.time_limit = 30;
    o.policy.hidden = {64, 40};
    o.total_steps = 1'000'000;
    o.ppo.overlap = true;
    o.ppo.horizon = 64;
    o.groups = 4;
    o.normalize_observations = std::string(id) == "Pendulum-v1";
    testing::Run cpu(o);
    o.env.device = "cuda:0";
    testing::Run gpu(o);
    for (int update = 0; update < 6; ++update) {
      const UpdateReport a = cpu->step(), b = gpu->step();
      EXPECT_EQ(a.episodes, b.episodes);
      EXPECT_EQ(a.metric("stale_kl"), b.metric("stale_kl")) << id << ", update " << update;
      EXPECT_EQ(a.metric("policy_loss"), b.metric("policy_loss")) << id << ", update " << update;
      EXPECT_EQ(testing::hash_of(cpu), testing::hash_of(gpu)) << id << ", update " << update;
    }
    testing::expect_resume_equals_no_interruption(o);
  }
}

// Reports of deep Q-learning, environments and replay buffer included, turn by turn and as graphs: the checkpoints' bytes.
TEST_F(OnDevice, DqnHasTheCpusBits) {
  for (const char* id : {"CartPole-v1", "Taxi-v3", "MinAtar/Breakout-v1"}) {
    for (const bool everything : {false, true}) {
      TrainOptions o;
      o.algorithm = "dqn";
      o.env.id = id;
      o.env.num_envs = 300;
      o.env.time_limit = 30;
      o.policy.hidden = {64, 40};
      o.total_steps = 100'000;
      o.dqn.replay.buffer_size = 10'000;  // comes round
      o.dqn.replay.learning_starts = 3'000;
      o.dqn.replay.report_every = 20;
      o.dqn.target_every = 7;
      o.dqn.exploration_steps = 20'000;
      if (everything) {
        o.dqn.duelling = true;
        o.dqn.priority_alpha = 0.6f;
        o.dqn.replay.n_step = 3;
        o.dqn.replay.updates_per_step = 2;
        o.policy.trunk = std::string(id) == "Taxi-v3" ? Trunk::kShared : Trunk::kSeparate;
      }
      testing::Run cpu(o);
      o.env.device = "cuda:0";
      testing::Run gpu(o);
      for (int report = 0; report < 4; ++report) {
        const UpdateReport a = cpu->step(), b = gpu->step();
        EXPECT_EQ(a.episodes, b.episodes);
        EXPECT_EQ(a.metric("loss"), b.metric("loss")) << id << ", report " << report;
        EXPECT_EQ(testing::hash_of(cpu), testing::hash_of(gpu)) << id << ", report " << report;
      }
    }
  }
}

// The same of SAC and TD3; with wide networks a tile goes through in parts.
TEST_F(OnDevice, SacAndTd3HaveTheCpusBits) {
  for (const char* algorithm : {"sac", "td3"}) {
    for (const char* id : {"Pendulum-v1", "MountainCarContinuous-v0"}) {
      for (const bool wide : {false, true}) {
        TrainOptions o;
        o.algorithm = algorithm;
        o.env.id = id;
        o.env.num_envs = 100;
        o.env.time_limit = 30;
        o.policy.hidden = wide ? std::vector<int>{256, 256} : std::vector<int>{64, 40};
        o.policy.activation = Activation::kRelu;
        o.total_steps = 100'000;
        OffPolicyOptions r;
        r.buffer_size = 4'000;  // comes round
        r.learning_starts = 1'000;
        r.report_every = 20;
        r.batch_size = 256;
        r.n_step = wide ? 3 : 1;
        o.sac.replay = o.td3.replay = r;
        testing::Run cpu(o);
        o.env.device = "cuda:0";
        testing::Run gpu(o);
        for (int report = 0; report < 4; ++report) {
          const UpdateReport a = cpu->step(), b = gpu->step();
          EXPECT_EQ(a.episodes, b.episodes);
          EXPECT_EQ(a.metric("critic_loss"), b.metric("critic_loss")) << algorithm << ", " << id;
          EXPECT_EQ(testing::hash_of(cpu), testing::hash_of(gpu)) << algorithm << ", " << id;
        }
      }
    }
  }
}

}  // namespace
}  // namespace rollmill
