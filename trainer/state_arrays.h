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

// Throws Error(kBadData) naming path, array and both sizes where it has not to.size() elements.
template <class T>
void read_array_into(const H5Group& root, const std::string& name, std::span<T> to,
                     const std::string& path) {
  const H5Dataset dataset = root.open_dataset(name);
  dataset.check_dtype(dtype_of<T>);
  const std::uint64_t size = dataset.rows() * dataset.row_bytes() / sizeof(T);
  if (size != to.size()) {
    fail_data(path + ": " + name + " has " + std::to_string(size) + " values, this run needs " +
              std::to_string(to.size()) + "; the checkpoint is of another configuration");
  }
  dataset.read_rows(0, dataset.rows(), std::as_writable_bytes(to));
}

template <class T>
std::vector<T> read_array(const H5Group& root, const std::string& name, std::size_t size,
                          const std::string& path) {
  std::vector<T> values(size);
  read_array_into(root, name, std::span(values), path);
  return values;
}

// Throws Error(kBadData) unless all are finite; `what` names them.
void require_finite(std::span<const float> values, const std::string& path,
                    const std::string& what);

// read_array of numbers that must be finite.
std::vector<float> read_finite(const H5Group& root, const std::string& name, std::size_t size,
                               const std::string& path, const std::string& what);

// NAME_first, NAME_second and the attribute NAME_step.
void write_optimizer(H5Group& root, const std::string& name, const OptimizerState& state);
OptimizerState read_optimizer(const H5Group& root, const std::string& name, std::size_t size,
                              const std::string& path);

}  // namespace rollmill
