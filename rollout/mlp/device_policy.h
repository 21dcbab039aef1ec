// A policy as kernels see it: plain data and device pointers, by value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/base/macros.h"
#include "rollout/mlp/layout.h"
#include "rollout/unpack.h"

namespace rollmill {

inline constexpr int kMaxDeviceLayers = 8, kMaxDeviceConvs = 4;

// How dense layers multiply, but a first that reads observations, which is float32's (rollout/mlp/bf16_kernels.cuh).
//   kBf16        the CPU's bfloat16 products, bit for bit (trainer.reduction = "exact")
//   kBf16Tensor  tensor cores
enum class Products { kFloat32, kBf16, kBf16Tensor };
constexpr Products device_products(bool bf16, bool exact) {
  return !bf16 ? Products::kFloat32 : exact ? Products::kBf16 : Products::kBf16Tensor;
}

struct DeviceNet {
  struct Layer {
    int inputs, width;
    std::int64_t weight, bias;  // offsets into the parameters (rollout/mlp/acting_weights.h)
  } layers[kMaxDeviceLayers];
  int count;
  ConvLayer conv[kMaxDeviceConvs];  // before those
  int convs;
  bool by_patch;       // Network::by_patch
  MemoryLayer memory;  // before the last of those
};

// Throws Error(kUsage) when the network has more layers than the kernels take.
inline DeviceNet device_net(const Network& network) {
  const auto refuse = [](const char* what, std::size_t has, int takes) {
    fail_usage(std::string(what) + " has " + std::to_string(has) +
               " layers, the CUDA kernels take " + std::to_string(takes) +
               "; use fewer or device = \"cpu\"");
  };
  if (network.dense.size() > kMaxDeviceLayers)
    refuse("policy.hidden", network.dense.size() - 1, kMaxDeviceLayers - 1);
  if (network.conv.size() > kMaxDeviceConvs)
    refuse("policy.conv_channels", network.conv.size(), kMaxDeviceConvs);
  DeviceNet net{};
  net.memory = network.memory;
  net.by_patch = network.by_patch;
  for (const ConvLayer& c : network.conv) net.conv[net.convs++] = c;
  for (const DenseLayer& l : network.dense)
    net.layers[net.count++] = {l.inputs, l.width, l.weight, l.bias};
  return net;
}

// Numbers of a row that every second of its layers writes at most, from the first on or from the second.
inline int widest(const DeviceNet& net, int first) {
  int width = 0, place = 0;
  const auto see = [&](int numbers) {
    if (place++ % 2 == first) width = std::max(width, numbers);
  };
  for (int l = 0; l < net.convs; ++l) see(net.conv[l].outputs());
  for (int l = 0; l < net.count; ++l) see(net.layers[l].width);
  return width;
}

// Floats of a row that a memory works with: its state, its gates, and of a GRU what the state says of them.
inline int memory_row(const DeviceNet& net) {
  const MemoryLayer& m = net.memory;
  const int parts = m.kind == MemoryKind::kGru ? 2 : 1;
  return m.kind == MemoryKind::kNone ? 0 : m.width * (1 + parts * m.gates());
}

struct DevicePolicy {
  DeviceNet actor, critic;
  const float* params;  // rollout/mlp/acting_weights.h
  UnpackRule unpack;    // one frame
  int frame_stack, observation_columns;
  const float *shift, *scale;  // [elements] of the normaliser; null when it is off
  float clip;
  const std::int32_t* choices;  // [choice_columns] how many each has
  int choice_columns, mask_columns, reals;
  Activation activation;
  Products products;
  Trunk trunk;
  RealDistribution distribution;
  int outputs;                                    // of the actor, without the value
  const float* log_std;                           // [reals]; null where they are outputs
  const float *middle, *half_range, *low, *high;  // [reals] bounds
  int observations;  // numbers that the networks read: frame_stack * unpack.elements
  int memory_size;   // numbers that each network remembers
  // Of a tile's row: what layers write into one room and the other by turns, what a memory works with.
  int a_width, b_width, memory_row;
  int tile_rows;
  bool greedy;
  std::uint64_t seed;
};

// Of p's networks.
inline void set_widths(DevicePolicy& p) {
  p.a_width = std::max(widest(p.actor, 0), widest(p.critic, 0));
  p.b_width = std::max(widest(p.actor, 1), widest(p.critic, 1));
  p.memory_row = std::max(memory_row(p.actor), memory_row(p.critic));
}

}  // namespace rollmill
