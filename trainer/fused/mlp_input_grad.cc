#include "trainer/fused/mlp_input_grad.h"

#include "rollout/mlp/dense.h"

namespace rollmill {

InputGradient::InputGradient(const Network& net)
    : width_(pad16(net.dense.front().inputs)),
      first_(static_cast<std::size_t>(net.dense.front().outputs) *
             static_cast<std::size_t>(width_)) {}

void InputGradient::pack(const Network& net, const float* params) {
  const DenseLayer& first = net.dense.front();
  transpose_weights(params + first.weight, first.inputs, first.outputs, first.width, first_.data());
}

void InputGradient::run(const Network& net, const TransposedWeights& rest,
                        const NetActivations& activations, int rows, float* dhead, float* scratch,
                        int max_width, float* dinput) const {
  float* dy = dhead;
  for (int l = static_cast<int>(net.dense.size()) - 1; l > 0; --l) {
    const DenseLayer& layer = net.dense[static_cast<std::size_t>(l)];
    const int width = net.dense[static_cast<std::size_t>(l) - 1].width;
    float* dx = scratch + static_cast<std::int64_t>(l % 2) * kTileRows * max_width;
    dense_input_grad(dy, layer.width, layer.outputs, rest.layer(l), width, dx, width, rows);
    activate_backward(net.activation, activations.layer(l - 1), dx,
                      static_cast<std::int64_t>(rows) * width);
    dy = dx;
  }
  const DenseLayer& first = net.dense.front();
  dense_input_grad(dy, first.width, first.outputs, first_.data(), width_, dinput, width_, rows);
}

}  // namespace rollmill
