// A policy as kernels see it: plain data and device pointers, by value.
#pragma once

#include <cstdint>

#include "rollout/mlp/layout.h"
#include "rollout/unpack.h"

namespace rollmill {

inline constexpr int kMaxDeviceLayers = 8;

struct DeviceNet {
  struct Layer {
    int inputs, width;
    std::int64_t weight, bias;  // offsets into the parameters
  } layers[kMaxDeviceLayers];
  int count;
};

struct DevicePolicy {
  DeviceNet actor, critic;
  const float* params;  // rollout/mlp/layout.h
  UnpackRule unpack;    // one frame
  int frame_stack, observation_columns;
  const float *shift, *scale;  // [elements] of the normaliser; null when it is off
  float clip;
  const std::int32_t* choices;  // [choice_columns] how many each has
  int choice_columns, mask_columns, reals;
  Activation activation;
  Trunk trunk;
  RealDistribution distribution;
  int outputs;                                    // of the actor, without the value
  const float* log_std;                           // [reals]; null where they are outputs
  const float *middle, *half_range, *low, *high;  // [reals] bounds
  int observations;  // numbers that the networks read: frame_stack * unpack.elements
  int max_width, tile_rows;
  bool greedy;
  std::uint64_t seed;
};

}  // namespace rollmill
