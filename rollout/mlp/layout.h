// Where the parameters of an actor-critic MLP lie in one flat float32 array.
//
// Two independent networks (actor, critic), each a chain of dense layers. A layer's weights are stored
// [inputs][outputs padded to 16], its bias [outputs padded to 16]; padding is zero and stays zero. That is the order
// in which the kernels stream them: lanes are output features, so no activation is ever transposed. Exports turn it
// into PyTorch's [outputs][inputs] (rollout/mlp/policy_file.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "envs/env_spec.h"

namespace rollmill {

constexpr int pad16(int n) { return (n + 15) / 16 * 16; }

struct DenseLayer {
  int inputs = 0, outputs = 0;        // real sizes
  int width = 0;                      // outputs padded to 16
  std::int64_t weight = 0, bias = 0;  // offsets into the flat array
};

// Shape of a policy: what it reads, what it writes, how wide it is in between. Hidden layers use tanh.
struct PolicyShape {
  ObservationSpec observed;  // one frame
  int frame_stack = 1;       // frames that the networks read, the oldest first
  std::vector<int> choices;  // of each discrete action column
  int reals = 0;             // real action columns
  std::vector<int> hidden = {64, 64};

  int observations() const { return frame_stack * observed.elements; }  // numbers a network reads
  int total_choices() const {
    int total = 0;
    for (const int n : choices) total += n;
    return total;
  }
  // The actor's head: logits of every choice, column by column, then the means of the real actions.
  int outputs() const { return total_choices() + reals; }
  bool operator==(const PolicyShape&) const = default;
};

PolicyShape shape_for(const EnvSpec& spec, const std::vector<int>& hidden, int frame_stack = 1);

struct MlpLayout {
  explicit MlpLayout(const PolicyShape& shape);

  PolicyShape shape;
  std::vector<DenseLayer> actor, critic;  // hidden layers, then the head
  std::int64_t log_std = 0;  // offset of [real actions padded to 16]; only where there are any
  std::int64_t size = 0;     // floats in the flat array, padding included
  int max_width = 0;

  std::int64_t parameter_count() const;  // without padding
};

}  // namespace rollmill
