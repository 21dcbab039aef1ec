#include "rollout/mlp/forward.h"

#include <cstring>

#include "rollout/mlp/dense.h"
#include "rollout/mlp/elementwise.h"

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
    : input(static_cast<std::size_t>(layout.shape.observations) * kTileRows),
      actor(layout.actor),
      critic(layout.critic),
      head(static_cast<std::size_t>(layout.shape.outputs) * kTileRows) {}

void normalize_column(const float* RM_RESTRICT column, int rows, int k,
                      const ObservationNormalizer& normalizer, float* RM_RESTRICT out,
                      int out_step) {
  if (!normalizer.enabled()) {
    for (int r = 0; r < rows; ++r) out[r * out_step] = column[r];
    return;
  }
  const float shift = normalizer.shift()[k], scale = normalizer.scale()[k],
              clip = normalizer.clip();
  for (int r = 0; r < rows; ++r) {
    out[r * out_step] = normalize_observation(column[r], shift, scale, clip);
  }
}

void gather_input(const float* columns, std::int64_t stride, std::int64_t begin, int rows, int size,
                  const ObservationNormalizer& normalizer, float* input) {
  for (int k = 0; k < size; ++k) {
    normalize_column(columns + k * stride + begin, rows, k, normalizer, input + k, size);
  }
}

void network_forward(const std::vector<DenseLayer>& net, const float* params, const float* input,
                     int input_row, int rows, NetActivations& activations) {
  const int layers = static_cast<int>(net.size());
  for (int l = 0; l < layers; ++l) {
    const DenseLayer& layer = net[static_cast<std::size_t>(l)];
    float* out = activations.layer(l);
    dense_forward(input, input_row, layer.inputs, params + layer.weight, params + layer.bias,
                  layer.width, out, layer.width, rows);
    if (l + 1 < layers) tanh_forward(out, static_cast<std::int64_t>(rows) * layer.width);
    input = out;
    input_row = layer.width;
  }
}

void head_to_columns(const float* head, int width, int outputs, int rows, float* columns) {
  for (int a = 0; a < outputs; ++a) {
    for (int r = 0; r < rows; ++r) columns[a * kTileRows + r] = head[r * width + a];
  }
}

}  // namespace rollmill
