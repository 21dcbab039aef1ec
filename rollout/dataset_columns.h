// How an environment's spaces lie in a dataset's shards (docs/formats.md), for who writes them and who reads them.
#pragma once

#include <cstddef>
#include <vector>

#include "datasets/format.h"
#include "envs/env_spec.h"
#include "envs/world.h"

namespace rollmill {

// The columns of an environment's shards.
// Where the world varies, episodes/params and episodes/level say how each episode was drawn.
std::vector<Column> dataset_columns(const EnvSpec& env, bool policy_outputs,
                                    const World& world = {});

// Bytes of one stored observation: its words, without what pads the last one. (Words are little-endian on every machine
// this runs on, so their bytes are bits 0-7, 8-15, ... and pixels 0, 1, ....)
std::size_t observation_bytes(const ObservationSpec& o);

// One small number a step: as many environments' only action.
bool small_action(const EnvSpec& spec);

}  // namespace rollmill
