#include "trainer/torchscript.h"

#include "core/dist/torch_module.h"

namespace rollmill {

std::string torchscript_module(const PolicyGraph& graph) {
  auto* write =
      reinterpret_cast<WriteTorchScript*>(load_torch_symbol("rollmill_write_torchscript"));
  std::string file;
  write(&graph, &file);
  return file;
}

}  // namespace rollmill
