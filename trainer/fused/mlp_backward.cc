#include "trainer/fused/mlp_backward.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"
#include "rollout/mlp/dense.h"
#include "trainer/fused/memory_backward.h"

namespace rollmill {

TransposedWeights::TransposedWeights(const Network& net, bool bf16) {
  std::int64_t total = 0;
  const auto room = [&](int inputs, int outputs) {
    const std::int64_t offset = total;
    total += static_cast<std::int64_t>(outputs) * pad16(inputs);
    return offset;
  };
  for (const auto& layer : net.conv) conv_offsets_.push_back(room(layer.patch(), layer.channels));
  for (const auto& layer : net.dense) offsets_.push_back(room(layer.inputs, layer.outputs));
  const MemoryLayer& m = net.memory;
  memory_input_ = room(m.inputs, m.gates() * m.width);
  if (m.kind == MemoryKind::kGru) memory_recurrent_ = room(m.size, m.gates() * m.width);
  data_.resize(static_cast<std::size_t>(total));
  if (!bf16) return;
  first_rounded_ = first_bf16_layer(net);
  for (auto l = static_cast<std::size_t>(first_rounded_); l < net.dense.size(); ++l) {
    const DenseLayer& layer = net.dense[l];
    rounded_.emplace_back(layer.outputs, layer.inputs, pad16(layer.inputs));
  }
}

void TransposedWeights::pack(const Network& net, const float* params) {
  for (std::size_t l = 1; l < net.conv.size(); ++l) {
    const ConvLayer& layer = net.conv[l];
    transpose_weights(params + layer.weight, layer.patch(), layer.channels, layer.channels,
                      data_.data() + conv_offsets_[l]);
  }
  if (net.by_patch) {
    const ConvLayer& conv = net.conv.front();
    const DenseLayer& layer = net.dense.front();
    for (int p = 0; p < conv.positions(); ++p) {
      const std::int64_t first = std::int64_t{p} * conv.channels;
      transpose_weights(params + layer.weight + first * layer.width, conv.channels, layer.outputs,
                        layer.width, data_.data() + offsets_[0] + first * layer.outputs);
    }
  }
  for (std::size_t l = net.conv.empty() || net.by_patch ? 1 : 0; l < net.dense.size(); ++l) {
    const DenseLayer& layer = net.dense[l];
    transpose_weights(params + layer.weight, layer.inputs, layer.outputs, layer.width,
                      data_.data() + offsets_[l]);
  }
  for (std::size_t k = 0; k < rounded_.size(); ++k)
    rounded_[k].pack(layer(first_rounded_ + static_cast<int>(k)));
  const MemoryLayer& m = net.memory;
  const int width = m.gates() * m.width;
  if (m.kind == MemoryKind::kNone) return;
  transpose_weights(params + m.input_weight, m.inputs, width, width, data_.data() + memory_input_);
  if (m.kind == MemoryKind::kGru) {
    transpose_weights(params + m.recurrent_weight, m.size, width, width,
                      data_.data() + memory_recurrent_);
  }
}

std::int64_t backward_scratch(int max_width) { return std::int64_t{5} * kTileRows * max_width; }

namespace {

// What a dense layer's output gives back, and bf16_rows of it, if its products round: in the thread's one room, until the next.
struct OutputGradient {
  OutputGradient(const TransposedWeights& transposed, const DenseLayer& layer, int l,
                 const float* given, int rows)
      : dy(given) {
    thread_local AlignedVector<float> room;
    if (transposed.rounded(l) != nullptr)
      rounded = bf16_rows(dy, layer.width, layer.width, rows, room);
  }
  const float *dy, *rounded = nullptr;
};

// gradient of dense layer l from its input, of which the caller may have bf16_rows, and d loss / d output.
void weight_grad(const TransposedWeights& transposed, const DenseLayer& layer, int l,
                 const float* x, std::int64_t x_row, const float* x_rounded,
                 const OutputGradient& output, int rows, float* gradient, bool writes = false) {
  const float* dy = output.dy;
  float *dw = gradient + layer.weight, *db = gradient + layer.bias;
  if (transposed.rounded(l) == nullptr) {
    dense_weight_grad(x, x_row, layer.inputs, dy, layer.width, layer.width, rows, dw, db,
                      layer.outputs, writes);
    return;
  }
  if (writes) {
    std::fill_n(dw, static_cast<std::int64_t>(layer.inputs) * layer.width, 0.0f);
    std::fill_n(db, layer.width, 0.0f);
  }
  bf16_weight_grad(x, x_row, layer.inputs, dy, layer.width, layer.width, rows, dw, db,
                   layer.outputs, x_rounded, output.rounded);
}

// dx [rows][pad16(inputs)] of dense layer l.
void input_grad(const TransposedWeights& transposed, const DenseLayer& layer, int l,
                const OutputGradient& output, int rows, float* dx) {
  const int width = pad16(layer.inputs);
  if (const Bf16Matrix* rounded = transposed.rounded(l)) {
    rounded->forward(output.dy, layer.width, nullptr, dx, width, rows, output.rounded);
  } else {
    dense_input_grad(output.dy, layer.width, layer.outputs, transposed.layer(l), width, dx, width,
                     rows);
  }
}

// From d loss / d head to d loss / d what the head reads, through the memory; returns it, [rows][pad16(inputs of the memory)].
float* memory_part(const Network& net, const TransposedWeights& transposed, const float* x,
                   int x_row, int rows, const NetActivations& activations, const float* dhead,
                   float* scratch, int max_width, float* gradient, float* carry) {
  const MemoryLayer& m = net.memory;
  const DenseLayer& head = net.head();
  const MemoryTile tile = activations.memory();
  const int last = static_cast<int>(net.dense.size()) - 1, width = m.gates() * m.width;
  const std::int64_t room = std::int64_t{kTileRows} * max_width;
  float* dgates = scratch + 2 * room;
  const OutputGradient output(transposed, head, last, dhead, rows);
  weight_grad(transposed, head, last, tile.after, m.width, nullptr, output, rows, gradient);
  input_grad(transposed, head, last, output, rows, dgates);
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(rows) * m.width; ++i)
    carry[i] += dgates[i];
  memory_backward(m, tile, transposed.memory_recurrent(), rows, carry, dgates, scratch + 3 * room,
                  gradient);
  dense_weight_grad(x, x_row, m.inputs, dgates, width, width, rows, gradient + m.input_weight,
                    gradient + m.input_bias);
  float* dx = scratch + (last % 2) * room;
  dense_input_grad(dgates, width, width, transposed.memory_input(), x_row, dx, x_row, rows);
  return dx;
}

// From d loss / d the last convolution's sums down to the first; dy lies in one of scratch's first two rooms.
void conv_part(const Network& net, const TransposedWeights& transposed, const TileInput& input,
               int rows, const NetActivations& activations, float* dy, float* other,
               float* gradient) {
  thread_local ConvScratch scratch;
  for (int l = static_cast<int>(net.conv.size()) - 1; l > 0; --l) {
    const ConvLayer& layer = net.conv[static_cast<std::size_t>(l)];
    const float* x = activations.conv(l - 1);
    conv_weight_grad(layer, x, dy, rows, scratch, gradient);
    conv_input_grad(layer, transposed.conv(l), dy, rows, scratch, other);
    activate_backward(net.activation, x, other, static_cast<std::int64_t>(rows) * layer.inputs());
    std::swap(dy, other);
  }
  conv_weight_grad(net.conv.front(), input, dy, rows, scratch, gradient);
}

}  // namespace

bool may_write_gradient(const Network& net, const TileInput& input) {
  return net.conv.empty() && net.memory.kind == MemoryKind::kNone && !input.sparse();
}

void network_backward(const Network& net, const TransposedWeights& transposed,
                      const TileInput& input, int rows, const NetActivations& activations,
                      float* dhead, float* scratch, int max_width, float* gradient, float* carry,
                      float* dpatches, bool writes) {
  const bool remembers = net.memory.kind != MemoryKind::kNone;
  RM_ASSERT(!writes || may_write_gradient(net, input));
  RM_ASSERT(net.by_patch == (dpatches != nullptr));
  RM_ASSERT(remembers == (carry != nullptr) && (!remembers || net.dense.size() > 1));
  float* dy = dhead;
  for (int l = static_cast<int>(net.dense.size()) - 1; l >= 0; --l) {
    const DenseLayer& layer = net.dense[static_cast<std::size_t>(l)];
    const bool first = l == 0 && net.conv.empty();
    if (l == 0 && net.by_patch) {
      internal::bias_grad(dy, layer.width, layer.width, rows, gradient + layer.bias);
      std::copy_n(dy, static_cast<std::int64_t>(rows) * layer.width, dpatches);
      break;
    }
    if (first && input.sparse()) {
      sparse_weight_grad(input.ones(), input.begin(), dy, layer.width, layer.width, rows,
                         gradient + layer.weight, gradient + layer.bias);
      break;
    }
    const float* x = first    ? input.dense()
                     : l == 0 ? activations.conv(static_cast<int>(net.conv.size()) - 1)
                              : activations.layer(l - 1);
    const int x_row = first    ? input.size()
                      : l == 0 ? net.conv.back().outputs()
                               : net.dense[static_cast<std::size_t>(l) - 1].width;
    float* dx = nullptr;
    if (remembers && &layer == &net.head()) {
      dx = memory_part(net, transposed, x, x_row, rows, activations, dy, scratch, max_width,
                       gradient, carry);
    } else {
      const OutputGradient output(transposed, layer, l, dy, rows);
      weight_grad(transposed, layer, l, x, x_row, l > 0 ? activations.rounded(l - 1) : nullptr,
                  output, rows, gradient, writes);
      if (first) break;
      dx = scratch + static_cast<std::int64_t>(l % 2) * kTileRows * max_width;
      input_grad(transposed, layer, l, output, rows, dx);
    }
    activate_backward(net.activation, x, dx, static_cast<std::int64_t>(rows) * x_row);
    if (l == 0) {
      const std::int64_t room = std::int64_t{kTileRows} * max_width;
      return conv_part(net, transposed, input, rows, activations, dx, scratch + room, gradient);
    }
    dy = dx;
  }
}

}  // namespace rollmill
