// What keeps NaN and infinity out of a policy. (A file of its own: the torch module takes it, too.)
#pragma once

#include <string>

#include "trainer/optimizer_state.h"

namespace rollmill {

// Whether an optimiser step with this gradient norm and loss may be taken; it may not where one of them is NaN or infinite.
// Counts such steps in state.skipped, and throws Error(kNumerical), naming `what`, when they are more than `most` in a row.
bool may_step(double norm, double loss, int most, const std::string& what, OptimizerState& state);

}  // namespace rollmill
