// Appends operations to a policy graph (policy_graph.h).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/assert.h"
#include "rollout/export/policy_graph.h"
#include "rollout/mlp/distribution.h"

namespace rollmill {

// Each call returns the index of the value that it makes.
class GraphBuilder {
 public:
  explicit GraphBuilder(PolicyGraph& graph) : graph_(graph) {}

  int add_value(const std::string& name, int width) {
    GraphValue& value = graph_.values.emplace_back();
    value.name = name;
    value.width = width;
    return static_cast<int>(graph_.values.size()) - 1;
  }
  int input(const std::string& name, int width, const std::string& meaning) {
    const int value = add_value(name, width);
    graph_.values.back().meaning = meaning;
    graph_.inputs.push_back(value);
    return value;
  }
  int width(int value) const { return graph_.value(value).width; }

  int unary(OpKind kind, const std::string& name, int x) {
    return add({kind, {x}, add_value(name, width(x)), {}, {}});
  }
  int with_constant(OpKind kind, const std::string& name, int x, std::vector<float> c) {
    return add({kind, {x}, add_value(name, width(x)), std::move(c), {}});
  }
  int binary(OpKind kind, const std::string& name, int x, int y) {
    return add({kind, {x, y}, add_value(name, width(x)), {}, {}});
  }
  // before: the convolution that x comes from, if it does.
  int dense(const std::string& name, int x, const DenseLayer& layer, const float* params,
            const ConvLayer* before = nullptr) {
    RM_ASSERT(width(x) == layer.inputs);
    Operation op{OpKind::kDense, {x}, add_value(name, layer.outputs), {}, {}};
    const float* bias = params + layer.bias;
    op.constant.assign(bias, bias + layer.outputs);
    for (int k = 0; k < layer.inputs; ++k) {
      const float* row = params + layer.weight + std::int64_t{our_input(k, before)} * layer.width;
      op.weight.insert(op.weight.end(), row, row + layer.outputs);
    }
    return add(std::move(op));
  }
  // The gates of a recurrent layer side by side, without the padding between them: x [layer.inputs or size].
  int gates(const std::string& name, int x, const MemoryLayer& m, std::int64_t weight,
            std::int64_t bias, const float* params, const ConvLayer* before = nullptr) {
    Operation op{OpKind::kDense, {x}, add_value(name, m.gates() * m.size), {}, {}};
    const auto append = [&](std::vector<float>& to, const float* row) {
      for (int g = 0; g < m.gates(); ++g)
        to.insert(to.end(), row + g * m.width, row + g * m.width + m.size);
    };
    append(op.constant, params + bias);
    for (int k = 0; k < width(x); ++k)
      append(op.weight, params + weight + std::int64_t{our_input(k, before)} * m.gates() * m.width);
    return add(std::move(op));
  }
  int conv(const std::string& name, int x, const ConvLayer& c, const float* params) {
    RM_ASSERT(width(x) == c.inputs());
    Operation op{OpKind::kConv, {x}, add_value(name, c.outputs()), {}, {}};
    op.conv = {c.channels_in, c.height_in, c.width_in, c.channels, c.kernel, c.stride};
    op.constant.assign(params + c.bias, params + c.bias + c.channels);
    // Ours: [patch][channels]; a patch is (channel, ky, kx) of planes, (ky, kx, channel) of what a convolution wrote.
    const int taps = c.kernel * c.kernel;
    for (int o = 0; o < c.channels; ++o) {
      for (int in = 0; in < c.channels_in; ++in) {
        for (int tap = 0; tap < taps; ++tap) {
          const int patch = c.planes ? in * taps + tap : tap * c.channels_in + in;
          op.weight.push_back(params[c.weight + std::int64_t{patch} * c.channels + o]);
        }
      }
    }
    return add(std::move(op));
  }
  // The whole of x under another name when it has no other columns; x is no input of the graph then.
  int slice(const std::string& name, int x, int first, int columns) {
    if (first == 0 && columns == width(x)) {
      graph_.values[static_cast<std::size_t>(x)].name = name;
      return x;
    }
    return add({OpKind::kSlice, {x}, add_value(name, columns), {}, {}, first});
  }
  int exclude(const std::string& name, int x, int mask) {
    return add({OpKind::kExclude, {x, mask}, add_value(name, width(x)), {kExcluded}, {}});
  }
  int argmax(const std::string& name, int x) {
    return integer(add({OpKind::kArgmax, {x}, add_value(name, 1), {}, {}}));
  }
  int concat(const std::string& name, const std::vector<int>& parts) {
    const int y = add_value(name, 0);
    GraphValue& value = graph_.values.back();
    for (const int part : parts) value.width += width(part);
    value.integer = graph_.value(parts[0]).integer;
    return add({OpKind::kConcat, parts, y, {}, {}});
  }
  int constant(const std::string& name, std::vector<float> c) {
    const int y = add_value(name, static_cast<int>(c.size()));
    graph_.values[static_cast<std::size_t>(y)].constant = true;
    return add({OpKind::kConstant, {}, y, std::move(c), {}});
  }
  void output(int value, OutputRole role, const std::string& meaning) {
    graph_.values[static_cast<std::size_t>(value)].meaning = meaning;
    graph_.outputs.push_back({value, role});
  }

 private:
  // Where our layer has input k: a convolution of ours leaves [y][x][channel], the graph's [channel][y][x].
  static int our_input(int k, const ConvLayer* before) {
    if (before == nullptr) return k;
    return k % before->positions() * before->channels + k / before->positions();
  }
  int add(Operation op) {
    graph_.operations.push_back(std::move(op));
    return graph_.operations.back().output;
  }
  int integer(int value) {
    graph_.values[static_cast<std::size_t>(value)].integer = true;
    return value;
  }

  PolicyGraph& graph_;
};

}  // namespace rollmill
