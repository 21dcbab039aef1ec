#include "rollout/mlp/forward.h"

#include "core/base/assert.h"
#include "rollout/mlp/dense.h"

namespace rollmill {

NetActivations::NetActivations(const Network& net, int rows) {
  std::int64_t total = 0;
  const auto room = [&](int width) {
    const std::int64_t offset = total;
    total += static_cast<std::int64_t>(width) * rows;
    return offset;
  };
  if (!net.by_patch) {
    for (const auto& layer : net.conv) conv_offsets_.push_back(room(layer.outputs()));
  }
  for (const auto& layer : net.dense) offsets_.push_back(room(layer.width));
  const MemoryLayer& m = net.memory;
  before_ = room(m.width);
  const std::int64_t gates = room(m.gates() * m.width), after = room(m.width);
  const std::int64_t recurrent = room(m.kind == MemoryKind::kGru ? m.gates() * m.width : 0);
  data_.resize(static_cast<std::size_t>(total));
  rounded_.resize(net.dense.size());
  float* data = data_.data();
  memory_ = {data + before_, data + gates, data + recurrent, data + after};
}

ForwardScratch::ForwardScratch(const MlpLayout& layout)
    : input(layout.shape),
      actor(layout.actor),
      critic(layout.critic),
      window(PatchWindow::of(layout, std::make_shared<PatchRoom>())),
      head(static_cast<std::size_t>(layout.actor.head().outputs) * kTileRows),
      masks(static_cast<std::size_t>((layout.shape.total_choices() + 31) / 32) * kTileRows) {}

void load_memory(const MemoryLayer& layer, const float* columns, std::int64_t stride,
                 const std::uint32_t* steps, std::int64_t begin, int rows, float* before) {
  for (int r = 0; r < rows; ++r) {
    const bool fresh = steps != nullptr && steps[begin + r] == 0;
    float* row = before + static_cast<std::int64_t>(r) * layer.width;
    for (int j = 0; j < layer.size; ++j) row[j] = fresh ? 0.0f : columns[j * stride + begin + r];
    for (int j = layer.size; j < layer.width; ++j) row[j] = 0.0f;
  }
}

void store_memory(const MemoryLayer& layer, const float* after, std::int64_t stride,
                  std::int64_t begin, int rows, float* columns) {
  for (int r = 0; r < rows; ++r) {
    for (int j = 0; j < layer.size; ++j)
      columns[j * stride + begin + r] = after[static_cast<std::int64_t>(r) * layer.width + j];
  }
}

Bf16Weights::Bf16Weights(const Network& net) : first_(first_bf16_layer(net)) {
  for (std::size_t l = static_cast<std::size_t>(first_); l < net.dense.size(); ++l)
    layers_.emplace_back(net.dense[l].inputs, net.dense[l].outputs, net.dense[l].width);
}

void Bf16Weights::pack(const Network& net, const float* params) {
  for (std::size_t k = 0; k < layers_.size(); ++k)
    layers_[k].pack(params + net.dense[static_cast<std::size_t>(first_) + k].weight);
}

void network_forward(const Network& net, const float* params, const TileInput& input, int rows,
                     NetActivations& activations, PatchRows patches, const Bf16Weights* rounded) {
  RM_ASSERT(net.by_patch == (patches.sums != nullptr));
  const int layers = static_cast<int>(net.dense.size());
  const float* x = input.dense();
  int x_row = input.size();
  thread_local ConvScratch scratch;
  for (std::size_t l = 0; l < net.conv.size() && !net.by_patch; ++l) {
    const ConvLayer& layer = net.conv[l];
    float* out = activations.conv(static_cast<int>(l));
    if (l == 0) {
      conv_forward(layer, params, input, rows, scratch, out);
    } else {
      conv_forward(layer, params, x, rows, scratch, out);
    }
    x_row = layer.outputs();
    activate(net.activation, out, static_cast<std::int64_t>(rows) * x_row);
    x = out;
  }
  for (int l = 0; l < layers; ++l) {
    const DenseLayer& layer = net.dense[static_cast<std::size_t>(l)];
    float* out = activations.layer(l);
    const float *weight = params + layer.weight, *bias = params + layer.bias;
    if (l + 1 == layers && net.memory.kind != MemoryKind::kNone) {
      const MemoryTile memory = activations.memory();
      memory_forward(net.memory, params, x, x_row, rows, memory);
      x = memory.after;
      x_row = net.memory.width;
    }
    if (l == 0 && net.by_patch) {
      patches.sums->forward(params, patches.row, rows, out);
    } else if (l == 0 && net.conv.empty() && input.sparse()) {
      sparse_forward(input.ones(), input.begin(), weight, bias, layer.width, out, layer.width,
                     rows);
    } else if (rounded != nullptr && l >= first_bf16_layer(net)) {
      const bool follows = l > 0 && x == activations.layer(l - 1);
      const float* x_rounded =
          follows ? activations.round(l - 1, x_row, layer.inputs, rows) : nullptr;
      rounded->layer(l).forward(x, x_row, bias, out, layer.width, rows, x_rounded);
    } else {
      dense_forward(x, x_row, layer.inputs, weight, bias, layer.width, out, layer.width, rows,
                    layer.outputs);
    }
    if (l + 1 < layers)
      activate(net.activation, out, static_cast<std::int64_t>(rows) * layer.width);
    x = out;
    x_row = layer.width;
  }
}

void head_to_columns(const float* head, int width, int outputs, int rows, float* columns) {
  for (int a = 0; a < outputs; ++a) {
    for (int r = 0; r < rows; ++r) columns[a * kTileRows + r] = head[r * width + a];
  }
}

}  // namespace rollmill
