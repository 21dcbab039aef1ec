// Recurrent layers on a tile of rows. Padding lanes stay zero: their weights are.
//
//   GRU (torch.nn.GRU's gates)                             MinGRU (Feng et al. 2024, section 3.1)
//     r = sigmoid(x Wr + br + h Ur + cr)                     z = sigmoid(x Wz + bz)
//     z = sigmoid(x Wz + bz + h Uz + cz)                     n = x Wn + bn
//     n = tanh(x Wn + bn + r (h Un + cn))                    h' = (1 - z) h + z n
//     h' = (1 - z) n + z h
//
// Each row alone, in a fixed order; what backward needs is left where forward put it.
#pragma once

#include <cstdint>

#include "rollout/mlp/layout.h"

namespace rollmill {

// Columns of one layer on one tile.
struct MemoryTile {
  const float* before;  // h [rows][width]
  float* gates;  // [rows][gates * width]: r, z, n of a GRU; z, n of a MinGRU; after their functions
  float* recurrent;  // [rows][gates * width]: h U + c; GRU only
  float* after;      // h' [rows][width]
};

// x [rows][x_row].
void memory_forward(const MemoryLayer& layer, const float* params, const float* x,
                    std::int64_t x_row, int rows, const MemoryTile& tile);

}  // namespace rollmill
