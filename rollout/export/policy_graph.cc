#include "rollout/export/policy_graph.h"

#include <cctype>

#include "rollout/export/graph_builder.h"
#include "rollout/mlp/beta.h"

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

// h' of a recurrent layer (rollout/mlp/memory.h) from x and h.
int add_memory(GraphBuilder& b, const std::string& name, int x, int h, const MemoryLayer& m,
               const float* params, const ConvLayer* before) {
  const auto part = [&](const std::string& gate, int gates, int index) {
    return b.slice(name + gate, gates, index * m.size, m.size);
  };
  // (1 - z) from + z to
  const auto between = [&](int from, int to, int z) {
    const int way = b.binary(OpKind::kDifference, name + "_way", to, from);
    return b.binary(OpKind::kSum, name, from, b.binary(OpKind::kProduct, name + "_part", way, z));
  };
  const int in = b.gates(name + "_in", x, m, m.input_weight, m.input_bias, params, before);
  if (m.kind == MemoryKind::kMinGru) {
    const int z = b.unary(OpKind::kSigmoid, name + "_z", part("_z_in", in, 0));
    return between(h, part("_n", in, 1), z);
  }
  const int back = b.gates(name + "_back", h, m, m.recurrent_weight, m.recurrent_bias, params);
  const auto gate = [&](const std::string& g, int index) {
    const int sum = b.binary(OpKind::kSum, name + g + "_sum", part(g + "_in", in, index),
                             part(g + "_back", back, index));
    return b.unary(OpKind::kSigmoid, name + g, sum);
  };
  const int r = gate("_r", 0), z = gate("_z", 1);
  const int reset = b.binary(OpKind::kProduct, name + "_n_reset", part("_n_back", back, 2), r);
  const int sum = b.binary(OpKind::kSum, name + "_n_sum", part("_n_in", in, 2), reset);
  return between(b.unary(OpKind::kTanh, name + "_n", sum), h, z);
}

struct NetworkOutput {
  int head, memory;  // memory: -1 where there is none
};

// h: what the network remembers, or -1.
NetworkOutput add_network(GraphBuilder& b, const std::string& name, int x, int h,
                          const Network& net, const float* params) {
  NetworkOutput out{-1, -1};
  const bool tanh = net.activation == Activation::kTanh;
  const auto activate = [&](const std::string& layer, int y) {
    return b.unary(tanh ? OpKind::kTanh : OpKind::kRelu, layer + (tanh ? "_tanh" : "_relu"), y);
  };
  for (std::size_t l = 0; l < net.conv.size(); ++l) {
    const std::string layer = name + "_conv_" + std::to_string(l);
    x = activate(layer, b.conv(layer, x, net.conv[l], params));
  }
  const ConvLayer* before = net.conv.empty() ? nullptr : &net.conv.back();
  for (std::size_t l = 0; l + 1 < net.dense.size(); ++l) {
    const std::string layer = name + "_" + std::to_string(l);
    x = activate(layer, b.dense(layer, x, net.dense[l], params, before));
    before = nullptr;
  }
  if (h >= 0) {
    x = out.memory = add_memory(b, name + "_memory", x, h, net.memory, params, before);
    before = nullptr;
  }
  out.head = b.dense(name + "_head", x, net.head(), params, before);
  return out;
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
  return b.concat("choices", chosen);
}

// x in [-1, 1], scaled to the bounds and clamped: bound_action of rollout/mlp/elementwise.h.
int add_bounds(GraphBuilder& b, int x, const EnvSpec& spec) {
  std::vector<float> middle, half_range, low, high;
  for (std::size_t a = spec.choices.size(); a < spec.action.size(); ++a) {
    const FieldSpec& f = spec.action[a];
    middle.push_back(static_cast<float>(0.5 * (f.low + f.high)));
    half_range.push_back(static_cast<float>(0.5 * (f.high - f.low)));
    low.push_back(static_cast<float>(f.low));
    high.push_back(static_cast<float>(f.high));
  }
  x = b.with_constant(OpKind::kMultiply, "action_range", x, half_range);
  x = b.with_constant(OpKind::kAdd, "action_unbounded", x, middle);
  x = b.with_constant(OpKind::kMaximum, "action_above", x, low);
  return b.with_constant(OpKind::kMinimum, "real_actions", x, high);
}

// Parameters of the real actions' distribution, which are outputs; returns the greedy action.
int add_reals(GraphBuilder& b, int head, const EnvSpec& spec, const MlpLayout& layout,
              const float* params) {
  const PolicyShape& shape = layout.shape;
  const int first = shape.total_choices();
  const bool has_mean = shape.distribution != RealDistribution::kBeta;
  const int mean = !has_mean ? -1 : b.slice("mean", head, first, shape.reals);
  switch (shape.distribution) {
    case RealDistribution::kGaussian: {
      b.output(mean, OutputRole::kDistribution,
               "means of a Gaussian, before they are scaled to the bounds");
      const float* log_std = params + layout.log_std;
      b.output(b.constant("log_std", {log_std, log_std + shape.reals}), OutputRole::kDistribution,
               "its log standard deviations, the same in every state");
      return add_bounds(b, mean, spec);
    }
    case RealDistribution::kSquashed: {
      b.output(mean, OutputRole::kDistribution,
               "means of a Gaussian, whose tanh is scaled to the bounds");
      int log_std = b.slice("log_std_free", head, first + shape.reals, shape.reals);
      log_std = b.with_constant(OpKind::kMaximum, "log_std_above", log_std, {kMinLogStd});
      log_std = b.with_constant(OpKind::kMinimum, "log_std", log_std, {kMaxLogStd});
      b.output(log_std, OutputRole::kDistribution, "its log standard deviations");
      break;
    }
    case RealDistribution::kBeta: {
      const auto shapes = [&](const char* name, int at) {
        const std::string plus = std::string(name) + "_softplus";
        int x = b.slice(std::string(name) + "_free", head, at, shape.reals);
        x = b.unary(OpKind::kSoftplus, plus, x);
        x = b.with_constant(OpKind::kMinimum, plus + "_below", x, {kMaxBetaShape});
        return b.with_constant(OpKind::kAdd, name, x, {1.0f});
      };
      const int alpha = shapes("alpha", first), beta = shapes("beta", first + shape.reals);
      b.output(alpha, OutputRole::kDistribution,
               "first shapes of a Beta on [0, 1], whose x stands for 2 x - 1 scaled to the bounds");
      b.output(beta, OutputRole::kDistribution, "its second shapes");
      const int sum = b.binary(OpKind::kSum, "shapes_sum", alpha, beta);
      const int over = b.binary(OpKind::kDifference, "shapes_difference", alpha, beta);
      return add_bounds(b, b.binary(OpKind::kQuotient, "beta_mean", over, sum), spec);
    }
    case RealDistribution::kDeterministic:
      b.output(mean, OutputRole::kDistribution,
               "numbers whose tanh is scaled to the bounds; there is no density");
      break;
  }
  return add_bounds(b, b.unary(OpKind::kTanh, "mean_tanh", mean), spec);
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
  int actor_memory = -1, critic_memory = -1;
  if (shape.memory != MemoryKind::kNone) {
    graph.memory = actor_memory =
        b.input("memory", shape.memory_columns(),
                "next_memory of the step before; zeros at an episode's first");
    if (shape.trunk == Trunk::kSeparate) {
      critic_memory = b.slice("critic_before", actor_memory, shape.memory_size, shape.memory_size);
      actor_memory = b.slice("actor_before", actor_memory, 0, shape.memory_size);
    }
  }
  const int x = add_normaliser(b, observation, weights);
  const NetworkOutput actor = add_network(b, "actor", x, actor_memory, layout.actor, params);
  int choices = -1, reals = -1;
  if (total > 0) {
    const int logits = b.slice("logits", actor.head, 0, total);
    b.output(logits, OutputRole::kDistribution,
             "logits of every choice, column after column, before any action mask");
    choices = add_greedy_choices(b, logits, mask, shape.choices);
  }
  if (shape.reals > 0) reals = add_reals(b, actor.head, spec, layout, params);
  if (choices >= 0)
    b.output(choices, OutputRole::kAction, "greedy action: the most probable of each choice");
  if (reals >= 0)
    b.output(reals, OutputRole::kAction, "greedy action: real numbers within the bounds");
  NetworkOutput critic = actor;
  if (shape.trunk == Trunk::kSeparate)
    critic = add_network(b, "critic", x, critic_memory, layout.critic, params);
  if (shape.has_value()) {
    const int column = shape.trunk == Trunk::kShared ? shape.outputs() : 0;
    b.output(b.slice("value", critic.head, column, 1), OutputRole::kValue,
             "discounted return that the policy expects, of rewards as training scaled them");
  }
  if (actor.memory >= 0) {
    const int memory = shape.trunk == Trunk::kSeparate
                           ? b.concat("next_memory", {actor.memory, critic.memory})
                           : b.slice("next_memory", actor.memory, 0, shape.memory_size);
    b.output(memory, OutputRole::kMemory, "what the policy remembers for the next step");
  }
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
