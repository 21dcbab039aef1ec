// One episode as pictures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/image/picture.h"
#include "envs/registry.h"
#include "rollout/policy.h"

namespace rollmill {

struct FilmOptions {
  std::int64_t max_steps = 1000;  // the film ends there; the episode may go on
  std::int64_t every = 1;  // steps from one frame to the next; the last state is always shown
  int scale = 1;           // pixels become scale x scale
  bool captions = true;    // step, reward and return below each frame
};

struct Film {
  std::vector<Picture> frames;  // of one size
  std::int64_t steps = 0;
  double episode_return = 0;
  std::string outcome;  // why the episode ended; empty if the film ended first
};

// Plays episode config.first_episode with the policy. Errors: an environment that draws nothing, frames beyond a gigabyte
// (usage).
Film film_episode(const EnvEntry& entry, const BatchConfig& config, const Policy& policy,
                  const FilmOptions& options);

// Milliseconds a frame that make a film of so many frames pleasant to watch.
int pleasant_ms(std::size_t frames);

}  // namespace rollmill
