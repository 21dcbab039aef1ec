#include "core/log/append_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/error.h"

namespace rollmill {
namespace {

// Writes all of it or returns false with errno set.
bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

AppendFile::AppendFile(std::string path, std::string what)
    : path_(std::move(path)), what_(std::move(what)) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd_ < 0) fail("open");
  struct stat info {};
  const bool known = ::fstat(fd_, &info) == 0;
  if (known && S_ISREG(info.st_mode)) return;
  const int reason = errno;
  ::close(fd_);
  errno = reason;
  if (!known) fail("open");
  fail_io(path_ + ": cannot open " + what_ + ": not a regular file");
}

AppendFile::~AppendFile() { ::close(fd_); }

void AppendFile::fail(const char* did) const {
  const int reason = errno;
  fail_io(path_ + ": cannot " + did + " " + what_ + ": " + std::strerror(reason));
}

void AppendFile::append(std::string_view record) {
  const off_t before = ::lseek(fd_, 0, SEEK_END);
  if (before >= 0 && write_all(fd_, record)) return;
  const int reason = errno;
  // What a full disk let through of the record goes again.
  if (before < 0 || ::ftruncate(fd_, before) != 0) {
    fail_io(path_ + ": cannot write " + what_ +
            ", and a torn end remains: " + std::strerror(reason));
  }
  errno = reason;
  fail("write");
}

void AppendFile::cut(std::int64_t bytes) {
  if (::ftruncate(fd_, bytes) != 0) fail("cut");
}

void AppendFile::sync() {
  if (::fsync(fd_) != 0) fail("save");
}

std::int64_t AppendFile::size() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) fail("read");
  return info.st_size;
}

void AppendFile::read(char* to, std::size_t bytes, std::int64_t offset) const {
  while (bytes > 0) {
    const ssize_t count = ::pread(fd_, to, bytes, offset);
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) errno = EIO;  // shorter than it was a moment ago
    if (count <= 0) fail("read");
    to += count;
    bytes -= static_cast<std::size_t>(count);
    offset += count;
  }
}

}  // namespace rollmill
