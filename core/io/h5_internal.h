// For core/io/h5*.cc only: the one place that sees hdf5.h.
#pragma once

#include <hdf5.h>

#include <string>
#include <vector>

#include "core/io/h5.h"

namespace rollmill::h5 {

// Every entry into HDF5 starts with one of these on the stack: it sets the library up once, silences the calling
// thread's error stack, and holds the process-wide lock (not every build of HDF5 is thread-safe).
class Call {
 public:
  Call();
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
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

// Refuses (kBadData) whatever open_untrusted promises to refuse; returns the paths of all datasets.
std::vector<std::string> inspect(const std::string& path, hid_t file, std::uint64_t file_bytes,
                                 const H5Limits& limits);

// Does the same and reads all data, in a child process; kBadData when that fails, crashes or takes too much.
void probe_in_child(const std::string& path, std::uint64_t file_bytes, const H5Limits& limits);

}  // namespace rollmill::h5
