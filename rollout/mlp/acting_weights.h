// A policy's parameters as the kernels of acting read them, and where.
//   kFloat32     as they are
//   kBf16        in the same places; the weights of layers with bfloat16 products rounded
//   kBf16Tensor  those weights as fragments for tensor cores, half as long: all of it moves together, and a block keeps more of it
#pragma once

#include <utility>
#include <vector>

#include "core/base/assert.h"
#include "rollout/mlp/bf16_format.h"
#include "rollout/mlp/device_policy.h"
#include "rollout/mlp/forward.h"

namespace rollmill {

struct ActingWeights {
  std::vector<float> values;
  DeviceNet actor, critic;
  std::int64_t log_std;  // offset, where there is one
};

namespace internal {

inline void round_in_place(const Network& network, float* values) {
  for (auto l = static_cast<std::size_t>(first_bf16_layer(network)); l < network.dense.size();
       ++l) {
    const DenseLayer& layer = network.dense[l];
    float* weights = values + layer.weight;
    for (std::int64_t i = 0; i < std::int64_t{layer.inputs} * layer.width; ++i)
      weights[i] = round_bf16(weights[i]);
  }
}

inline std::int64_t append(const float* from, std::int64_t n, std::vector<float>& values) {
  const auto offset = static_cast<std::int64_t>(values.size());
  values.insert(values.end(), from, from + n);
  return offset;
}

// Convolutions and a memory, which stay as they are.
inline void append_others(const float* params, DeviceNet& net, std::vector<float>& values) {
  const auto place = [&](std::int64_t& offset, std::int64_t n) {
    offset = append(params + offset, n, values);
  };
  for (int l = 0; l < net.convs; ++l) {
    ConvLayer& c = net.conv[l];
    place(c.weight, std::int64_t{c.patch()} * c.channels);
    place(c.bias, c.channels);
  }
  MemoryLayer& m = net.memory;
  if (m.kind == MemoryKind::kNone) return;
  const std::int64_t width = std::int64_t{m.gates()} * m.width;
  place(m.input_weight, m.inputs * width);
  place(m.input_bias, width);
  if (m.kind != MemoryKind::kGru) return;
  place(m.recurrent_weight, m.size * width);
  place(m.recurrent_bias, width);
}

inline void append_fragments(const Network& network, const float* params, DeviceNet& net,
                             std::vector<float>& values) {
  for (int l = 0; l < net.count; ++l) {
    const DenseLayer& layer = network.dense[static_cast<std::size_t>(l)];
    const float* weights = params + layer.weight;
    DeviceNet::Layer& place = net.layers[l];
    if (l < first_bf16_layer(network)) {
      place.weight = append(weights, std::int64_t{layer.inputs} * layer.width, values);
    } else {
      place.weight = static_cast<std::int64_t>(values.size());
      const auto value = [&](int k, int j) {
        return k < layer.inputs ? weights[std::int64_t{k} * layer.width + j] : 0.0f;
      };
      for (std::int64_t i = 0; i < fragment_words(layer.inputs, layer.width); ++i)
        values.push_back(math::from_bits(fragment_word(i, layer.width, value)));
    }
    place.bias = append(params + layer.bias, layer.width, values);
  }
  append_others(params, net, values);
}

}  // namespace internal

inline ActingWeights acting_weights(const MlpLayout& layout, const float* params,
                                    Products products) {
  ActingWeights a{{}, device_net(layout.actor), device_net(layout.critic), layout.log_std};
  if (products != Products::kBf16Tensor) {
    a.values.assign(params, params + layout.size);
    if (products == Products::kFloat32) return a;
    internal::round_in_place(layout.actor, a.values.data());
    internal::round_in_place(layout.critic, a.values.data());
    return a;
  }
  internal::append_fragments(layout.actor, params, a.actor, a.values);
  internal::append_fragments(layout.critic, params, a.critic, a.values);
  if (layout.has_log_std())
    a.log_std = internal::append(params + layout.log_std, pad16(layout.shape.reals), a.values);
  return a;
}

}  // namespace rollmill
