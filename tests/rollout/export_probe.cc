// Usage: export_probe CASE DIR. Writes a policy in every format to DIR and prints what the program itself computes, for
// check_export.py; one line a row:
//   observation (unpacked, before normalisation), action mask, sampled action (choices, then raw samples), its
//   log-probability, value, greedy action (choices, then what the environment gets)
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
  std::vector<int> hidden;
  int frame_stack = 1;
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
  PolicyWeights weights(shape_for(spec, c.hidden, c.frame_stack));
  testing::rough_weights(weights, c.normalize);
  write_all(dir, spec, weights);

  const MlpPolicy sampling(spec, weights, 3, false), greedy(spec, weights, 3, true);
  const HostRollout rollout(spec, kHorizon, kEnvs, c.frame_stack);
  const RolloutBuffer& b = rollout.buffer();
  HostCollector collector(*batch, sampling, b, pool);
  collector.reset();
  collector.collect({0.98f, 0.9f, 1.0f});
  const int columns = spec.action_size(), choices = b.choice_columns;
  const std::vector<std::uint32_t> keys(static_cast<std::size_t>(b.stride));
  for (int t = 0; t < kHorizon; ++t) {
    AlignedVector<std::uint32_t> best(static_cast<std::size_t>(columns * b.stride));
    ActRequest q = request_for_slot(b, t);
    q.keys = {keys.data(), keys.data(), keys.data()};
    q.end = kEnvs;
    q.actions = best.data();
    q.raw_actions = q.logprobs = q.values = nullptr;
    greedy.act(q);
    for (int i = 0; i < kEnvs; ++i) {
      print_observation(b, weights, t, i);
      for (int a = 0; b.mask_columns > 0 && a < spec.total_choices(); ++a)
        std::printf(" %u", (b.mask_slot(t)[a / 32 * b.stride + i] >> (a % 32)) & 1u);
      for (int k = 0; k < choices; ++k) std::printf(" %d", b.discrete_slot(t)[k * b.stride + i]);
      for (int k = 0; k < b.real_columns; ++k)
        std::printf(" %.9g", static_cast<double>(b.raw_action_slot(t)[k * b.stride + i]));
      std::printf(" %.9g %.9g", static_cast<double>(b.logprobs[t * b.stride + i]),
                  static_cast<double>(b.values[t * b.stride + i]));
      for (int k = 0; k < columns; ++k) {
        const std::uint32_t word = best[static_cast<std::size_t>(k * b.stride + i)];
        if (k < choices) {
          std::printf(" %u", word);
        } else {
          std::printf(" %.9g", static_cast<double>(math::from_bits(word)));
        }
      }
      std::printf("\n");
    }
  }
}

}  // namespace
}  // namespace rollmill

int main(int argc, char** argv) {
  using namespace rollmill;
  using testing::CounterEnv;
  if (argc != 3) return 2;
  const std::string name = argv[1], dir = argv[2];
  if (name == "discrete") run<CounterEnv<Box<5>, Discrete<3>, false>>(dir, {{24, 40}, 1, true});
  if (name == "continuous") run<CounterEnv<Box<5>, Box<2>, false>>(dir, {{24, 40}, 1, true});
  if (name == "linear") run<CounterEnv<Box<5>, Box<1>, false>>(dir, {{}, 1, false});
  if (name == "mixed_frames") run<testing::MixedEnv>(dir, {{24}, 4, true});
  if (name == "choices_masked") run<testing::ChoicesEnv>(dir, {{24}, 2, false});
  if (name == "planes") run<testing::PlanesEnv>(dir, {{24}, 3, false});
  if (name == "pixels") run<testing::PixelsEnv>(dir, {{24}, 1, false});
  return 0;
}
