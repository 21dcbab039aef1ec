// A policy graph as one self-contained C99 header, which compiles as C++ too: constant arrays, loops and a tanh of its own;
// no library, no allocation, no state. Made for a program that acts one row at a time: a game, a robot, a browser.
#pragma once

#include <string>

#include "rollout/export/policy_graph.h"

namespace rollmill {

// The text of a .h file with, NAME being graph.name,
//   void NAME_policy(const float* observation, float* outputs, float* value);
//       outputs: the distribution's parameters in the graph's order; value may be null and is then not computed
//   void NAME_act(const float* observation[, const float* action_mask][, int* choices][, float* real_actions]);
//       the greedy action
std::string c_header(const PolicyGraph& graph);

}  // namespace rollmill
