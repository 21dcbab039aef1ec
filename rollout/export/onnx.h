// A policy graph as an ONNX model (https://onnx.ai/onnx/repo-docs/IR.html): opset 13, IR version 7, so that runtimes from
// onnxruntime 1.7 (2021) on load it. float32 throughout, choices int64; the batch is a free dimension named "batch".
#pragma once

#include <string>

#include "rollout/export/policy_graph.h"

namespace rollmill {

// The bytes of a .onnx file. The same graph gives the same bytes.
std::string onnx_model(const PolicyGraph& graph);

}  // namespace rollmill
