// How an environment looks that draws nothing itself but is observed as planes: what a policy sees of it.
#pragma once

#include "envs/env_spec.h"

namespace rollmill {

class Canvas;
class TextView;

// One environment's observation: word k at words[k * stride].
struct ObservationWords {
  const std::uint32_t* words;
  std::int64_t stride;
};

// Whether the observation is one of Planes or Pixels.
bool has_planes(const EnvSpec& spec);

// Planes of bits: one grid, each plane in a colour and shape of its own, with their names below. Pixels: three planes as red,
// green and blue, other numbers of planes side by side in grey.
void draw_planes(const EnvSpec& spec, const ObservationWords& observation, Canvas& canvas);

// Planes of bits: a letter for each plane, the first one set in a cell, with their names below. Pixels: ten steps of brightness of
// the first plane.
void write_planes(const EnvSpec& spec, const ObservationWords& observation, TextView& view);

}  // namespace rollmill
