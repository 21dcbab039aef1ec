#include "rollout/export/policy_graph.h"

#include <cctype>

#include "rollout/export/graph_builder.h"

namespace rollmill {
namespace {

std::string identifier(const std::string& id) {
  std::string name;
  for (const char c : id) {
    const auto u = static_cast<unsigned char>(c);
    name += u < 128 && std::isalnum(u) != 0 ? static_cast<char>(std::tolower(u)) : '_';
  }
  return name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) != 0 ? "policy_" + name
                                                                                : name;
}

// "2 frames, the oldest first, each: cart position [m], cart velocity [m/s]".
std::string observation_meaning(const EnvSpec& spec, const PolicyShape& shape) {
  const ObservationSpec& o = shape.observed;
  std::string text;
  if (shape.frame_stack > 1)
    text = std::to_string(shape.frame_stack) + " frames, the oldest first, each: ";
  switch (o.kind) {
    case ObservationKind::kReal: break;
    case ObservationKind::kChoices: text += "one-hot, one after another: "; break;
    case ObservationKind::kBits: text += "each 0 or 1, "; break;
    case ObservationKind::kPixels: text += "each a byte / 255, "; break;
  }
  if (o.shape.size() == 3) {
    text += std::to_string(o.shape[0]) + " planes of " + std::to_string(o.shape[1]) + " rows of " +
            std::to_string(o.shape[2]) + ": ";
  }
  const char* between = "";
  for (std::size_t k = 0; k < spec.observation.size(); ++k) {
    const FieldSpec& f = spec.observation[k];
    text += between + f.name + (f.unit.empty() ? "" : " [" + f.unit + "]");
    if (o.kind == ObservationKind::kChoices) text += " (" + std::to_string(o.choices[k]) + ")";
    between = ", ";
  }
  return text;
}

// Every frame is normalised alike.
std::vector<float> for_each_frame(const float* one, const PolicyShape& shape) {
  std::vector<float> all;
  for (int f = 0; f < shape.frame_stack; ++f)
    all.insert(all.end(), one, one + shape.observed.elements);
  return all;
}

int add_normaliser(GraphBuilder& b, int x, const PolicyWeights& w) {
  const ObservationNormalizer& n = w.normalizer;
  if (!n.enabled()) return x;
  const PolicyShape& shape = w.layout.shape;
  x = b.with_constant(OpKind::kSubtract, "centred", x, for_each_frame(n.shift(), shape));
  x = b.with_constant(OpKind::kMultiply, "scaled", x, for_each_frame(n.scale(), shape));
  x = b.with_constant(OpKind::kMaximum, "held_above", x, {-n.clip()});
  return b.with_constant(OpKind::kMinimum, "normalised", x, {n.clip()});
}

int add_network(GraphBuilder& b, const std::string& name, int x, const std::vector<DenseLayer>& net,
                const float* params) {
  for (std::size_t l = 0; l < net.size(); ++l) {
    const std::string layer = name + "_" + std::to_string(l);
    x = b.dense(layer, x, net[l], params);
    if (l + 1 < net.size()) x = b.unary(OpKind::kTanh, layer + "_tanh", x);
  }
  return x;
}

// The most probable choice of each column, among those that the mask allows.
int add_greedy_choices(GraphBuilder& b, int logits, int mask, const std::vector<int>& choices) {
  const int z = mask < 0 ? logits : b.exclude("allowed_logits", logits, mask);
  if (choices.size() == 1) return b.argmax("choices", z);
  std::vector<int> chosen;
  int first = 0;
  for (const int n : choices) {
    const std::string column = std::to_string(chosen.size());
    chosen.push_back(b.argmax("choice_" + column, b.slice("logits_" + column, z, first, n)));
    first += n;
  }
  return b.concat_integers("choices", chosen);
}

// The mean, scaled from [-1, 1] to the bounds and clamped: bound_action of rollout/mlp/elementwise.h.
int add_greedy_reals(GraphBuilder& b, int mean, const EnvSpec& spec) {
  std::vector<float> middle, half_range, low, high;
  for (std::size_t a = spec.choices.size(); a < spec.action.size(); ++a) {
    const FieldSpec& f = spec.action[a];
    middle.push_back(static_cast<float>(0.5 * (f.low + f.high)));
    half_range.push_back(static_cast<float>(0.5 * (f.high - f.low)));
    low.push_back(static_cast<float>(f.low));
    high.push_back(static_cast<float>(f.high));
  }
  int x = b.with_constant(OpKind::kMultiply, "action_range", mean, half_range);
  x = b.with_constant(OpKind::kAdd, "action_unbounded", x, middle);
  x = b.with_constant(OpKind::kMaximum, "action_above", x, low);
  return b.with_constant(OpKind::kMinimum, "real_actions", x, high);
}

}  // namespace

PolicyGraph make_policy_graph(const EnvSpec& spec, const PolicyWeights& weights) {
  const MlpLayout& layout = weights.layout;
  const PolicyShape& shape = layout.shape;
  const float* params = weights.params.data();
  PolicyGraph graph;
  graph.name = identifier(spec.id);
  graph.env_id = spec.id;
  GraphBuilder b(graph);
  const int observation =
      b.input("observation", shape.observations(), observation_meaning(spec, shape));
  const int total = shape.total_choices();
  const int mask =
      spec.mask_columns > 0
          ? b.input("action_mask", total,
                    "1 for each choice that the environment allows, else 0; column after column")
          : -1;
  const int x = add_normaliser(b, observation, weights);
  const int head = add_network(b, "actor", x, layout.actor, params);
  int choices = -1, reals = -1;
  if (total > 0) {
    const int logits = b.slice("logits", head, 0, total);
    b.output(logits, OutputRole::kDistribution,
             "logits of every choice, column after column, before any action mask");
    choices = add_greedy_choices(b, logits, mask, shape.choices);
  }
  if (shape.reals > 0) {
    const int mean = b.slice("mean", head, total, shape.reals);
    b.output(mean, OutputRole::kDistribution,
             "means of a Gaussian, before they are scaled to the bounds");
    const float* log_std = params + layout.log_std;
    b.output(b.constant("log_std", {log_std, log_std + shape.reals}), OutputRole::kDistribution,
             "its log standard deviations, the same in every state");
    reals = add_greedy_reals(b, mean, spec);
  }
  if (choices >= 0)
    b.output(choices, OutputRole::kAction, "greedy action: the most probable of each choice");
  if (reals >= 0)
    b.output(reals, OutputRole::kAction, "greedy action: real numbers within the bounds");
  const int value = add_network(b, "critic", x, layout.critic, params);
  b.output(b.slice("value", value, 0, 1), OutputRole::kValue,
           "discounted return that the policy expects, of rewards as training scaled them");
  return graph;
}

std::string shape_text(const GraphValue& value) {
  return (value.constant ? "[1, " : "[batch, ") + std::to_string(value.width) + "]";
}

std::string signature_text(const PolicyGraph& graph) {
  std::string text;
  for (const int i : graph.inputs) {
    text += (text.empty() ? "" : ", ") + graph.value(i).name + " " + shape_text(graph.value(i));
  }
  text += " ->";
  const char* between = " ";
  for (const GraphOutput& o : graph.outputs) {
    text += between + graph.value(o.value).name + " " + shape_text(graph.value(o.value));
    between = ", ";
  }
  return text;
}

}  // namespace rollmill
