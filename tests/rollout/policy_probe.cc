// Usage: policy_probe discrete|continuous FILE. Writes a policy there and prints what it computes, for check_policy.py:
//   one line a row: observations, action (index, or the raw sample), log-probability, value, greedy action
#include <cstdio>
#include <string>

#include "rollout/mlp/policy_file.h"
#include "tests/rollout/acting.h"

int main(int argc, char** argv) {
  using namespace rollmill;
  if (argc != 3) return 2;
  const EnvSpec spec = testing::act_spec(std::string(argv[1]) == "discrete");
  PolicyWeights weights(shape_for(spec, {24, 40}));
  testing::rough_weights(weights, true);
  save_policy(argv[2], spec.id, "{}", weights);
  constexpr int kRows = 64;
  testing::Acted a(spec, kRows), greedy(spec, kRows);
  MlpPolicy(spec, weights, 9, false).act(a.request(0, kRows));
  MlpPolicy(spec, weights, 9, true).act(greedy.request(0, kRows));
  const auto action = [&](const testing::Acted& x, int i) {
    for (int k = 0; k < spec.action_size(); ++k) {
      const auto at = static_cast<std::size_t>(k * x.stride + i);
      if (!spec.continuous()) {
        std::printf(" %u", x.actions[at]);
      } else {
        std::printf(" %.9g", static_cast<double>(x.raw[at]));
      }
    }
  };
  for (int i = 0; i < kRows; ++i) {
    for (int k = 0; k < 5; ++k) {
      std::printf(" %.9g",
                  static_cast<double>(a.observations[static_cast<std::size_t>(k * a.stride + i)]));
    }
    action(a, i);
    const auto at = static_cast<std::size_t>(i);
    std::printf(" %.9g %.9g", static_cast<double>(a.logprobs[at]),
                static_cast<double>(a.values[at]));
    action(greedy, i);
    std::printf("\n");
  }
  return 0;
}
