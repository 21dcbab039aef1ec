// The text of the CUDA learner's kernels, run on host threads, against the CPU's fused learner: weights, Adam's moments and
// losses of whole updates must be the same bits. clang-format off
#include "tests/cuda/emulation.h"  // before the kernels: it defines CUDA's words
// clang-format on

#include <gtest/gtest.h>

#include <thread>

#include "core/base/thread_pool.h"
#include "core/dist/local_group.h"
#include "core/dist/process_group.h"
#include "rollout/rollout_fields.h"
#include "tests/cuda/learner_emulation.h"
#include "tests/support/counter_env.h"
#include "tests/trainer/scene.h"
#include "trainer/fused/shard.h"
#include "trainer/learner.h"

namespace rollmill {
namespace {

using testing::EmulatedLearner;

struct Kind {
  const EnvEntry* entry;
  PolicyChoices network;
  bool normalize = false;
  int sequence_length = 0, burn_in = 0;  // with a memory
  Products products = Products::kFloat32;
};

// Two updates of a rank by each learner from the same start; `cpu` and `gpu`: its places in the two worlds; groups: of all ranks.
void expect_equal_rank(const Kind& kind, PpoOptions o, int envs, int horizon,
                       const std::vector<ParamRange>& frozen, int groups, ProcessGroup& cpu,
                       ProcessGroup& gpu) {
  const int mine = groups > 0 ? groups / cpu.world_size() : 1;
  const EnvSpec spec = kind.entry->spec();
  const PolicyShape shape = shape_for(spec, kind.network);
  HostRollout rollout(spec, horizon, envs, kind.network.frame_stack,
                      {shape.memory_columns(), kind.sequence_length, kind.burn_in});
  const RolloutBuffer& b = rollout.buffer();
  PolicyWeights host(shape), device(shape);
  initialize_weights(host, 3, -0.4f);
  host.normalizer = ObservationNormalizer(
      spec.observed.elements, kind.normalize && spec.observed.kind == ObservationKind::kReal, 1.5f);
  std::vector<Moments> moments;
  for (int k = 0; k < spec.observed.elements; ++k) moments.push_back({50.0, 0.1 * k, 40.0 + 9 * k});
  host.normalizer.set_moments(moments);
  testing::collect_rollout(*kind.entry, host, b, static_cast<std::uint64_t>(12 + cpu.rank()));
  if (b.memory_columns > 0) {
    int inside = 0;  // sequences in which an episode ends
    for (int t = 0; t < horizon; ++t) {
      for (int i = 0; i < envs; ++i)
        inside += (t + 1) % b.sequence_length != 0 && b.ends[t * b.stride + i] != kRunning ? 1 : 0;
    }
    EXPECT_GT(inside, 0);
  }
  // As if the policy had moved since: some ratios are clipped.
  Rng rng(7, Purpose::kTest, static_cast<std::uint32_t>(cpu.rank()), 0, 0);
  for (int t = 0; t < horizon; ++t) {
    for (int i = 0; i < envs; ++i) {
      const std::int64_t at = t * b.stride + i;
      b.logprobs[at] += 0.3f * rng.normal();
      b.advantages[at] = 0.3f + 2.0f * rng.normal();
      b.returns[at] = b.values[at] + rng.normal();
      b.values[at] += 0.4f * rng.normal();
    }
  }
  set_to_zero(frozen, host.params.data());
  device = host;
  o.horizon = horizon;
  OptimizerState first, second;
  for (OptimizerState* s : {&first, &second}) {
    s->first.resize(host.params.size());
    s->second.resize(host.params.size());
  }
  ThreadPool pool(1);
  LearnerContext context{&o, &host, &first, &cpu, &pool, 21, false, 0, groups};
  context.frozen = frozen;
  context.bf16 = kind.products != Products::kFloat32;
  const auto learner = make_fused_learner(context);
  EmulatedLearner emulated(o, device, second, b, 21, frozen, mine, gpu, kind.products);
  for (int update = 0; update < 2; ++update) {
    const UpdateStats stats = learner->update(b, update, 1e-3);
    const LearnState state = emulated.update(update, 1e-3);
    EXPECT_EQ(host.params, device.params);
    EXPECT_EQ(first.first, second.first);
    EXPECT_EQ(first.second, second.second);
    EXPECT_EQ(first.step, second.step);
    EXPECT_EQ(stats.policy_loss, state.total.policy / state.count);
    EXPECT_EQ(stats.value_loss, state.total.value / state.count);
    EXPECT_EQ(stats.entropy, state.total.entropy / state.count);
    EXPECT_EQ(stats.clip_fraction, state.total.clipped / state.count);
    EXPECT_EQ(stats.approx_kl, state.epoch_kl);
    EXPECT_EQ(stats.grad_norm, state.grad_norm / state.minibatches);
    EXPECT_EQ(stats.first_ratio_error, state.first_ratio_error);
    EXPECT_EQ(stats.explained_variance, explained_variance(emulated.spreads(), mine, gpu));
  }
  const PolicyWeights start(shape);
  EXPECT_NE(host.params, start.params);
}

void expect_equal_updates(const Kind& kind, const PpoOptions& o, int envs = 30, int horizon = 16,
                          const std::vector<ParamRange>& frozen = {}, int groups = 0) {
  const auto group = make_process_group(LaunchInfo{}, false);
  expect_equal_rank(kind, o, envs, horizon, frozen, groups, *group, *group);
}

void expect_equal_ranks(const Kind& kind, const PpoOptions& o, int world, int envs, int horizon,
                        int groups) {
  LocalWorld cpus(world), gpus(world);
  std::vector<std::jthread> ranks;
  for (int r = 0; r < world; ++r) {
    ranks.emplace_back([&, r] {
      LocalGroup cpu(cpus, r), gpu(gpus, r);
      expect_equal_rank(kind, o, envs, horizon, {}, groups, cpu, gpu);
    });
  }
}

PpoOptions everything() {
  PpoOptions o;
  o.epochs = 2;
  o.minibatches = 2;
  o.value_clip = 0.2f;
  o.value_huber = 0.5f;
  o.entropy_coefficient = 0.01f;
  o.max_grad_norm = 0.1f;
  return o;
}

using testing::test_entry;

// A policy with memory that learns from sequences.
Kind remembering(const EnvEntry& entry, MemoryKind memory, Trunk trunk, int length, int burn_in,
                 std::vector<int> hidden = {24}) {
  PolicyChoices network{.hidden = std::move(hidden)};
  network.memory = memory;
  network.memory_size = 20;  // padded to 32
  network.trunk = trunk;
  return {&entry, network, true, length, burn_in};
}

TEST(LearnerEmulation, DiscreteAndMaskedHeads) {
  expect_equal_updates({&test_entry<testing::DiscreteEnv>(), {.hidden = {40, 24}}}, everything());
  expect_equal_updates({&test_entry<testing::ChoicesEnv>(), {.hidden = {24}}}, everything());
}
TEST(LearnerEmulation, EveryDistributionOfRealActions) {
  for (const auto distribution :
       {RealDistribution::kGaussian, RealDistribution::kSquashed, RealDistribution::kBeta}) {
    PolicyChoices network{.hidden = {24}};
    network.distribution = distribution;
    expect_equal_updates({&test_entry<testing::MixedEnv>(), network, true}, everything());
  }
}
TEST(LearnerEmulation, EveryObservationAndFrames) {
  expect_equal_updates({&test_entry<testing::PlanesEnv>(), {{24}, 3}}, everything());
  expect_equal_updates({&test_entry<testing::PixelsEnv>(), {{24}, 1}}, everything());
  expect_equal_updates({&test_entry<testing::MixedEnv>(), {{24}, 2}, true}, everything());
}
TEST(LearnerEmulation, SharedTrunkReluAndPlainOptions) {
  PpoOptions plain;
  plain.epochs = 1;
  plain.minibatches = 3;
  plain.max_grad_norm = 0;
  plain.normalize_advantages = false;
  expect_equal_updates(
      {&test_entry<testing::ChoicesEnv>(), {{40, 24}, 1, Activation::kRelu, Trunk::kShared}},
      plain);
  expect_equal_updates({&test_entry<testing::MixedEnv>(), {.hidden = {}}}, plain);
}
TEST(LearnerEmulation, FrozenParametersAndImitation) {
  PpoOptions o = everything();
  const EnvEntry& entry = test_entry<testing::DiscreteEnv>();
  const MlpLayout layout(shape_for(entry.spec(), PolicyChoices{.hidden = {24}}));
  const DenseLayer& first = layout.actor.dense.front();
  expect_equal_updates({&entry, {.hidden = {24}}}, o, 30, 16,
                       {{first.weight, first.weight + 2 * first.width}});
  o.objective = Objective::kImitate;
  expect_equal_updates({&entry, {.hidden = {24}}}, o);
}
TEST(LearnerEmulation, GroupsOfOneRank) {
  const Kind kind{&test_entry<testing::MixedEnv>(), {.hidden = {24}}, true};
  expect_equal_updates(kind, everything(), 30, 16, {}, 5);
}
TEST(LearnerEmulation, SeveralRanks) {
  const Kind kind{&test_entry<testing::ChoicesEnv>(), {.hidden = {24}}};
  expect_equal_ranks(kind, everything(), 3, 20, 8, 0);
  expect_equal_ranks(kind, everything(), 2, 20, 8, 4);
}
TEST(LearnerEmulation, MemoriesOfBothKindsAndTrunks) {
  // Burn-in that the first sequences have not, that is longer than a sequence, or none; the whole horizon as one sequence.
  for (const MemoryKind memory : {MemoryKind::kGru, MemoryKind::kMinGru}) {
    const auto kind = [&](const EnvEntry& entry, Trunk trunk, int length, int burn_in) {
      return remembering(entry, memory, trunk, length, burn_in);
    };
    const EnvEntry& discrete = test_entry<testing::DiscreteEnv>();
    const EnvEntry& mixed = test_entry<testing::MixedEnv>();
    expect_equal_updates(kind(discrete, Trunk::kSeparate, 8, 3), everything(), 20);
    expect_equal_updates(kind(discrete, Trunk::kShared, 4, 6), everything(), 20);
    expect_equal_updates(kind(mixed, Trunk::kShared, 8, 0), everything(), 20);
    expect_equal_updates(kind(mixed, Trunk::kSeparate, 0, 0), everything(), 42);
  }
}
TEST(LearnerEmulation, MemoriesOfDeepNetworksFramesAndDistributions) {
  PpoOptions plain;
  plain.epochs = 1;
  plain.minibatches = 3;
  plain.max_grad_norm = 0;
  plain.normalize_advantages = false;
  Kind deep = remembering(test_entry<testing::PixelsEnv>(), MemoryKind::kGru, Trunk::kSeparate, 4,
                          2, {40, 24, 16});
  deep.network.distribution = RealDistribution::kBeta;
  deep.network.activation = Activation::kRelu;
  expect_equal_updates(deep, plain, 18, 8);
  Kind frames = remembering(test_entry<testing::MixedEnv>(), MemoryKind::kMinGru, Trunk::kShared, 4,
                            1, {16, 40});
  frames.network.frame_stack = 3;
  frames.network.memory_size = 70;  // wider than all layers
  frames.network.distribution = RealDistribution::kSquashed;
  expect_equal_updates(frames, plain, 18, 8);
}
TEST(LearnerEmulation, MemoriesInGroupsOnRanks) {
  const Kind kind =
      remembering(test_entry<testing::ChoicesEnv>(), MemoryKind::kGru, Trunk::kSeparate, 4, 2);
  expect_equal_updates(kind, everything(), 20, 8, {}, 5);
  expect_equal_ranks(kind, everything(), 2, 20, 8, 4);
}
// More sequences than 16 in each of as many shards as there may be: some have two tiles.
TEST(LearnerEmulation, ManySequencesOfAShard) {
  PpoOptions o = everything();
  o.epochs = 1;
  o.minibatches = 1;
  Kind kind = remembering(test_entry<testing::DiscreteEnv>(), MemoryKind::kMinGru, Trunk::kShared,
                          2, 0, {8});
  kind.network.memory_size = 8;
  expect_equal_updates(kind, o, 2100, 8);
}
// trainer.precision = "bf16", trainer.reduction = "exact": whole layers and parts of tiles of 16, one layer and several, rows that do
// not fill a tile.
TEST(LearnerEmulation, Bf16HasTheCpusBits) {
  const auto kind = [](const EnvEntry& entry, const PolicyChoices& network) {
    return Kind{&entry, network, true, 0, 0, Products::kBf16};
  };
  const EnvEntry& mixed = test_entry<testing::MixedEnv>();
  const EnvEntry& choices = test_entry<testing::ChoicesEnv>();
  expect_equal_updates(kind(test_entry<testing::DiscreteEnv>(), {.hidden = {40, 24}}),
                       everything());
  PolicyChoices relu{.hidden = {7, 33, 16}, .activation = Activation::kRelu};
  relu.trunk = Trunk::kShared;
  expect_equal_updates(kind(choices, relu), everything());
  PolicyChoices network{.hidden = {24}};
  for (const auto distribution : {RealDistribution::kGaussian, RealDistribution::kBeta}) {
    network.distribution = distribution;
    expect_equal_updates(kind(mixed, network), everything(), 30, 16, {}, 5);
  }
  expect_equal_updates(kind(mixed, {.hidden = {}}), everything());
  expect_equal_ranks(kind(choices, {.hidden = {24}}), everything(), 2, 20, 8, 4);
}

// On tensor cores the first step of Adam against the CPU's with bfloat16 products. What differs is how float32 sums are rounded, and
// perhaps an activation between two bfloat16 numbers that is rounded the other way: 2^-8 of one factor of thousands. (float32's gradient
// is 2e-3 away.)
TEST(LearnerEmulation, TensorProductsGiveTheGradientOfBf16AndFirstRatiosOfOne) {
  const auto group = make_process_group(LaunchInfo{}, false);
  const auto gradient_differs = [&](const EnvEntry& entry, const PolicyChoices& network) {
    const EnvSpec spec = entry.spec();
    HostRollout rollout(spec, 8, 31, 1);  // the last tile of a shard has 34 rows or 35
    const RolloutBuffer& b = rollout.buffer();
    PolicyWeights host(shape_for(spec, network));
    initialize_weights(host, 3, -0.4f);
    Rng rng(8, Purpose::kTest, 0, 0, 0);
    for (const auto* net : {&host.layout.actor, &host.layout.critic}) {
      // A row without observations gives something, too.
      for (const DenseLayer& l : net->dense) {
        for (int j = 0; j < l.outputs; ++j)
          host.params[static_cast<std::size_t>(l.bias + j)] = 0.3f * rng.normal();
      }
    }
    host.normalizer = ObservationNormalizer(spec.observed.elements, false, 1.0f);
    testing::collect_rollout(entry, host, b);
    PolicyWeights device = host;
    PpoOptions o;
    o.horizon = 8;
    o.epochs = o.minibatches = 1;
    o.max_grad_norm = 0;
    OptimizerState first, second;
    for (OptimizerState* s : {&first, &second}) {
      s->first.resize(host.params.size());
      s->second.resize(host.params.size());
    }
    EmulatedLearner emulated(o, device, second, b, 21, {}, 1, *group, Products::kBf16Tensor);
    emulated.act();
    ThreadPool pool(1);
    LearnerContext context{&o, &host, &first, group.get(), &pool, 21};
    context.bf16 = true;
    make_fused_learner(context)->update(b, 0, 1e-3);
    const LearnState state = emulated.update(0, 1e-3);
    EXPECT_EQ(state.first_ratio_error, 0.0);
    EXPECT_EQ(state.minibatches, 1);
    double difference = 0, size = 0;  // of Adam's first moment, a tenth of the gradient
    for (std::size_t i = 0; i < first.first.size(); ++i) {
      const double expected = first.first[i], d = second.first[i] - expected;
      difference += d * d;
      size += expected * expected;
    }
    emulated.act();  // with the weights as they are after a step
    EXPECT_EQ(emulated.update(1, 1e-3).first_ratio_error, 0.0);
    return std::sqrt(difference / size);
  };
  PolicyChoices relu{.hidden = {7, 33, 16}, .activation = Activation::kRelu};
  relu.trunk = Trunk::kShared;
  EXPECT_LT(gradient_differs(test_entry<testing::ChoicesEnv>(), relu), 1e-4);
  EXPECT_LT(gradient_differs(test_entry<testing::MixedEnv>(), {.hidden = {40, 24}}), 1e-4);
}
// A policy that begins with convolutions.
Kind convolving(const EnvEntry& entry, std::vector<ConvShape> conv, std::vector<int> hidden,
                int frames = 1, Trunk trunk = Trunk::kSeparate,
                Activation activation = Activation::kTanh) {
  PolicyChoices network{.hidden = std::move(hidden), .frame_stack = frames};
  network.conv = std::move(conv);
  network.trunk = trunk;
  network.activation = activation;
  return {&entry, network, true};
}

// One convolution over bits: patches of one word and of three, gaps between them, the head as the only dense layer.
TEST(LearnerEmulation, ConvolutionsThatLookPatchesUp) {
  const EnvEntry& planes = test_entry<testing::PlanesEnv>();
  const auto kind = [&](std::vector<int> hidden, ConvShape conv, int frames, Trunk trunk,
                        Activation activation) {
    Kind k = convolving(planes, {conv}, std::move(hidden), frames, trunk, activation);
    EXPECT_TRUE(shape_for(planes.spec(), k.network).by_patch());
    return k;
  };
  PpoOptions plain = everything();
  plain.minibatches = 3;
  plain.max_grad_norm = 0;
  expect_equal_updates(kind({24}, {16, 2, 1}, 2, Trunk::kSeparate, Activation::kTanh),
                       everything());
  expect_equal_updates(kind({40, 24}, {16, 3, 1}, 3, Trunk::kShared, Activation::kRelu), plain);
  expect_equal_updates(kind({24}, {32, 2, 2}, 1, Trunk::kSeparate, Activation::kRelu), plain);
  expect_equal_updates(kind({}, {32, 3, 2}, 1, Trunk::kShared, Activation::kTanh), plain);
}
TEST(LearnerEmulation, ConvolutionsThatLookPatchesUpInGroupsOnRanks) {
  const Kind kind = convolving(test_entry<testing::PlanesEnv>(), {{16, 3, 1}}, {24});
  expect_equal_updates(kind, everything(), 30, 16, {}, 5);
  expect_equal_ranks(kind, everything(), 2, 20, 8, 4);
}
// Two convolutions, and convolutions over bytes.
TEST(LearnerEmulation, ConvolutionsOfEveryRow) {
  const EnvEntry &planes = test_entry<testing::PlanesEnv>(),
                 &pixels = test_entry<testing::PixelsEnv>();
  PpoOptions plain = everything();
  plain.minibatches = 3;
  plain.max_grad_norm = 0;
  expect_equal_updates(convolving(planes, {{16, 2, 1}, {32, 2, 2}}, {24}, 3), everything());
  expect_equal_updates(
      convolving(planes, {{16, 2, 1}, {32, 2, 1}, {16, 2, 1}}, {}, 1, Trunk::kShared), plain);
  expect_equal_updates(convolving(pixels, {{16, 2, 1}}, {40, 24}, 1, Trunk::kShared), plain);
  Kind beta =
      convolving(pixels, {{32, 2, 1}, {16, 2, 1}}, {24}, 2, Trunk::kSeparate, Activation::kRelu);
  beta.network.distribution = RealDistribution::kBeta;
  expect_equal_updates(beta, everything());
  expect_equal_updates(beta, everything(), 30, 16, {}, 5);
}

// Shards of several windows and of several tiles, on boards that repeat and boards that do not: of some positions more ids than the kernels
// take at a time.
template <class Env>
void expect_equal_shards(const PolicyChoices& network) {
  constexpr int kEnvs = 30, kHorizon = 15;
  const EnvEntry& entry = test_entry<Env>();
  const EnvSpec spec = entry.spec();
  HostRollout rollout(spec, kHorizon, kEnvs, network.frame_stack);
  const RolloutBuffer& b = rollout.buffer();
  PolicyWeights weights(shape_for(spec, network));
  initialize_weights(weights, 3, -0.4f);
  weights.normalizer = ObservationNormalizer(spec.observed.elements, false, 1.0f);
  testing::collect_rollout(entry, weights, b);
  Rng rng(9, Purpose::kTest, 0, 0, 0);
  std::vector<std::uint32_t> units;
  for (int t = 0; t < kHorizon; ++t) {
    auto* words = reinterpret_cast<Word*>(b.observation_slot(t));
    for (int i = 0; i < kEnvs; ++i) {
      units.push_back(static_cast<std::uint32_t>(units.size() * 7 % (kEnvs * kHorizon)));
      b.advantages[t * b.stride + i] = rng.normal();
      b.logprobs[t * b.stride + i] += 0.3f * rng.normal();
      for (int c = 0; c < spec.observed.columns; ++c) {
        Word word = rng.bits();
        if (i % 2 == 0) word &= rng.bits() & rng.bits() & rng.bits() & rng.bits();
        words[c * b.stride + i] = word;  // ones beyond the last element, too
      }
    }
  }
  PpoOptions o = everything();
  o.normalize_advantages = false;
  o.minibatches = 1;
  Shard shard(weights.layout);
  static std::uint64_t version = std::uint64_t{1} << 40;  // none that a learner takes
  const float inv_n = static_cast<float>(1.0 / (kEnvs * kHorizon));
  const MinibatchTask task{o, weights, ++version, false, b, 0.0f, 1.0f, inv_n};
  shard.compute(task, units.data(), static_cast<int>(units.size()));
  OptimizerState state;
  state.first.resize(weights.params.size());
  state.second.resize(weights.params.size());
  const auto group = make_process_group(LaunchInfo{}, false);
  EmulatedLearner emulated(o, weights, state, b, 21, {}, 1, *group);
  const auto [gradient, sums] = emulated.one_shard(units);
  EXPECT_EQ(std::vector<float>(shard.gradient.begin(), shard.gradient.end()), gradient);
  const LossSums expected = shard.losses();
  EXPECT_EQ(expected.policy, sums.policy);
  EXPECT_EQ(expected.value, sums.value);
  EXPECT_EQ(expected.entropy, sums.entropy);
  EXPECT_EQ(expected.ratio_error, sums.ratio_error);
}
TEST(LearnerEmulation, ShardsOfSeveralWindows) {
  using Planes = testing::PlanesEnv;
  using Large = testing::CounterEnv<rollmill::Planes<1, 40, 41>, Discrete<3>, false>;
  const std::vector<ConvShape> one = {{16, 3, 1}}, two = {{16, 3, 1}, {16, 2, 1}},
                               wide = {{16, 35, 5}};  // lines of more than a word
  expect_equal_shards<Planes>({.hidden = {24}, .frame_stack = 2, .conv = one});
  expect_equal_shards<Planes>(
      {.hidden = {24}, .activation = Activation::kRelu, .trunk = Trunk::kShared, .conv = one});
  expect_equal_shards<Planes>({.hidden = {24}, .frame_stack = 2, .conv = two});
  expect_equal_shards<Large>({.hidden = {8}, .conv = wide});
}

// Beyond 2^16 samples of a group the order is computed by the kernels; more than one chunk of every sum.
TEST(LearnerEmulation, ManySamplesInGroups) {
  PpoOptions o = everything();
  o.epochs = 1;
  o.minibatches = 16;
  expect_equal_updates({&test_entry<testing::DiscreteEnv>(), {.hidden = {8}}}, o, 4200, 32, {}, 2);
}

}  // namespace
}  // namespace rollmill
