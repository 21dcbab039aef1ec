// Files that are either complete or absent. Everything is written as NAME.tmp-<pid> in the same folder, synced, renamed,
// and the folder synced; a name without ".tmp" is therefore complete after a crash, a kill or a power loss.
// All functions throw Error kIo with the path, the system's reason and a cure, unless said otherwise.
#pragma once

#include <cstdint>
#include <string>

#include "core/io/hash.h"

namespace rollmill {

// PATH.tmp-<pid of this process>.
std::string tmp_name(const std::string& path);

// Replaces path with these bytes, durably. On failure the old file is untouched and the temporary one is gone.
void write_file_atomic(const std::string& path, Bytes bytes);
inline void write_file_atomic(const std::string& path, std::string_view text) {
  write_file_atomic(path, bytes_of(text));
}

// For a file that a library writes (HDF5): let it write and close tmp(), then commit(). Without a commit the
// temporary file is removed by the destructor and the final name is never touched.
class AtomicPath {
 public:
  explicit AtomicPath(std::string path);
  ~AtomicPath();
  AtomicPath(const AtomicPath&) = delete;
  AtomicPath& operator=(const AtomicPath&) = delete;
  const std::string& tmp() const { return tmp_; }
  const std::string& path() const { return path_; }
  void commit();

 private:
  std::string path_;
  std::string tmp_;
  bool committed_ = false;
};

// rename(2), then fsync of the folder that holds `to`. For files and folders whose content is synced already.
void rename_durable(const std::string& from, const std::string& to);
void fsync_file(const std::string& path);
void fsync_dir(const std::string& dir);

// Removes files and folders named *.tmp-<pid> directly in dir whose process is gone from this host, or is this process.
// Returns how many. Call it before any rank on another host starts to write there.
int remove_leftovers(const std::string& dir);

// The whole regular file. A missing file, a folder, a FIFO or more than max_bytes: Error kBadData.
std::string read_file(const std::string& path, std::uint64_t max_bytes);

// Size of a regular file (no link followed). Missing or not a regular file: Error kBadData.
std::uint64_t file_bytes(const std::string& path);
bool file_exists(const std::string& path);

void make_dirs(const std::string& dir);
// Creates and removes a probe file, so that a job fails before its work and not after it.
void check_writable(const std::string& dir);
// Bytes that an unprivileged process may still write there.
std::uint64_t free_bytes(const std::string& dir);

}  // namespace rollmill
