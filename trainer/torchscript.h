// A policy graph as a TorchScript file, for torch.jit.load in Python and torch::jit::load in C++. Written by the torch
// module (trainer/torch/torchscript_writer.cc), which is opened for it.
#pragma once

#include <string>
#include <type_traits>

#include "rollout/export/policy_graph.h"

namespace rollmill {

// The bytes of a .pt file. Its forward() takes the graph's inputs in their order and returns a dictionary from names of outputs
// to tensors. Throws Error(kUsage) when the torch module is missing, Error(kDevice) for torch's own failures.
std::string torchscript_module(const PolicyGraph& graph);

using WriteTorchScript = void(const PolicyGraph* graph, std::string* file);

}  // namespace rollmill

extern "C" {
void rollmill_write_torchscript(const rollmill::PolicyGraph* graph, std::string* file);
}

static_assert(std::is_same_v<decltype(rollmill_write_torchscript), rollmill::WriteTorchScript>);
