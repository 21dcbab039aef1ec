#include "trainer/imitation/initial_policy.h"

#include "core/base/error.h"
#include "rollout/checkpoint_folder.h"
#include "rollout/mlp/policy_file.h"

namespace rollmill {
namespace {

std::string convolutions(const PolicyShape& s) {
  if (s.conv.empty()) return "no convolutions";
  std::string text = "convolutions";
  for (const ConvShape& c : s.conv)
    text += " " + std::to_string(c.channels) + "x" + std::to_string(c.kernel) + "/" +
            std::to_string(c.stride);
  return text;
}

std::string describe(const PolicyShape& s) {
  std::string text = std::to_string(s.observations()) + " numbers observed, hidden [";
  for (std::size_t l = 0; l < s.hidden.size(); ++l)
    text += (l > 0 ? ", " : "") + std::to_string(s.hidden[l]);
  text += std::string("] ") + activation_name(s.activation) + ", trunk " + trunk_name(s.trunk) +
          ", " + convolutions(s) + ", memory " + memory_name(s.memory);
  if (s.memory_size > 0) text += " of " + std::to_string(s.memory_size);
  if (s.frame_stack > 1) text += ", " + std::to_string(s.frame_stack) + " frames";
  text += ", " + std::to_string(s.total_choices()) + " choices, " + std::to_string(s.reals) +
          " real actions";
  return s.reals > 0 ? text + " (" + distribution_name(s.distribution) + ")" : text;
}

}  // namespace

void start_from(const std::string& key, const std::string& path, PolicyWeights& weights) {
  const PolicyFile file = load_policy(find_policy_file(path));
  if (!(file.weights->layout.shape == weights.layout.shape)) {
    fail_usage(key + " = \"" + path + "\" is a policy of another shape (" +
               describe(file.weights->layout.shape) + "), this run's is: " +
               describe(weights.layout.shape) + "; choose the same [policy]");
  }
  if (file.weights->normalizer.enabled() != weights.normalizer.enabled()) {
    fail_usage(key + " = \"" + path + "\" was trained with policy.normalize_observations = " +
               (weights.normalizer.enabled() ? "false" : "true") + "; set the same here");
  }
  weights.params = file.weights->params;
  if (weights.normalizer.enabled())
    weights.normalizer.set_moments(file.weights->normalizer.moments());  // the clip is this run's
}

}  // namespace rollmill
