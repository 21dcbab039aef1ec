#include "trainer/fused/mlp_backward.h"

#include "rollout/mlp/dense.h"

namespace rollmill {

TransposedWeights::TransposedWeights(const std::vector<DenseLayer>& net) {
  std::int64_t total = 0;
  for (const auto& layer : net) {
    offsets_.push_back(total);
    total += static_cast<std::int64_t>(layer.outputs) * pad16(layer.inputs);
  }
  data_.resize(static_cast<std::size_t>(total));
}

void TransposedWeights::pack(const std::vector<DenseLayer>& net, const float* params) {
  for (std::size_t l = 1; l < net.size(); ++l) {
    transpose_weights(params + net[l].weight, net[l].inputs, net[l].outputs, net[l].width,
                      data_.data() + offsets_[l]);
  }
}

void network_backward(const std::vector<DenseLayer>& net, const TransposedWeights& transposed,
                      const TileInput& input, int rows, const NetActivations& activations,
                      float* dhead, float* scratch, int max_width, float* gradient) {
  float* dy = dhead;
  for (int l = static_cast<int>(net.size()) - 1; l >= 0; --l) {
    const DenseLayer& layer = net[static_cast<std::size_t>(l)];
    if (l == 0 && input.sparse()) {
      sparse_weight_grad(input.ones(), input.begin(), dy, layer.width, layer.width, rows,
                         gradient + layer.weight, gradient + layer.bias);
      break;
    }
    const float* x = l == 0 ? input.dense() : activations.layer(l - 1);
    const int x_row = l == 0 ? input.size() : net[static_cast<std::size_t>(l) - 1].width;
    dense_weight_grad(x, x_row, layer.inputs, dy, layer.width, layer.width, rows,
                      gradient + layer.weight, gradient + layer.bias);
    if (l == 0) break;
    float* dx = scratch + static_cast<std::int64_t>(l % 2) * kTileRows * max_width;
    dense_input_grad(dy, layer.width, layer.outputs, transposed.layer(l), x_row, dx, x_row, rows);
    tanh_backward(x, dx, static_cast<std::int64_t>(rows) * x_row);
    dy = dx;
  }
}

}  // namespace rollmill
