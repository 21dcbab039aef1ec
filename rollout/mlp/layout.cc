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

Network network(const PolicyShape& s, int outputs, std::int64_t& offset) {
  Network net;
  net.activation = s.activation;
  int inputs = s.observations();
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
    case RealDistribution::kDeterministic: break;
  }
  return "deterministic";
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
    max_width = std::max(max_width, net->memory.gates() * net->memory.width);
  }
}

std::int64_t MlpLayout::parameter_count() const {
  std::int64_t count = has_log_std() ? shape.reals : 0;
  for (const auto* net : {&actor, &critic}) {
    for (const auto& layer : net->dense)
      count += static_cast<std::int64_t>(layer.inputs + 1) * layer.outputs;
    const MemoryLayer& m = net->memory;
    const std::int64_t outputs = std::int64_t{m.gates()} * m.size;
    count += (m.inputs + 1) * outputs;
    if (m.kind == MemoryKind::kGru) count += (m.size + 1) * outputs;
  }
  return count;
}

}  // namespace rollmill
