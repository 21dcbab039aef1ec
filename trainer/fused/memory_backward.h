// Backward pass of a recurrent layer on one tile, one step of time (rollout/mlp/memory.h).
#pragma once

#include "rollout/mlp/memory.h"

namespace rollmill {

// dh [rows][width] = d loss / d h', all of it; overwritten by d loss / d h, where the state had a part in it.
// dgates [rows][gates * width]: d loss / d (x W + b). recurrent_t: the transposed recurrent weights, GRU only.
// scratch [2][rows][gates * width]. gradient: the whole flat array; the recurrent weights' part accumulates.
void memory_backward(const MemoryLayer& layer, const MemoryTile& tile, const float* recurrent_t,
                     int rows, float* dh, float* dgates, float* scratch, float* gradient);

}  // namespace rollmill
