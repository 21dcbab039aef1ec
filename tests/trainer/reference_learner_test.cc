// The fused learner against plain libtorch autograd in float64, from equal weights, optimiser state
// and rollouts.
//
// The bounds, and why: the fused learner sums up to kRows float32 terms per gradient element, each
// with a few roundings, so an element's error is below about sqrt(kRows) * 4 * 2^-24 = 4e-6 of the
// largest gradient element (its square's: twice that; measured: 1.2e-6). Adam divides by the
// element's own size, which turns that into an error of the step where the element itself is small;
// the step is compared as a share of the learning rate. Later steps start from slightly different
// weights and compare with the bound times the number of steps. Each bound is shown to be tight
// enough: a change of any option by one part in twenty breaks it.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <numeric>
#include <thread>

#include "core/base/thread_pool.h"
#include "core/dist/local_group.h"
#include "core/rng/rng.h"
#include "tests/support/counter_env.h"
#include "tests/support/shapes.h"
#include "tests/trainer/scene.h"
#include "trainer/reference_learner.h"

namespace rollmill {
namespace {

using testing::test_entry;

constexpr int kHorizon = 16, kEnvs = 24, kRows = kHorizon * kEnvs;
constexpr double kLearningRate = 1e-3;

constexpr double kMomentBound = 4e-6;  // of the largest element of the moment
constexpr double kStepBound = 1e-3;    // of the learning rate, per optimiser step
constexpr double kStatBound = 2e-6;    // absolute and relative

// Whose policy: made-up real observations with one choice or two real actions, or a test environment's spaces.
struct Kind {
  const char* name;
  bool discrete = true;
  const EnvEntry* entry = nullptr;
  PolicyChoices network = {.hidden = {40, 24}};
  int sequence_length = 0, burn_in = 0;
  // Of kStepBound. A kernel's gradient is a sum over positions that mostly cancels: more elements are near Adam's epsilon, where
  // its step magnifies an error most (measured: 4.5).
  double step_bounds = 1;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

EnvSpec make_spec(const Kind& kind) {
  if (kind.entry != nullptr) return kind.entry->spec();
  EnvSpec spec;
  spec.observation.resize(5);
  spec.observed = testing::reals(5);
  if (kind.discrete) spec.choices = {3};
  spec.action.resize(kind.discrete ? 1 : 2);
  for (auto& f : spec.action) f.low = -2, f.high = 2;
  return spec;
}

// A policy, its optimiser state and a rollout that this policy might have made, all random.
struct Scene {
  Scene(const Kind& kind, bool normalize, int rank = 0)
      : spec(make_spec(kind)),
        weights(shape_for(spec, kind.network)),
        rollout(spec, kHorizon, kEnvs, kind.network.frame_stack,
                {weights.layout.shape.memory_columns(), kind.sequence_length, kind.burn_in}),
        rng(7, Purpose::kTest, static_cast<std::uint32_t>(rank), 0, 0) {
    initialize_weights(weights, 3, -0.4f);
    Rng noise(8, Purpose::kTest, 0, 0, 0);  // equal on all ranks
    for (const auto* net : {&weights.layout.actor, &weights.layout.critic}) {
      for (const DenseLayer& layer : net->dense) {
        for (int k = 0; k < layer.inputs; ++k) {
          for (int j = 0; j < layer.outputs; ++j)
            weights.params[at(layer.weight + k * layer.width + j)] += 0.3f * noise.normal();
        }
        for (int j = 0; j < layer.outputs; ++j)
          weights.params[at(layer.bias + j)] = 0.2f * noise.normal();
      }
    }
    const int elements = spec.observed.elements;
    weights.normalizer = ObservationNormalizer(
        elements, normalize && spec.observed.kind == ObservationKind::kReal, 1.5f);
    std::vector<Moments> moments;
    for (int k = 0; k < elements; ++k) moments.push_back({100.0, 0.1 * k, 100.0 * (0.5 + 0.3 * k)});
    weights.normalizer.set_moments(moments);
    optimizer.first.resize(weights.params.size());
    optimizer.second.resize(weights.params.size());
    if (kind.entry == nullptr) {
      fill();
    } else {
      testing::collect_rollout(*kind.entry, weights, rollout.buffer(),
                               static_cast<std::uint64_t>(12 + rank));
    }
    perturb();
  }
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  void fill() {
    const RolloutBuffer& b = rollout.buffer();
    for (int t = 0; t <= kHorizon; ++t) {
      for (std::int64_t i = 0; i < 5 * b.stride; ++i) b.observation_slot(t)[i] = rng.normal();
    }
    const MlpPolicy policy(spec, weights, 11, false);
    const std::vector<std::uint32_t> zero(static_cast<std::size_t>(b.stride));
    std::vector<std::uint32_t> step(zero);
    for (int t = 0; t < kHorizon; ++t) {
      std::vector<std::uint32_t> ids(zero);
      for (int i = 0; i < kEnvs; ++i)
        ids[at(i)] = static_cast<std::uint32_t>(i), step[at(i)] = static_cast<std::uint32_t>(t);
      ActRequest q = request_for_slot(b, t);
      q.keys = {ids.data(), zero.data(), step.data()};
      q.end = kEnvs;
      policy.act(q);
    }
  }

  void perturb() {
    const RolloutBuffer& b = rollout.buffer();
    for (int t = 0; t < kHorizon; ++t) {
      for (int i = 0; i < kEnvs; ++i) {
        const std::int64_t s = t * b.stride + i;
        b.logprobs[s] += moved();  // as if the policy had moved since: some ratios are clipped
        b.advantages[s] = 0.3f + 2.0f * rng.normal();
        b.returns[s] = b.values[s] + rng.normal();
        b.values[s] += 0.4f * rng.normal();
      }
    }
  }

  // Not so that the ratio lies on an edge of the clip range, where float32 and float64 may take different sides.
  float moved() {
    for (;;) {
      const float noise = 0.3f * rng.normal(), away = std::abs(std::exp(-noise) - 1.0f);
      if (std::abs(away - 0.2f) > 1e-4f) return noise;
    }
  }

  EnvSpec spec;
  PolicyWeights weights;
  HostRollout rollout;
  OptimizerState optimizer;
  Rng rng;
};

enum class Which { kFused, kFusedBf16, kFloat32, kFloat64, kBf16 };

UpdateStats run(Scene& scene, const PpoOptions& options, Which which, ProcessGroup& group,
                int updates = 1) {
  ThreadPool pool(1);
  LearnerContext context{&options, &scene.weights, &scene.optimizer, &group, &pool, 21, false, 0};
  context.bf16 = which == Which::kBf16 || which == Which::kFusedBf16;
  const auto learner = which == Which::kFused || which == Which::kFusedBf16
                           ? make_fused_learner(context)
                           : make_reference_learner(context, which == Which::kFloat64);
  UpdateStats stats;
  for (int u = 0; u < updates; ++u)
    stats = learner->update(scene.rollout.buffer(), u, kLearningRate);
  return stats;
}

UpdateStats run(Scene& scene, const PpoOptions& options, Which which, int updates = 1) {
  const auto group = make_process_group(LaunchInfo{}, false);
  return run(scene, options, which, *group, updates);
}

double largest_difference(const AlignedVector<float>& a, const AlignedVector<float>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= largest)) largest = difference;  // a NaN stays
  }
  return largest;
}

double largest(const AlignedVector<float>& a) {
  return largest_difference(a, AlignedVector<float>(a.size()));
}

// Differences as shares of their bounds; 1 is the limit.
struct Shares {
  double weights, first, second, stats;
  double worst() const { return std::max({weights, first, second, stats}); }
};

Shares compare(const Scene& a, const UpdateStats& sa, const Scene& b, const UpdateStats& sb) {
  const auto steps = static_cast<double>(b.optimizer.step);
  EXPECT_EQ(a.optimizer.step, b.optimizer.step);
  EXPECT_EQ(sa.epochs, sb.epochs);
  Shares s{};
  s.weights =
      largest_difference(a.weights.params, b.weights.params) / (kStepBound * kLearningRate * steps);
  s.first = largest_difference(a.optimizer.first, b.optimizer.first) /
            (kMomentBound * steps * largest(b.optimizer.first));
  s.second = largest_difference(a.optimizer.second, b.optimizer.second) /
             (2 * kMomentBound * steps * largest(b.optimizer.second));
  const std::pair<double, double> pairs[] = {{sa.policy_loss, sb.policy_loss},
                                             {sa.value_loss, sb.value_loss},
                                             {sa.entropy, sb.entropy},
                                             {sa.approx_kl, sb.approx_kl},
                                             {sa.clip_fraction, sb.clip_fraction},
                                             {sa.explained_variance, sb.explained_variance},
                                             {sa.grad_norm, sb.grad_norm},
                                             {sa.first_ratio_error, sb.first_ratio_error}};
  for (const auto& [x, y] : pairs)
    s.stats = std::max(s.stats, std::abs(x - y) / (kStatBound * steps * (1 + std::abs(y))));
  return s;
}

PpoOptions plain() {
  PpoOptions o;
  o.horizon = kHorizon;
  o.epochs = 1;
  o.minibatches = 1;
  o.max_grad_norm = 0;
  o.normalize_advantages = false;
  return o;
}

PpoOptions everything() {
  PpoOptions o = plain();
  o.value_clip = 0.2f;
  o.entropy_coefficient = 0.01f;
  o.max_grad_norm = 0.1f;
  o.normalize_advantages = true;
  return o;
}

class FusedAgainstTorch : public ::testing::TestWithParam<Kind> {
 protected:
  Shares shares(const PpoOptions& fused, const PpoOptions& reference, Which which = Which::kFloat64,
                int updates = 1) {
    Scene a(GetParam(), true), b(GetParam(), true);
    const UpdateStats sa = run(a, fused, Which::kFused, updates);
    const UpdateStats sb = run(b, reference, which, updates);
    const Scene start(GetParam(), true);
    EXPECT_GT(largest_difference(b.weights.params, start.weights.params), 0.4 * kLearningRate);
    Shares s = compare(a, sa, b, sb);
    s.weights /= GetParam().step_bounds;
    return s;
  }
  void expect_equal(const PpoOptions& o, const char* what, Which which = Which::kFloat64,
                    int updates = 1) {
    const Shares s = shares(o, o, which, updates);
    EXPECT_LT(s.weights, 1) << what;
    EXPECT_LT(s.first, 1) << what;
    EXPECT_LT(s.second, 1) << what;
    EXPECT_LT(s.stats, 1) << what;
    std::printf("  %-28s weights %.3f  first %.3f  second %.3f  stats %.3f of the bound\n", what,
                s.weights, s.first, s.second, s.stats);
  }
};

TEST_P(FusedAgainstTorch, OneMinibatchEachOption) {
  expect_equal(plain(), "plain");
  PpoOptions o = plain();
  o.value_clip = 0.2f;
  expect_equal(o, "value clipping");
  o.value_huber = 0.5f;
  expect_equal(o, "clipping, Huber");
  o.value_clip = 0;
  expect_equal(o, "Huber");
  o = plain();
  o.entropy_coefficient = 0.05f;
  expect_equal(o, "entropy");
  o = plain();
  o.max_grad_norm = 0.1f;
  expect_equal(o, "gradient clipping");
  o = plain();
  o.normalize_advantages = true;
  expect_equal(o, "advantage normalisation");
  expect_equal(everything(), "everything");
}

TEST_P(FusedAgainstTorch, Imitation) {
  PpoOptions o = everything();
  o.normalize_advantages = false;
  o.value_clip = 0;
  o.objective = Objective::kImitate;
  expect_equal(o, "imitation");
  o.objective = Objective::kImitateWeighted;
  o.entropy_coefficient = 0;
  expect_equal(o, "weighted imitation");
}

TEST_P(FusedAgainstTorch, ManyMinibatchesAndUpdates) {
  PpoOptions o = everything();
  o.minibatches = 4;
  expect_equal(o, "4 minibatches");
  o.epochs = 3;
  expect_equal(o, "4 minibatches, 3 epochs");
  expect_equal(o, "two updates", Which::kFloat64, 2);
}

TEST_P(FusedAgainstTorch, TheReferenceInFloat32Agrees) {
  expect_equal(everything(), "float32", Which::kFloat32);
}

// bfloat16 keeps 8 bits: each product's factors are off by up to 2^-9, some 2^-7 on the way from an input through loss and back,
// and where a gradient's terms cancel more of it. Its direction stays. Weights move by float32 steps all the same. (The loss of imitation: PPO's has edges, and
// rounding moves samples over them.)
void expect_near_and_not_float32(const Kind& kind, Which which) {
  Scene a(kind, true), b(kind, true);
  PpoOptions o = plain();
  o.objective = Objective::kImitate;
  const UpdateStats sa = run(a, o, which), sb = run(b, o, Which::kFloat64);
  const auto product = [](const AlignedVector<float>& x, const AlignedVector<float>& y) {
    return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
  };
  const AlignedVector<float>&ga = a.optimizer.first, &gb = b.optimizer.first;
  const double cosine = product(ga, gb) / std::sqrt(product(ga, ga) * product(gb, gb));
  EXPECT_GT(cosine, 0.98);
  EXPECT_GT(largest_difference(ga, gb), 0x1p-16 * largest(gb));
  EXPECT_NEAR(sa.value_loss, sb.value_loss, 16 * 0x1p-9 * (1 + std::abs(sb.value_loss)));
  EXPECT_NEAR(sa.policy_loss, sb.policy_loss, 16 * 0x1p-9 * (1 + std::abs(sb.policy_loss)));
  const bool rounded = std::all_of(a.weights.params.begin(), a.weights.params.end(), [](float w) {
    return (__builtin_bit_cast(std::uint32_t, w) & 0xFFFFu) == 0;
  });
  EXPECT_FALSE(rounded);
  std::printf("  %s: cosine of the gradients 1 - %.2g\n", which == Which::kBf16 ? "torch" : "fused",
              1 - cosine);
}

TEST_P(FusedAgainstTorch, Bf16IsNearAndNotFloat32) {
  expect_near_and_not_float32(GetParam(), Which::kBf16);
  expect_near_and_not_float32(GetParam(), Which::kFusedBf16);
}

TEST_P(FusedAgainstTorch, StopsAtTheSameEpoch) {
  PpoOptions o = everything();
  o.epochs = 6;
  o.target_kl = 1e-4f;  // the rollout's noise alone is beyond it
  Scene a(GetParam(), false), b(GetParam(), false);
  EXPECT_EQ(run(a, o, Which::kFused).epochs, 1);
  EXPECT_EQ(run(b, o, Which::kFloat64).epochs, 1);
  o.target_kl = 10.0f;
  EXPECT_EQ(run(a, o, Which::kFused).epochs, 6);
  EXPECT_EQ(run(b, o, Which::kFloat64).epochs, 6);
}

// The bounds see every option: the reference with one of them changed by a twentieth is beyond
// them.
TEST_P(FusedAgainstTorch, TheBoundsAreTight) {
  const PpoOptions o = everything();
  const auto changed = [&](float PpoOptions::*field, float factor) {
    PpoOptions c = o;
    c.*field *= factor;
    return shares(o, c).worst();
  };
  EXPECT_GT(changed(&PpoOptions::clip, 1.05f), 1);
  EXPECT_GT(changed(&PpoOptions::value_clip, 1.05f), 1);
  EXPECT_GT(changed(&PpoOptions::value_coefficient, 1.05f), 1);
  EXPECT_GT(changed(&PpoOptions::entropy_coefficient, 1.05f), 1);
  EXPECT_GT(changed(&PpoOptions::max_grad_norm, 1.05f), 1);
  EXPECT_GT(changed(&PpoOptions::adam_beta1, 0.95f), 1);
  EXPECT_GT(changed(&PpoOptions::adam_beta2, 0.95f), 1);
  EXPECT_GT(changed(&PpoOptions::adam_epsilon, 1000.0f), 1);
  PpoOptions c = o;
  c.normalize_advantages = false;
  EXPECT_GT(shares(o, c).worst(), 1);
}

// Two ranks with rollouts of their own: both learners give both ranks the same weights, and agree.
TEST_P(FusedAgainstTorch, TwoRanks) {
  const PpoOptions o = [] {
    PpoOptions all = everything();
    all.minibatches = 2;
    return all;
  }();
  std::unique_ptr<Scene> scenes[2][2];
  UpdateStats stats[2][2];
  for (int which = 0; which < 2; ++which) {
    LocalWorld world(2);
    const auto rank = [&](int r) {
      scenes[which][r] = std::make_unique<Scene>(GetParam(), true, r);
      LocalGroup group(world, r);
      stats[which][r] =
          run(*scenes[which][r], o, which == 0 ? Which::kFused : Which::kFloat64, group);
    };
    std::thread other(rank, 1);
    rank(0);
    other.join();
    EXPECT_EQ(scenes[which][0]->weights.params, scenes[which][1]->weights.params);
    EXPECT_EQ(scenes[which][0]->optimizer.second, scenes[which][1]->optimizer.second);
  }
  for (int r = 0; r < 2; ++r)
    EXPECT_LT(compare(*scenes[0][r], stats[0][r], *scenes[1][r], stats[1][r]).worst(), 1);
}

PolicyChoices gru(int frames = 1) {
  return {.hidden = {40}, .frame_stack = frames, .memory = MemoryKind::kGru, .memory_size = 20};
}
PolicyChoices conv(int frames) {
  return {.hidden = {24}, .frame_stack = frames, .conv = {{16, 2, 1}, {32, 2, 1}}};
}
PolicyChoices patches(Trunk trunk, MemoryKind memory) {
  return {.hidden = {24, 20},
          .frame_stack = 2,
          .trunk = trunk,
          .memory = memory,
          .memory_size = memory == MemoryKind::kNone ? 0 : 20,
          .conv = {{32, 2, 1}}};
}
PolicyChoices min_gru() {
  return {.hidden = {24},
          .activation = Activation::kRelu,
          .trunk = Trunk::kShared,
          .memory = MemoryKind::kMinGru,
          .memory_size = 33};
}

INSTANTIATE_TEST_SUITE_P(
    Policies, FusedAgainstTorch,
    ::testing::Values(Kind{"Discrete"}, Kind{"Gaussian", false},
                      Kind{"MaskedChoices", true, &test_entry<testing::ChoicesEnv>()},
                      Kind{"MixedStack", true, &test_entry<testing::MixedEnv>(), {{40, 24}, 3}},
                      Kind{"PlanesStack", true, &test_entry<testing::PlanesEnv>(), {{40, 24}, 2}},
                      Kind{"Pixels", true, &test_entry<testing::PixelsEnv>()},
                      Kind{"OneHot", true, &test_entry<testing::DiscreteEnv>(), {{40, 24}, 2}},
                      Kind{"SharedRelu",
                           true,
                           &test_entry<testing::ChoicesEnv>(),
                           {{40, 24}, 1, Activation::kRelu, Trunk::kShared}},
                      Kind{"Squashed",
                           false,
                           &test_entry<testing::MixedEnv>(),
                           {.hidden = {24}, .distribution = RealDistribution::kSquashed}},
                      Kind{"Beta",
                           false,
                           &test_entry<testing::MixedEnv>(),
                           {.hidden = {24}, .distribution = RealDistribution::kBeta}},
                      Kind{"Conv", true, &test_entry<testing::PlanesEnv>(), conv(2), 0, 0, 6.0},
                      Kind{"Patches", true, &test_entry<testing::PlanesEnv>(),
                           patches(Trunk::kSeparate, MemoryKind::kNone), 0, 0, 6.0},
                      Kind{"PatchesShared", true, &test_entry<testing::PlanesEnv>(),
                           patches(Trunk::kShared, MemoryKind::kNone), 0, 0, 6.0},
                      Kind{"PatchesGru", true, &test_entry<testing::PlanesEnv>(),
                           patches(Trunk::kSeparate, MemoryKind::kGru), 0, 0, 6.0},
                      Kind{"ConvPixels", true, &test_entry<testing::PixelsEnv>(), conv(1)},
                      Kind{"Gru", true, &test_entry<testing::MixedEnv>(), gru(), 8, 3},
                      Kind{"GruStack", true, &test_entry<testing::PlanesEnv>(), gru(2)},
                      Kind{"MinGruShared", true, &test_entry<testing::ChoicesEnv>(), min_gru(), 4,
                           6}),
    [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace rollmill
