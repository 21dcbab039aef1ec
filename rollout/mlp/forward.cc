#include "rollout/mlp/forward.h"

#include "rollout/mlp/dense.h"

namespace rollmill {

NetActivations::NetActivations(const std::vector<DenseLayer>& net) {
  std::int64_t total = 0;
  for (const auto& layer : net) {
    offsets_.push_back(total);
    total += static_cast<std::int64_t>(layer.width) * kTileRows;
  }
  data_.resize(static_cast<std::size_t>(total));
}

ForwardScratch::ForwardScratch(const MlpLayout& layout)
    : input(layout.shape),
      actor(layout.actor),
      critic(layout.critic),
      head(static_cast<std::size_t>(layout.shape.outputs()) * kTileRows),
      masks(static_cast<std::size_t>((layout.shape.total_choices() + 31) / 32) * kTileRows) {}

void network_forward(const std::vector<DenseLayer>& net, const float* params,
                     const TileInput& input, int rows, NetActivations& activations) {
  const int layers = static_cast<int>(net.size());
  const float* x = input.dense();
  int x_row = input.size();
  for (int l = 0; l < layers; ++l) {
    const DenseLayer& layer = net[static_cast<std::size_t>(l)];
    float* out = activations.layer(l);
    const float *weight = params + layer.weight, *bias = params + layer.bias;
    if (l == 0 && input.sparse()) {
      sparse_forward(input.ones(), input.begin(), weight, bias, layer.width, out, layer.width,
                     rows);
    } else {
      dense_forward(x, x_row, layer.inputs, weight, bias, layer.width, out, layer.width, rows);
    }
    if (l + 1 < layers) tanh_forward(out, static_cast<std::int64_t>(rows) * layer.width);
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
