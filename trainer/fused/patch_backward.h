// Backward through the layers that rollout/mlp/patches.h looks up. What reaches a patch at a position from all the rows of a window
// that show it is added up first, [width]; the dense layer's weights, the patch's features and the convolution get their
// gradients from such sums, once a patch instead of once a row: all below the sums is linear in them.
//
// A patch's sum runs over the rows in their order, the gradients over positions, and at a position over ids in theirs. So the
// bits depend on the window's rows alone.
#pragma once

#include "rollout/mlp/patches.h"

namespace rollmill {

// dy [window's rows][width]: d loss / d the dense layer's sums, with the parameters that sums was prepared with. transposed: the
// dense layer's weights [positions][outputs][channels]. gradient (the whole flat array) accumulates; the dense layer's bias is none
// of it.
void patch_backward(const Network& net, const PatchSums& sums, const float* transposed,
                    const float* dy, float* gradient);

}  // namespace rollmill
