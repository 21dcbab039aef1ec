// Usage: export_probe CASE DIR. Writes a policy in every format to DIR and prints what the program itself computes, for
// check_export.py; one line a row:
//   observation (unpacked, before normalisation), action mask, memory, sampled action (choices, then raw samples), its
//   log-probability, value, greedy action (choices, then what the environment gets), next memory
#include <cmath>
#include <cstdio>
#include <string>

#include "core/base/thread_pool.h"
#include "core/io/atomic_file.h"
#include "rollout/collector.h"
#include "rollout/export/c_header.h"
#include "rollout/export/description.h"
#include "rollout/export/onnx.h"
#include "rollout/unpack.h"
#include "tests/rollout/acting.h"
#include "tests/support/counter_env.h"
#include "trainer/torchscript.h"

namespace rollmill {
namespace {

constexpr int kEnvs = 16, kHorizon = 8;

struct Case {
  PolicyChoices policy;
  bool normalize = false;
};

void write_all(const std::string& dir, const EnvSpec& spec, const PolicyWeights& weights) {
  save_policy(dir + "/policy.safetensors", spec.id, R"({"time_limit": 9})", weights);
  const PolicyFile file = load_policy(dir + "/policy.safetensors");
  const PolicyGraph graph = make_policy_graph(spec, *file.weights);
  write_file_atomic(dir + "/policy.onnx", onnx_model(graph));
  write_file_atomic(dir + "/policy.h", c_header(graph));
  write_file_atomic(dir + "/policy.pt", torchscript_module(graph));
  write_file_atomic(dir + "/policy.json", policy_description(spec, file, graph));
}

// Frames before the episode as policy.json says: what is 0 after normalisation.
void print_observation(const RolloutBuffer& b, const PolicyWeights& w, int t, int i) {
  const ObservationSpec& o = w.layout.shape.observed;
  const ChoiceElements tables(o);
  const UnpackRule rule{o.kind, o.elements, tables.column_of.data(), tables.choice_of.data()};
  for (int back = b.frame_stack - 1; back >= 0; --back) {
    const bool known = back == 0 || b.frame_slot(t)[i] >= back;
    const auto* words = reinterpret_cast<const Word*>(b.observation_slot(t - back)) + i;
    for (int k = 0; k < o.elements; ++k) {
      const float missing = w.normalizer.enabled() ? w.normalizer.shift()[k] : 0.0f;
      const float x = known ? unpack_element(rule, words, b.stride, k) : missing;
      std::printf(" %.9g", static_cast<double>(x));
    }
  }
}

// What one policy does in one slot.
struct Done {
  AlignedVector<std::uint32_t> actions;
  AlignedVector<float> raw, logprobs, values, memory;

  Done(const EnvSpec& spec, const PolicyWeights& weights, const RolloutBuffer& b, int t,
       bool greedy)
      : actions(columns(b, b.action_size())),
        raw(columns(b, b.real_columns)),
        logprobs(columns(b, 1)),
        values(columns(b, 1)),
        memory(remembered(b, weights.layout.shape, t)) {
    const std::vector<std::uint32_t> keys(columns(b, 1), 1);  // no step is an episode's first
    ActRequest q = request_for_slot(b, t);
    q.keys = {keys.data(), keys.data(), keys.data()};
    q.end = kEnvs;
    q.actions = actions.data();
    q.raw_actions = raw.data();
    q.logprobs = logprobs.data();
    q.values = weights.layout.shape.has_value() ? values.data() : nullptr;
    q.memory = memory.empty() ? nullptr : memory.data();
    MlpPolicy(spec, weights, 3, greedy).act(q);
  }
  static std::size_t columns(const RolloutBuffer& b, int count) {
    return static_cast<std::size_t>(count * b.stride);
  }
  // Anything: a row's next memory is a function of it.
  static AlignedVector<float> remembered(const RolloutBuffer& b, const PolicyShape& shape, int t) {
    AlignedVector<float> memory(columns(b, shape.memory_columns()));
    Rng rng(5, Purpose::kTest, static_cast<std::uint32_t>(t), 0, 0);
    for (float& m : memory) m = 0.5f * rng.normal();
    return memory;
  }
};

void print_columns(const float* values, const RolloutBuffer& b, int count, int i) {
  for (int k = 0; k < count; ++k)
    std::printf(" %.9g", static_cast<double>(values[k * b.stride + i]));
}

void print_row(const EnvSpec& spec, const PolicyWeights& weights, const RolloutBuffer& b, int t,
               const Done& sampled, const Done& greedy, int i) {
  const PolicyShape& shape = weights.layout.shape;
  print_observation(b, weights, t, i);
  for (int a = 0; b.mask_columns > 0 && a < spec.total_choices(); ++a)
    std::printf(" %u", (b.mask_slot(t)[a / 32 * b.stride + i] >> (a % 32)) & 1u);
  print_columns(Done::remembered(b, shape, t).data(), b, shape.memory_columns(), i);
  const auto choices = [&](const Done& done) {
    for (int k = 0; k < b.choice_columns; ++k)
      std::printf(" %u", done.actions[static_cast<std::size_t>(k * b.stride + i)]);
  };
  choices(sampled);
  print_columns(sampled.raw.data(), b, b.real_columns, i);
  print_columns(sampled.logprobs.data(), b, 1, i);
  print_columns(sampled.values.data(), b, 1, i);
  choices(greedy);
  const auto* reals = reinterpret_cast<const FloatWord*>(greedy.actions.data());
  print_columns(reals + b.choice_columns * b.stride, b, b.real_columns, i);
  print_columns(greedy.memory.data(), b, shape.memory_columns(), i);
  std::printf("\n");
}

template <class Env>
void run(const std::string& dir, const Case& c) {
  ThreadPool pool(1);
  BatchConfig config;
  config.num_envs = kEnvs;
  config.seed = 12;
  const auto batch = testing::test_entry<Env>().make_cpu(config, &pool);
  EnvSpec spec = batch->spec();
  for (std::size_t a = spec.choices.size(); a < spec.action.size(); ++a) {
    spec.action[a].low = -0.5 - static_cast<double>(a);
    spec.action[a].high = 0.25;
  }
  PolicyWeights weights(shape_for(spec, c.policy));
  testing::rough_weights(weights, c.normalize);
  write_all(dir, spec, weights);

  // Another policy drives, so that this one may be of any kind.
  PolicyWeights driver(shape_for(spec, {8}, c.policy.frame_stack));
  testing::rough_weights(driver, false);
  const MlpPolicy driving(spec, driver, 3, false);
  const HostRollout rollout(spec, kHorizon, kEnvs, c.policy.frame_stack);
  const RolloutBuffer& b = rollout.buffer();
  HostCollector collector(*batch, driving, b, pool);
  collector.reset();
  collector.collect({0.98f, 0.9f, 1.0f});
  for (int t = 0; t < kHorizon; ++t) {
    const Done sampled(spec, weights, b, t, false), greedy(spec, weights, b, t, true);
    for (int i = 0; i < kEnvs; ++i) print_row(spec, weights, b, t, sampled, greedy, i);
  }
}

// hidden, frame stack, activation, trunk, distribution, memory, memory size; normalised
void run_case(const std::string& name, const std::string& dir) {
  using testing::CounterEnv;
  using Numbers = CounterEnv<Box<5>, Discrete<3>, false>;
  using Reals = CounterEnv<Box<5>, Box<2>, false>;
  constexpr auto kTanh = Activation::kTanh, kRelu = Activation::kRelu;
  constexpr auto kApart = Trunk::kSeparate, kShared = Trunk::kShared;
  constexpr auto kGaussian = RealDistribution::kGaussian, kSquashed = RealDistribution::kSquashed,
                 kDeterministic = RealDistribution::kDeterministic;
  constexpr auto kGru = MemoryKind::kGru, kMinGru = MemoryKind::kMinGru;
  if (name == "discrete") run<Numbers>(dir, {{.hidden = {24, 40}}, true});
  if (name == "continuous") run<Reals>(dir, {{.hidden = {24, 40}}, true});
  if (name == "linear") run<CounterEnv<Box<5>, Box<1>, false>>(dir, {{.hidden = {}}});
  if (name == "mixed_frames") run<testing::MixedEnv>(dir, {{{24}, 4}, true});
  if (name == "choices_masked") run<testing::ChoicesEnv>(dir, {{{24}, 2}});
  if (name == "planes") run<testing::PlanesEnv>(dir, {{{24}, 3}});
  if (name == "pixels") run<testing::PixelsEnv>(dir, {{.hidden = {24}}});
  if (name == "shared") run<Numbers>(dir, {{{24, 16}, 1, kRelu, kShared}, true});
  if (name == "squashed") run<Reals>(dir, {{{24}, 1, kTanh, kShared, kSquashed}, true});
  if (name == "beta")
    run<Reals>(dir, {{{24}, 1, kTanh, kApart, RealDistribution::kBeta}, true});
  if (name == "deterministic")
    run<Reals>(dir, {{{24}, 1, kRelu, Trunk::kActorOnly, kDeterministic}});
  if (name == "gru")
    run<testing::MixedEnv>(dir, {{{24}, 1, kTanh, kApart, kGaussian, kGru, 20}, true});
  if (name == "gru_shared") run<Numbers>(dir, {{{24}, 1, kRelu, kShared, kGaussian, kGru, 7}});
  if (name == "mingru") run<Numbers>(dir, {{{24}, 1, kTanh, kApart, kGaussian, kMinGru, 20}});
  PolicyChoices conv{.hidden = {}, .frame_stack = 2, .activation = kRelu, .trunk = kShared};
  conv.conv = {{16, 3, 1}};
  if (name == "conv") run<testing::PlanesEnv>(dir, {conv});
  conv = {.hidden = {24}, .memory = kGru, .memory_size = 9};
  conv.conv = {{16, 3, 2}, {32, 2, 1}};
  if (name == "conv_gru") run<CounterEnv<Pixels<3, 9, 8>, Box<2>, false>>(dir, {conv});
  if (name == "mingru_actor")
    run<Reals>(dir, {{{24}, 1, kTanh, Trunk::kActorOnly, kSquashed, kMinGru, 12}, true});
}

}  // namespace
}  // namespace rollmill

int main(int argc, char** argv) {
  using namespace rollmill;
  if (argc != 3) return 2;
  run_case(argv[1], argv[2]);
  return 0;
}
