#include "rollout/mlp/layout.h"

#include <algorithm>

namespace rollmill {
namespace {

std::vector<DenseLayer> chain(int inputs, const std::vector<int>& hidden, int outputs,
                              std::int64_t& offset) {
  std::vector<DenseLayer> layers;
  std::vector<int> sizes = hidden;
  sizes.push_back(outputs);
  for (int out : sizes) {
    DenseLayer layer;
    layer.inputs = inputs;
    layer.outputs = out;
    layer.width = pad16(out);
    layer.weight = offset;
    offset += static_cast<std::int64_t>(inputs) * layer.width;
    layer.bias = offset;
    offset += layer.width;
    layers.push_back(layer);
    inputs = out;
  }
  return layers;
}

}  // namespace

PolicyShape shape_for(const EnvSpec& spec, const std::vector<int>& hidden, int frame_stack) {
  return {spec.observed, frame_stack, spec.choices, spec.real_actions(), hidden};
}

MlpLayout::MlpLayout(const PolicyShape& s) : shape(s) {
  actor = chain(s.observations(), s.hidden, s.outputs(), size);
  critic = chain(s.observations(), s.hidden, 1, size);
  if (s.reals > 0) {
    log_std = size;
    size += pad16(s.reals);
  }
  for (const auto& layer : actor) max_width = std::max(max_width, layer.width);
}

std::int64_t MlpLayout::parameter_count() const {
  std::int64_t count = shape.reals;
  for (const auto* net : {&actor, &critic}) {
    for (const auto& layer : *net)
      count += static_cast<std::int64_t>(layer.inputs + 1) * layer.outputs;
  }
  return count;
}

}  // namespace rollmill
