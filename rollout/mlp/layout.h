// Where the parameters of an actor-critic MLP lie in one flat float32 array.
//
// Two networks (actor, critic), each a chain of dense layers, or one whose head gives both. A layer's weights are stored
// [inputs][outputs padded to 16], its bias [outputs padded to 16]; padding is zero and stays zero. That is the order
// in which the kernels stream them: lanes are output features, so no activation is ever transposed. Exports turn it
// into PyTorch's [outputs][inputs] (rollout/mlp/policy_file.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/macros.h"
#include "envs/env_spec.h"

namespace rollmill {

constexpr int pad16(int n) { return (n + 15) / 16 * 16; }

enum class Activation { kTanh, kRelu };

// Whether actor and critic share their hidden layers. kShared: one network, whose head's last output is the value.
enum class Trunk { kSeparate, kShared, kActorOnly };

// Of real actions in the range [-1, 1], which is then scaled to the action's bounds.
//   kGaussian       mean from the network, one log standard deviation for all states; clamped to the bounds
//   kSquashed       tanh of a Gaussian whose mean and log standard deviation the network gives (Haarnoja et al. 2018)
//   kDeterministic  tanh of the network's output; no density
//   kBeta           Beta, whose two shapes the network gives (rollout/mlp/beta.h)
enum class RealDistribution { kGaussian, kSquashed, kDeterministic, kBeta };

// What a policy remembers of its episode.
//   kGru     gated recurrent unit (Cho et al. 2014), gates as in torch.nn.GRU
//   kMinGru  its gates depend on the input alone (Feng et al. 2024), so that no matrix product waits for the state
enum class MemoryKind { kNone, kGru, kMinGru };

const char* memory_name(MemoryKind memory);
const char* activation_name(Activation activation);
const char* trunk_name(Trunk trunk);
const char* distribution_name(RealDistribution distribution);

struct DenseLayer {
  int inputs = 0, outputs = 0;        // real sizes
  int width = 0;                      // outputs padded to 16
  std::int64_t weight = 0, bias = 0;  // offsets into the flat array
};

// A convolution without padding (rollout/mlp/conv.h). Weights [patch][channels], bias [channels].
struct ConvLayer {
  int channels_in = 0, height_in = 0, width_in = 0;
  int channels = 0, kernel = 0, stride = 1;
  int height = 0, width = 0;  // of the output
  bool planes = false;        // the first: reads observations
  std::int64_t weight = 0, bias = 0;

  RM_HD int inputs() const { return channels_in * height_in * width_in; }
  RM_HD int patch() const { return kernel * kernel * channels_in; }
  RM_HD int positions() const { return height * width; }
  RM_HD int outputs() const { return positions() * channels; }
};

// A recurrent layer, between the last hidden layer and the head (rollout/mlp/memory.h). Its gates lie side by side, each
// `size` numbers wide and padded to `width`; both matrices are stored like a dense layer's of gates * width outputs.
struct MemoryLayer {
  MemoryKind kind = MemoryKind::kNone;
  int inputs = 0, size = 0, width = 0;
  std::int64_t input_weight = 0, input_bias = 0;  // [inputs][gates * width], [gates * width]
  std::int64_t recurrent_weight = 0,
               recurrent_bias = 0;  // [size][gates * width], [gates * width]; kGru only

  RM_HD int gates() const {
    return kind == MemoryKind::kNone ? 0 : kind == MemoryKind::kGru ? 3 : 2;
  }
};

// One network. Its head, the last layer, is linear.
struct Network {
  std::vector<ConvLayer> conv;    // before the hidden layers; often none
  std::vector<DenseLayer> dense;  // hidden layers, then the head; empty: there is no such network
  MemoryLayer memory;
  Activation activation = Activation::kTanh;  // of convolutions and hidden layers
  // Whether it begins with one convolution over ones and zeros: what a patch comes to is looked up (rollout/mlp/patches.h).
  bool by_patch = false;

  const DenseLayer& head() const { return dense.back(); }
};

// The first dense layer whose products may be bfloat16's (trainer.precision = "bf16"): the others are of a first layer that reads
// observations, whose numbers need their digits, or patches, which are looked up. Convolutions and memories stay in float32.
RM_HD constexpr int first_bf16_layer(bool convolves, bool by_patch) {
  return convolves && !by_patch ? 0 : 1;
}

struct ConvShape {
  int channels = 0, kernel = 0, stride = 1;
  bool operator==(const ConvShape&) const = default;
};

// Shape of a policy: what it reads, what it writes, how wide it is in between.
struct PolicyShape {
  ObservationSpec observed;  // one frame
  int frame_stack = 1;       // frames that the networks read, the oldest first
  std::vector<int> choices;  // of each discrete action column
  int reals = 0;             // real action columns
  std::vector<int> hidden = {64, 64};
  Activation activation = Activation::kTanh;
  Trunk trunk = Trunk::kSeparate;
  RealDistribution distribution = RealDistribution::kGaussian;
  MemoryKind memory = MemoryKind::kNone;
  int memory_size = 0;  // of each network; 0 without memory
  std::vector<ConvShape> conv;

  int observations() const { return frame_stack * observed.elements; }  // numbers a network reads
  int total_choices() const {
    int total = 0;
    for (const int n : choices) total += n;
    return total;
  }
  // What the actor says: logits of every choice, column by column, then the means of the real actions, then, where the
  // state decides it, their log standard deviations; of a Beta both shapes in the same places.
  int outputs() const { return total_choices() + (two_outputs() ? 2 : 1) * reals; }
  bool two_outputs() const {
    return state_dependent_std() || distribution == RealDistribution::kBeta;
  }
  bool state_dependent_std() const { return distribution == RealDistribution::kSquashed; }
  // Numbers that the policy remembers of an episode: the actor's, then the critic's.
  int memory_columns() const { return (trunk == Trunk::kSeparate ? 2 : 1) * memory_size; }
  bool has_value() const { return trunk != Trunk::kActorOnly; }
  bool sees_ones() const {
    return observed.kind == ObservationKind::kBits || observed.kind == ObservationKind::kChoices;
  }
  // Network::by_patch: a dense layer, not a memory, must read what the convolution says.
  bool by_patch() const {
    return conv.size() == 1 && sees_ones() && (memory == MemoryKind::kNone || !hidden.empty());
  }
  bool operator==(const PolicyShape&) const = default;
};

// What a user may choose of a shape; the rest is the environment's.
struct PolicyChoices {
  std::vector<int> hidden = {64, 64};
  int frame_stack = 1;
  Activation activation = Activation::kTanh;
  Trunk trunk = Trunk::kSeparate;
  RealDistribution distribution = RealDistribution::kGaussian;
  MemoryKind memory = MemoryKind::kNone;
  int memory_size = 0;
  std::vector<ConvShape> conv = {};
};

// "" if the convolutions fit the observations, else what is wrong with them.
std::string conv_problem(const ObservationSpec& observed, const std::vector<ConvShape>& conv);

PolicyShape shape_for(const EnvSpec& spec, const PolicyChoices& choices);
PolicyShape shape_for(const EnvSpec& spec, const std::vector<int>& hidden, int frame_stack = 1);

std::int64_t parameter_count(const Network& network);  // without padding

struct MlpLayout {
  explicit MlpLayout(const PolicyShape& shape);

  PolicyShape shape;
  Network actor, critic;     // with Trunk::kShared or kActorOnly the critic is empty
  std::int64_t log_std = 0;  // offset of [real actions padded to 16]; only where has_log_std()
  std::int64_t size = 0;     // floats in the flat array, padding included
  int max_width = 0;

  // Whether the log standard deviations of real actions are parameters of their own.
  bool has_log_std() const {
    return shape.reals > 0 && shape.distribution == RealDistribution::kGaussian;
  }
  std::int64_t parameter_count() const;  // without padding
};

}  // namespace rollmill
