// For core/io/h5*.cc only: the one place that sees hdf5.h.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <string>

#include "core/io/h5.h"

namespace rollmill::h5 {

// Every entry into HDF5 starts with one of these on the stack: it sets the library up once, silences the calling
// thread's error stack, and holds the process-wide lock (not every build of HDF5 is thread-safe).
class Call {
 public:
  Call();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

// The deepest message of HDF5's error stack, made one short line; clears the stack.
std::string last_error();

[[noreturn]] void fail_write(const std::string& what);
[[noreturn]] void fail_read(const std::string& what);

template <typename T>
T check_write(T result, const std::string& what) {
  if (result < 0) fail_write(what);
  return result;
}
template <typename T>
T check_read(T result, const std::string& what) {
  if (result < 0) fail_read(what);
  return result;
}

H5Handle file_type(DType dtype);    // little-endian, bool as an enum FALSE/TRUE over INT8
H5Handle memory_type(DType dtype);  // host order
// Our DType for a type in a file; kBadData for any other.
DType dtype_of_file_type(hid_t type, const std::string& what);
H5Handle string_type();  // variable-length UTF-8

// Refuses (kBadData) whatever open_untrusted promises to refuse.
void inspect(hid_t file, const std::string& path, std::uint64_t file_bytes, const H5Limits& limits);

}  // namespace rollmill::h5
