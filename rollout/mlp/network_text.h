// A network in words: "4 -> 64 -> 64 -> 2"; "10x10x4 -> 8x8x16 -> 128 -> 3" with a convolution, "9 -> 64 -> gru 32 -> 4" with a memory.
#pragma once

#include <string>

#include "rollout/mlp/layout.h"

namespace rollmill {

std::string network_text(const Network& network);

}  // namespace rollmill
