// What an exported policy computes, as a short list of operations on rows of float32: the neutral ground between our
// layouts and the formats written from it (onnx.h, c_header.h, trainer/torchscript.h).
//
//   observation  what the networks read before normalisation: reals as the environment gives them, bits and one-hot as 0 or
//                1, pixels as x / 255; with frame stacking the frames one after another, the oldest first
//   action_mask  only where the environment has masks: 1 for each allowed choice, else 0, column after column
//   memory       only of a recurrent policy: what it remembers of the episode, zeros before its first step
//   ->           parameters of the action distribution, the greedy action as the environment takes it, the value, and
//                next_memory, which is the memory of the next step
//
// Every value is [batch, width]; row r of an output depends on row r of the inputs only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "envs/env_spec.h"
#include "rollout/mlp/mlp_policy.h"

namespace rollmill {

// y of x, the first input; c is the operation's constant, [width of y] or one number for all columns.
enum class OpKind : std::uint8_t {
  kDense,       // x W + c; weight W [width of x][width of y]
  kConv,        // torch.nn.Conv2d without padding; x, y [channel][y][x], W as in ConvGeometry
  kTanh,        // tanh(x)
  kRelu,        // max(x, 0)
  kSigmoid,     // 1 / (1 + e^-x)
  kSoftplus,    // log(1 + e^x)
  kSum,         // x + z, z being the second input
  kDifference,  // x - z
  kProduct,     // x * z
  kQuotient,    // x / z
  kAdd,         // x + c
  kSubtract,    // x - c
  kMultiply,    // x * c
  kMinimum,     // min(x, c)
  kMaximum,     // max(x, c)
  kExclude,     // x where z is above 0, else c
  kSlice,       // columns first .. first + width of y of x
  kConcat,      // all inputs side by side
  kArgmax,      // column of the largest x; the first among equals
  kConstant,    // c in the one row of y; no input
};

struct GraphValue {
  std::string name;  // unique, and an identifier in C and Python
  int width = 0;
  bool integer = false;   // int64 (C: int) instead of float32
  bool constant = false;  // [1, width]: the same for every row
  std::string meaning;    // for people; of inputs and outputs
};

// Weight [channels][channels_in][kernel][kernel].
struct ConvGeometry {
  int channels_in = 0, height_in = 0, width_in = 0;
  int channels = 0, kernel = 0, stride = 1;
};

struct Operation {
  OpKind kind;
  std::vector<int> inputs;  // indices of values
  int output = 0;
  std::vector<float> constant, weight;
  int first = 0;
  ConvGeometry conv = {};
};

enum class OutputRole : std::uint8_t { kDistribution, kMemory, kValue, kAction };

struct GraphOutput {
  int value = 0;
  OutputRole role = OutputRole::kDistribution;
};

struct PolicyGraph {
  std::string name;  // an identifier made of the environment's id: "cartpole_v1"
  std::string env_id;
  std::vector<GraphValue> values;
  std::vector<int> inputs;            // observation, then action_mask and memory where there are
  int memory = -1;                    // the input of this name, if there is one
  std::vector<Operation> operations;  // each reads the inputs and what stands before it
  std::vector<GraphOutput> outputs;   // distribution, then action, value, next_memory

  const GraphValue& value(int index) const { return values[static_cast<std::size_t>(index)]; }
};

// The policy must fit the environment (check_policy_fits).
PolicyGraph make_policy_graph(const EnvSpec& spec, const PolicyWeights& weights);

// "[batch, 4]".
std::string shape_text(const GraphValue& value);
// "observation [batch, 4] -> logits [batch, 2], choices [batch, 1], value [batch, 1]".
std::string signature_text(const PolicyGraph& graph);

}  // namespace rollmill
