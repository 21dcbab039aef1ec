// What a run trains, in a line: "9155 parameters: actor 4 -> 64 -> 64 -> 2 (4610), critic 4 -> 64 -> 64 -> 1 (4545), tanh".
#pragma once

#include <string>

#include "trainer/train_options.h"

namespace rollmill {

// Targets of target networks are not counted: they are copies. Nothing is allocated.
std::string networks_text(const TrainOptions& options);

}  // namespace rollmill
