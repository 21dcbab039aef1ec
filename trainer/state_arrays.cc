#include "trainer/state_arrays.h"

#include <algorithm>
#include <cmath>

namespace rollmill {

void require_finite(std::span<const float> values, const std::string& path,
                    const std::string& what) {
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
    fail_data(path + ": " + what + " has NaN or infinity in it");
}

std::vector<float> read_finite(const H5Group& root, const std::string& name, std::size_t size,
                               const std::string& path, const std::string& what) {
  std::vector<float> values = read_array<float>(root, name, size, path);
  require_finite(values, path, what);
  return values;
}

void write_optimizer(H5Group& root, const std::string& name, const OptimizerState& state) {
  root.set_int64(name + "_step", state.step);
  root.set_int64(name + "_skipped", state.skipped);
  write_array<float>(root, name + "_first", state.first);
  write_array<float>(root, name + "_second", state.second);
}

OptimizerState read_optimizer(const H5Group& root, const std::string& name, std::size_t size,
                              const std::string& path) {
  const auto first = read_finite(root, name + "_first", size, path, "the optimiser's state");
  const auto second = read_finite(root, name + "_second", size, path, "the optimiser's state");
  OptimizerState state;
  state.first.assign(first.begin(), first.end());
  state.second.assign(second.begin(), second.end());
  state.step = root.get_int64(name + "_step");
  state.skipped = root.has_attribute(name + "_skipped") ? root.get_int64(name + "_skipped") : 0;
  return state;
}

}  // namespace rollmill
