// Arrays of a checkpoint's state file: written flat, read back with their size checked.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/io/h5.h"
#include "trainer/optimizer_state.h"

namespace rollmill {

template <class T>
void write_array(H5Group& root, const std::string& name, std::span<const T> values) {
  root.write<T>(name, {values.size()}, values);
}

// Throws Error(kBadData) naming path, array and both sizes where it has not `size` elements.
template <class T>
std::vector<T> read_array(const H5Group& root, const std::string& name, std::size_t size,
                          const std::string& path) {
  std::vector<T> values = root.open_dataset(name).read_vector<T>();
  if (values.size() != size) {
    fail_data(path + ": " + name + " has " + std::to_string(values.size()) +
              " values, this run needs " + std::to_string(size) +
              "; the checkpoint is of another configuration");
  }
  return values;
}

// The same of numbers that must be finite; `what` names them in the error.
std::vector<float> read_finite(const H5Group& root, const std::string& name, std::size_t size,
                               const std::string& path, const std::string& what);

// NAME_first, NAME_second and the attribute NAME_step.
void write_optimizer(H5Group& root, const std::string& name, const OptimizerState& state);
OptimizerState read_optimizer(const H5Group& root, const std::string& name, std::size_t size,
                              const std::string& path);

}  // namespace rollmill
