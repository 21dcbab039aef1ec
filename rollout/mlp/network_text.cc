#include "rollout/mlp/network_text.h"

#include <fmt/core.h>

namespace rollmill {

std::string network_text(const Network& n) {
  std::string text;
  if (n.conv.empty()) {
    text = std::to_string(n.dense.front().inputs);
  } else {
    const ConvLayer& first = n.conv.front();
    text = fmt::format("{}x{}x{}", first.height_in, first.width_in, first.channels_in);
  }
  for (const ConvLayer& c : n.conv)
    text += fmt::format(" -> {}x{}x{}", c.height, c.width, c.channels);
  for (const DenseLayer& layer : n.dense) {
    if (&layer == &n.head() && n.memory.kind != MemoryKind::kNone)
      text += fmt::format(" -> {} {}", memory_name(n.memory.kind), n.memory.size);
    text += fmt::format(" -> {}", layer.outputs);
  }
  return text;
}

}  // namespace rollmill
