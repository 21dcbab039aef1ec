// A file that only grows, by whole records: one write(2) each, so that a killed process leaves whole records behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rollmill {

class AppendFile {
 public:
  // Opens for reading and appending, creates if missing. `what` is in messages: "PATH: cannot write <what>: reason".
  // Throws Error (I/O); so it does for what is not a regular file.
  AppendFile(std::string path, std::string what);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // On a full disk the file keeps its whole records and this throws Error (I/O) with the path and the reason.
  void append(std::string_view record);
  // Cuts the file to its first `bytes` bytes. Throws Error (I/O).
  void cut(std::int64_t bytes);
  // Forces what was written to the disk (a machine may lose power). Throws Error (I/O).
  void sync();

  const std::string& path() const { return path_; }
  std::int64_t size() const;
  // Reads exactly `bytes` bytes at `offset`, which must be there. Throws Error (I/O).
  void read(char* to, std::size_t bytes, std::int64_t offset) const;

 private:
  [[noreturn]] void fail(const char* did) const;  // with errno

  std::string path_, what_;
  int fd_;
};

}  // namespace rollmill
