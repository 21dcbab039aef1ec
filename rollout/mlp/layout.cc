#include "rollout/mlp/layout.h"

#include <algorithm>

namespace rollmill {
namespace {

DenseLayer dense_layer(int inputs, int outputs, std::int64_t& offset) {
  DenseLayer layer;
  layer.inputs = inputs;
  layer.outputs = outputs;
  layer.width = pad16(outputs);
  layer.weight = offset;
  offset += static_cast<std::int64_t>(inputs) * layer.width;
  layer.bias = offset;
  offset += layer.width;
  return layer;
}

MemoryLayer memory_layer(MemoryKind kind, int inputs, int size, std::int64_t& offset) {
  MemoryLayer m;
  m.kind = kind;
  m.inputs = inputs;
  m.size = size;
  m.width = pad16(size);
  const int outputs = m.gates() * m.width;
  const DenseLayer input = dense_layer(inputs, outputs, offset);
  m.input_weight = input.weight;
  m.input_bias = input.bias;
  if (kind != MemoryKind::kGru) return m;
  const DenseLayer recurrent = dense_layer(size, outputs, offset);
  m.recurrent_weight = recurrent.weight;
  m.recurrent_bias = recurrent.bias;
  return m;
}

std::vector<ConvLayer> conv_layers(const PolicyShape& s, std::int64_t& offset) {
  std::vector<ConvLayer> layers;
  if (s.conv.empty()) return layers;
  int channels = s.frame_stack * s.observed.shape[0], height = s.observed.shape[1],
      width = s.observed.shape[2];
  for (const ConvShape& shape : s.conv) {
    ConvLayer c;
    c.channels_in = channels;
    c.height_in = height;
    c.width_in = width;
    c.channels = channels = shape.channels;
    c.kernel = shape.kernel;
    c.stride = shape.stride;
    c.height = height = (height - shape.kernel) / shape.stride + 1;
    c.width = width = (width - shape.kernel) / shape.stride + 1;
    c.planes = layers.empty();
    c.weight = offset;
    offset += static_cast<std::int64_t>(c.patch()) * c.channels;
    c.bias = offset;
    offset += c.channels;
    layers.push_back(c);
  }
  return layers;
}

Network network(const PolicyShape& s, int outputs, std::int64_t& offset) {
  Network net;
  net.activation = s.activation;
  net.conv = conv_layers(s, offset);
  net.by_patch = s.by_patch();
  int inputs = net.conv.empty() ? s.observations() : net.conv.back().outputs();
  for (const int size : s.hidden) {
    net.dense.push_back(dense_layer(inputs, size, offset));
    inputs = size;
  }
  if (s.memory != MemoryKind::kNone) {
    net.memory = memory_layer(s.memory, inputs, s.memory_size, offset);
    inputs = s.memory_size;
  }
  net.dense.push_back(dense_layer(inputs, outputs, offset));
  return net;
}

}  // namespace

const char* activation_name(Activation activation) {
  return activation == Activation::kTanh ? "tanh" : "relu";
}

const char* memory_name(MemoryKind memory) {
  switch (memory) {
    case MemoryKind::kNone: return "none";
    case MemoryKind::kGru: return "gru";
    case MemoryKind::kMinGru: break;
  }
  return "mingru";
}

const char* trunk_name(Trunk trunk) {
  switch (trunk) {
    case Trunk::kSeparate: return "separate";
    case Trunk::kShared: return "shared";
    case Trunk::kActorOnly: break;
  }
  return "actor_only";
}

const char* distribution_name(RealDistribution distribution) {
  switch (distribution) {
    case RealDistribution::kGaussian: return "gaussian";
    case RealDistribution::kSquashed: return "squashed";
    case RealDistribution::kBeta: return "beta";
    case RealDistribution::kDeterministic: break;
  }
  return "deterministic";
}

std::string conv_problem(const ObservationSpec& observed, const std::vector<ConvShape>& conv) {
  if (conv.empty()) return "";
  if (observed.shape.size() != 3 || observed.kind == ObservationKind::kChoices)
    return "the observations are no planes of a picture";
  int height = observed.shape[1], width = observed.shape[2];
  for (const ConvShape& c : conv) {
    if (c.channels % 16 != 0)
      return std::to_string(c.channels) + " channels are not a multiple of 16";
    if (c.kernel > height || c.kernel > width) {
      return "a kernel of " + std::to_string(c.kernel) + " does not fit " + std::to_string(height) +
             " x " + std::to_string(width);
    }
    height = (height - c.kernel) / c.stride + 1;
    width = (width - c.kernel) / c.stride + 1;
    // Numbers between two layers; a tile holds 48 times as many, a window of patches at most 192 times.
    constexpr std::int64_t kMost = 1 << 20;
    if (std::int64_t{height} * width * c.channels > kMost) {
      return std::to_string(height) + " x " + std::to_string(width) + " positions of " +
             std::to_string(c.channels) + " channels are more than 2^20 numbers";
    }
  }
  return "";
}

PolicyShape shape_for(const EnvSpec& spec, const PolicyChoices& c) {
  PolicyShape s;
  s.observed = spec.observed;
  s.frame_stack = c.frame_stack;
  s.choices = spec.choices;
  s.reals = spec.real_actions();
  s.hidden = c.hidden;
  s.activation = c.activation;
  s.trunk = c.trunk;
  s.distribution = c.distribution;
  s.memory = c.memory;
  s.conv = c.conv;
  s.memory_size = c.memory == MemoryKind::kNone ? 0 : c.memory_size;
  return s;
}

PolicyShape shape_for(const EnvSpec& spec, const std::vector<int>& hidden, int frame_stack) {
  PolicyChoices choices;
  choices.hidden = hidden;
  choices.frame_stack = frame_stack;
  return shape_for(spec, choices);
}

MlpLayout::MlpLayout(const PolicyShape& s) : shape(s) {
  actor = network(s, s.outputs() + (s.trunk == Trunk::kShared ? 1 : 0), size);
  if (s.trunk == Trunk::kSeparate) critic = network(s, 1, size);
  if (has_log_std()) {
    log_std = size;
    size += pad16(s.reals);
  }
  for (const auto* net : {&actor, &critic}) {
    for (const auto& layer : net->dense) max_width = std::max(max_width, layer.width);
    if (!net->by_patch) {
      for (const auto& layer : net->conv) max_width = std::max(max_width, layer.outputs());
    }
    max_width = std::max(max_width, net->memory.gates() * net->memory.width);
  }
}

std::int64_t parameter_count(const Network& net) {
  std::int64_t count = 0;
  for (const auto& layer : net.dense)
    count += static_cast<std::int64_t>(layer.inputs + 1) * layer.outputs;
  for (const auto& layer : net.conv)
    count += static_cast<std::int64_t>(layer.patch() + 1) * layer.channels;
  const MemoryLayer& m = net.memory;
  const std::int64_t outputs = std::int64_t{m.gates()} * m.size;
  count += (m.inputs + 1) * outputs;
  if (m.kind == MemoryKind::kGru) count += (m.size + 1) * outputs;
  return count;
}

std::int64_t MlpLayout::parameter_count() const {
  return rollmill::parameter_count(actor) + rollmill::parameter_count(critic) +
         (has_log_std() ? shape.reals : 0);
}

}  // namespace rollmill
