// The text of the CUDA kernels, run on host threads, against the CPU's own code: environments,
// policy, advantages and statistics must be the same bits. clang-format off
#include "tests/cuda/emulation.h"  // before the kernels: it defines CUDA's words
// clang-format on

#include <gtest/gtest.h>

#include <cstring>

#include "core/base/thread_pool.h"
#include "envs/batch_cpu.h"
#include "envs/batch_kernels.cuh"
#include "envs/classic/cartpole.h"
#include "envs/classic/pendulum.h"
#include "rollout/advantage.h"
#include "rollout/collector.h"
#include "rollout/fused_rollout.cuh"
#include "rollout/mlp/mlp_policy.h"
#include "rollout/rollout_fields.h"
#include "tests/cuda/policy_emulation.h"
#include "tests/support/counter_env.h"

namespace rollmill {
namespace {

using testing::blocks_of, testing::EmulatedElements, testing::EmulatedPolicy;

constexpr int kThreads = testing::kActThreads;
constexpr int kHorizon = 12;

bool same_bits(const void* a, const void* b, std::size_t bytes) {
  return std::memcmp(a, b, bytes) == 0;
}

// A CPU collector of an environment, with time limits inside the horizon, and a policy that is not
// trivial.
template <class Env>
struct Scene {
  Scene(int num_envs, bool normalize, bool greedy, const PolicyChoices& network,
        Products chosen = Products::kFloat32)
      : spec(describe<Env>()),
        config(make_config(num_envs)),
        batch(config, nullptr),
        weights(shape_for(spec, network)),
        products(chosen),
        policy(spec, weights, 17, greedy, "mlp", chosen != Products::kFloat32),
        rollout(spec, kHorizon, num_envs, network.frame_stack, memory()),
        pool(1),
        collector(batch, policy, rollout.buffer(), pool) {
    initialize_weights(weights, 3, -0.5f);
    weights.normalizer = ObservationNormalizer(spec.observed.elements, normalize, 1.5f);
    Rng rng(4, Purpose::kTest, 0, 0, 0);
    for (const auto* net : {&weights.layout.actor, &weights.layout.critic}) {
      if (net->dense.empty()) continue;
      for (int j = 0; j < net->head().outputs; ++j)
        weights.params[static_cast<std::size_t>(net->head().bias + j)] = rng.normal();
    }
    std::vector<Moments> moments;
    for (int k = 0; k < spec.observed.elements; ++k) moments.push_back({10.0, 0.01 * k, 2.0 + k});
    weights.normalizer.set_moments(moments);
    policy.refresh();
  }
  // Sequences and a burn-in that meet in some steps.
  RolloutMemory memory() const {
    const int columns = weights.layout.shape.memory_columns();
    return columns == 0 ? RolloutMemory{} : RolloutMemory{columns, 4, 3};
  }
  static BatchConfig make_config(int num_envs) {
    BatchConfig c;
    c.num_envs = num_envs;
    c.seed = 9;
    c.first_environment = 77;
    c.time_limit = 5;
    return c;
  }
  BatchConstants constants() const {
    return {config.seed, config.episode_stride, static_cast<std::uint32_t>(config.time_limit), {}};
  }
  EnvSpec spec;
  BatchConfig config;
  CpuBatch<Env> batch;
  PolicyWeights weights;
  Products products;
  MlpPolicy policy;
  HostRollout rollout;
  ThreadPool pool;
  HostCollector collector;
};

// How the steps of a rollout are launched: policy and environments in turn; or all in one kernel, the weights in shared memory or
// not.
enum class Launch { kStepByStep, kOneKernel, kOneKernelGlobalWeights };

// CudaBatch (envs/batch_cuda.cuh), as far as a rollout wants it.
template <class Env>
struct EmulatedBatch {
  BatchColumns columns;
  BatchConstants constants;
  typename Env::Params params;
  int num_envs;
  EpisodeColumns episodes() const { return {columns.environment, columns.episode, columns.step}; }
  void step(const StepBuffers& buffers) const {
    emulate(blocks_of(num_envs), 1, kThreads, 0,
            [&] { step_kernel<Env, false>(columns, constants, params, 0, num_envs, buffers); });
  }
};

// The whole of CudaCollector::collect, kernel by kernel, into a rollout of its own.
template <class Env>
void collect(Scene<Env>& scene, bool greedy, int tile_rows, const RolloutBuffer& b,
             BatchColumns columns, Launch launch) {
  EmulatedPolicy policy(scene.spec, 17, greedy, tile_rows, scene.products);
  policy.set_weights(scene.weights);
  EmulatedBatch<Env> batch{columns, scene.constants(), make_params<Env>(scene.config.params),
                           b.num_envs};
  if (launch == Launch::kStepByStep) {
    launch_steps(policy, EmulatedElements{}, batch, b);
  } else {
    const DevicePolicy& p = policy.device();
    const int kept = launch == Launch::kOneKernel ? policy.parameters() : 0;
    const auto rollout =
        policy.bf16() ? rollout_kernel<Env, false, true> : rollout_kernel<Env, false, false>;
    emulate(policy.tiles(b), 1, kThreads, static_cast<std::size_t>(rollout_floats(p, kept)),
            [&] { rollout(p, b, columns, batch.constants, batch.params, kept); });
  }
  launch_estimates(policy, EmulatedElements{}, columns.step, b,
                   AdvantageOptions{0.97f, 0.9f, 0.5f});
  if (b.memory_columns > 0) return;
  // What the policy says of its own actions afterwards is what it said, and then V-trace is GAE: a correction changes nothing.
  std::vector<float> log_ratios(static_cast<std::size_t>(b.horizon * b.stride));
  std::vector<RatioSums> parts(static_cast<std::size_t>(staleness_blocks(b.num_envs) * b.horizon));
  launch_correction(policy, EmulatedElements{}, b, AdvantageOptions{0.97f, 0.9f, 0.5f},
                    log_ratios.data(), parts.data());
  const Staleness stale = staleness_of(parts, b.horizon, b.num_envs);
  EXPECT_EQ(stale.mean_ratio, 1);
  EXPECT_EQ(stale.cut, 0);
  EXPECT_EQ(stale.kl, 0);
}

template <class Env>
void reset(Scene<Env>& scene, const RolloutBuffer& b, BatchColumns columns) {
  const BatchConfig& c = scene.config;
  const BatchConstants constants = scene.constants();
  const auto params = make_params<Env>(c.params);
  const FirstEpisodes first{c.first_environment, c.environment_stride, c.first_episode,
                            c.episode_offset};
  emulate(blocks_of(b.num_envs), 1, kThreads, 0, [&] {
    reset_kernel<Env, false>(columns, constants, params, first, b.num_envs, b.observation_slot(0),
                             b.mask_slot(0));
  });
}

void expect_same_columns(RolloutBuffer a, RolloutBuffer b) {
  std::vector<const void*> expected;
  visit_rollout_fields(a, [&](auto*& field, std::int64_t) { expected.push_back(field); });
  std::size_t f = 0;
  visit_rollout_fields(b, [&](auto*& field, std::int64_t n) {
    EXPECT_TRUE(same_bits(expected[f], field, static_cast<std::size_t>(n) * sizeof(*field)))
        << "column " << f;
    ++f;
  });
}

PolicyChoices stacking(int frames) { return {.hidden = {40, 24}, .frame_stack = frames}; }

template <class Env>
void expect_equal_rollouts(int num_envs, bool normalize, bool greedy, int tile_rows = 32,
                           const PolicyChoices& network = stacking(1),
                           Launch launch = Launch::kStepByStep,
                           Products products = Products::kFloat32) {
  const int stack = network.frame_stack;
  Scene<Env> scene(num_envs, normalize, greedy, network, products);
  scene.collector.reset();
  HostRollout emulated(scene.spec, kHorizon, num_envs, stack, scene.memory());
  const RolloutBuffer& b = emulated.buffer();
  AlignedVector<std::uint32_t> words(scene.batch.snapshot_bytes() / 4);
  const BatchColumns columns =
      layout_columns(words.data(), b.stride, CpuBatch<Env>::kStateWords, false);
  reset(scene, b, columns);
  const int rollouts = stack > 1 || b.memory_columns > 0 ? 2 : 1;
  for (int rollout = 0; rollout < rollouts; ++rollout) {
    if (rollout > 0) {
      scene.collector.advance();
      advance_rollout(b);
    }
    scene.collector.collect({0.97f, 0.9f, 0.5f});
    collect(scene, greedy, tile_rows, b, columns, launch);
    expect_same_columns(scene.rollout.buffer(), b);
  }
  std::vector<std::byte> snapshot(scene.batch.snapshot_bytes());
  scene.batch.save(snapshot.data());
  EXPECT_TRUE(same_bits(snapshot.data(), words.data(), snapshot.size()));
  EXPECT_GE(scene.collector.finished_episodes().size(), static_cast<std::size_t>(2 * num_envs));
  if (scene.spec.observed.kind != ObservationKind::kReal) return;

  for (const int groups : {1, num_envs % 3 == 0 ? 3 : 1}) {
    const int parts = groups * kHorizon * b.observation_columns;
    std::vector<Moments> moments(static_cast<std::size_t>(parts)),
        total(static_cast<std::size_t>(groups * b.observation_columns));
    emulate(blocks_of(parts), 1, kThreads, 0, [&] { moments_kernel(b, groups, moments.data()); });
    const std::size_t of_group = moments.size() / static_cast<std::size_t>(groups),
                      size = static_cast<std::size_t>(b.observation_columns);
    for (std::size_t i = 0; i < moments.size(); ++i)
      total[i / of_group * size + i % size].merge(moments[i]);
    const std::vector<Moments> host = scene.collector.observation_moments(groups);
    EXPECT_TRUE(same_bits(total.data(), host.data(), total.size() * sizeof(Moments)));
  }
}

TEST(KernelEmulation, DiscreteRolloutHasTheCpusBits) {
  expect_equal_rollouts<CartPole>(75, false, false);
}
TEST(KernelEmulation, GaussianRolloutHasTheCpusBits) {
  expect_equal_rollouts<Pendulum>(75, false, false);
}
TEST(KernelEmulation, NormalisedObservations) { expect_equal_rollouts<Pendulum>(40, true, false); }
TEST(KernelEmulation, GreedyActions) {
  expect_equal_rollouts<CartPole>(33, true, true);
  expect_equal_rollouts<Pendulum>(33, false, true);
}
TEST(KernelEmulation, AllStepsInOneKernel) {
  expect_equal_rollouts<CartPole>(75, false, false, 32, stacking(1), Launch::kOneKernel);
  expect_equal_rollouts<Pendulum>(33, true, false, 8, stacking(1), Launch::kOneKernel);
  expect_equal_rollouts<Pendulum>(33, true, false, 8, stacking(1), Launch::kOneKernelGlobalWeights);
  PolicyChoices network = stacking(1);
  network.trunk = Trunk::kShared;
  expect_equal_rollouts<testing::MixedEnv>(21, false, false, 8, network, Launch::kOneKernel);
  network.conv = {{16, 2, 1}};
  network.activation = Activation::kRelu;
  expect_equal_rollouts<testing::PlanesEnv>(21, false, false, 4, network, Launch::kOneKernel);
}
TEST(KernelEmulation, SmallTiles) { expect_equal_rollouts<Pendulum>(21, true, false, 4); }
TEST(KernelEmulation, EverySpaceWithItsMasks) {
  testing::for_each_space([](const char* name, auto env) {
    SCOPED_TRACE(name);
    expect_equal_rollouts<decltype(env)>(37, false, false);
    expect_equal_rollouts<decltype(env)>(37, false, true, 4);
    expect_equal_rollouts<decltype(env)>(21, false, false, 8, stacking(1), Launch::kOneKernel);
  });
}
// A few ends a step, and many: each is recorded by another text of the CPU's.
TEST(KernelEmulation, MasksOfFinalObservations) {
  for (const int limit : {3, 40}) {
    BatchConfig config;
    config.num_envs = 200;
    config.time_limit = limit;
    using Env = testing::ChoicesEnv;
    CpuBatch<Env> batch(config, nullptr);
    HostRollout host(batch.spec(), 1, config.num_envs), device(batch.spec(), 1, config.num_envs);
    const RolloutBuffer &a = host.buffer(), &b = device.buffer();
    ASSERT_GT(a.mask_columns, 0);
    const auto size = static_cast<std::size_t>(a.mask_columns * a.stride);
    std::vector<Word> expected(size), actual(size), words(batch.snapshot_bytes() / 4);
    batch.reset(a.observation_slot(0), a.mask_slot(0));
    StepBuffers from = a.step_buffers(0), to = b.step_buffers(0);
    to.actions = from.actions;
    from.final_masks = expected.data();
    to.final_masks = actual.data();
    const auto params = make_params<Env>(config.params);
    int ended = 0;
    for (int t = 0; t < 30; ++t) {
      for (int i = 0; i < config.num_envs; ++i) {
        for (int k = 0; k < a.action_size(); ++k)
          a.discrete_slot(0)[k * a.stride + i] =
              (i * 7 + t + k) % batch.spec().choices[static_cast<std::size_t>(k)];
      }
      batch.save(reinterpret_cast<std::byte*>(words.data()));
      const BatchColumns columns =
          layout_columns(words.data(), a.stride, CpuBatch<Env>::kStateWords, false);
      batch.step(from);
      emulate(blocks_of(config.num_envs), 1, kThreads, 0, [&] {
        step_kernel<Env, false>(columns, batch_constants(config, batch.spec().time_limit), params,
                                0, config.num_envs, to);
      });
      for (int i = 0; i < config.num_envs; ++i) ended += a.ends[i] != kRunning;
      ASSERT_TRUE(same_bits(expected.data(), actual.data(), size * sizeof(Word))) << t;
    }
    EXPECT_GT(ended, 150);
  }
}
TEST(KernelEmulation, FrameStacks) {
  expect_equal_rollouts<CartPole>(21, true, false, 8, stacking(3));
  expect_equal_rollouts<testing::PlanesEnv>(21, false, false, 8, stacking(2));
  expect_equal_rollouts<testing::DiscreteEnv>(21, false, false, 8,
                                              stacking(15));  // longer than the horizon
}
TEST(KernelEmulation, EveryKindOfNetwork) {
  PolicyChoices network = stacking(1);
  network.activation = Activation::kRelu;
  network.trunk = Trunk::kShared;
  for (const auto distribution :
       {RealDistribution::kSquashed, RealDistribution::kDeterministic, RealDistribution::kBeta}) {
    network.distribution = distribution;
    expect_equal_rollouts<Pendulum>(21, true, false, 8, network);
    expect_equal_rollouts<testing::MixedEnv>(21, false, false, 8, network);
    expect_equal_rollouts<testing::MixedEnv>(21, false, true, 8, network);
  }
}
// Bits and bytes as planes, one layer and two, strides, and two frames.
TEST(KernelEmulation, Convolutions) {
  PolicyChoices network = stacking(1);
  network.activation = Activation::kRelu;
  network.conv = {{16, 2, 1}};
  expect_equal_rollouts<testing::PlanesEnv>(21, false, false, 8, network);
  network.trunk = Trunk::kShared;
  network.conv = {{16, 2, 1}, {32, 2, 1}};
  network.frame_stack = 2;
  expect_equal_rollouts<testing::PlanesEnv>(21, false, false, 4, network);
  network.activation = Activation::kTanh;
  expect_equal_rollouts<testing::PixelsEnv>(9, false, true, 4, network);
}
// Episodes end and are truncated between sequences and inside them; the second rollout goes on with what the first left.
TEST(KernelEmulation, Memories) {
  PolicyChoices network = stacking(1);
  network.memory_size = 20;
  for (const auto memory : {MemoryKind::kGru, MemoryKind::kMinGru}) {
    network.memory = memory;
    network.trunk = Trunk::kSeparate;
    expect_equal_rollouts<CartPole>(21, true, false, 8, network);
    network.trunk = Trunk::kShared;
    expect_equal_rollouts<testing::MixedEnv>(21, false, false, 4, network);
  }
  network.conv = {{16, 2, 1}};
  network.hidden = {};
  expect_equal_rollouts<testing::PlanesEnv>(9, false, false, 4, network);
}
// trainer.precision = "bf16", trainer.reduction = "exact".
TEST(KernelEmulation, Bf16HasTheCpusBits) {
  const auto expect_equal = [](auto env, const PolicyChoices& network, int tile_rows,
                               Launch launch = Launch::kStepByStep) {
    expect_equal_rollouts<decltype(env)>(37, false, false, tile_rows, network, launch,
                                         Products::kBf16);
  };
  expect_equal(CartPole{}, stacking(1), 32);
  expect_equal(Pendulum{}, stacking(2), 4);
  expect_equal(Pendulum{}, stacking(1), 8, Launch::kOneKernel);
  expect_equal(Pendulum{}, stacking(1), 8, Launch::kOneKernelGlobalWeights);
  PolicyChoices network{.hidden = {7, 40, 33}, .activation = Activation::kRelu};
  network.trunk = Trunk::kShared;
  expect_equal(testing::MixedEnv{}, network, 8);
  expect_equal(testing::PlanesEnv{}, network, 8, Launch::kOneKernel);
  expect_equal(testing::ChoicesEnv{}, {.hidden = {}}, 8);
}
// The last hidden layer in float32 for the memory, which stays in float32 itself; the head, wider layers and narrower ones rounded.
TEST(KernelEmulation, Bf16MemoriesHaveTheCpusBits) {
  for (const auto memory : {MemoryKind::kGru, MemoryKind::kMinGru}) {
    PolicyChoices network{.hidden = {7, 40, 33}};
    network.memory = memory;
    network.memory_size = 20;
    const auto expect_equal = [&](auto env, int tile_rows) {
      expect_equal_rollouts<decltype(env)>(21, false, false, tile_rows, network,
                                           Launch::kStepByStep, Products::kBf16);
    };
    expect_equal(CartPole{}, 8);
    network.hidden = {16};
    network.memory_size = 70;  // wider than all layers
    network.trunk = Trunk::kShared;
    expect_equal(testing::MixedEnv{}, 4);
  }
}
// One that looks patches up, whose dense layer stays in float32, also in one kernel; two, whose dense layer reads rounded numbers;
// before a memory, which reads a hidden layer's numbers, or the convolution's where there is none.
TEST(KernelEmulation, Bf16ConvolutionsHaveTheCpusBits) {
  PolicyChoices network{.hidden = {24, 40}, .activation = Activation::kRelu};
  network.conv = {{16, 2, 1}};
  const auto expect_equal = [&](auto env, int tile_rows, Launch launch = Launch::kStepByStep) {
    expect_equal_rollouts<decltype(env)>(21, false, false, tile_rows, network, launch,
                                         Products::kBf16);
  };
  expect_equal(testing::PlanesEnv{}, 4, Launch::kOneKernel);
  network.trunk = Trunk::kShared;
  expect_equal(testing::PixelsEnv{}, 8);
  network.conv = {{16, 2, 1}, {32, 2, 1}};
  network.frame_stack = 2;
  expect_equal(testing::PlanesEnv{}, 4);
  network.frame_stack = 1;
  network.memory = MemoryKind::kMinGru;
  network.memory_size = 20;
  expect_equal(testing::PixelsEnv{}, 8);
  network.hidden = {};
  network.conv = {{16, 2, 1}};
  expect_equal(testing::PlanesEnv{}, 4);
}
// Tensor cores' bits are their own, but a row has the same ones in every tile and launch.
TEST(KernelEmulation, TensorProductsOfARowAreTheSameInEveryTile) {
  const auto rollout = [](int num_envs, int tile_rows, Launch launch) {
    const PolicyChoices network{.hidden = {7, 40, 33}};
    Scene<Pendulum> scene(num_envs, true, false, network, Products::kBf16Tensor);
    auto emulated =
        std::make_unique<HostRollout>(scene.spec, kHorizon, num_envs, 1, scene.memory());
    const RolloutBuffer& b = emulated->buffer();
    AlignedVector<std::uint32_t> words(scene.batch.snapshot_bytes() / 4);
    const BatchColumns columns =
        layout_columns(words.data(), b.stride, CpuBatch<Pendulum>::kStateWords, false);
    reset(scene, b, columns);
    collect(scene, false, tile_rows, b, columns, launch);
    return emulated;
  };
  const auto first = rollout(37, 16, Launch::kStepByStep);
  for (const auto launch :
       {Launch::kStepByStep, Launch::kOneKernel, Launch::kOneKernelGlobalWeights}) {
    expect_same_columns(first->buffer(), rollout(37, 32, launch)->buffer());
  }
  const auto few = rollout(5, 32, Launch::kStepByStep);  // the first five of them alone
  for (int t = 0; t < kHorizon; ++t) {
    const auto same = [&](const float* a, const float* b) {
      return same_bits(a + t * first->buffer().stride, b + t * few->buffer().stride,
                       5 * sizeof(float));
    };
    EXPECT_TRUE(same(first->buffer().logprobs, few->buffer().logprobs)) << t;
    EXPECT_TRUE(same(first->buffer().values, few->buffer().values)) << t;
  }
}
TEST(KernelEmulation, OneEnvironment) { expect_equal_rollouts<CartPole>(1, false, false); }

}  // namespace
}  // namespace rollmill
