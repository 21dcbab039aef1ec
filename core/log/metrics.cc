#include "core/log/metrics.h"

#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace rollmill {
namespace {

using Json = nlohmann::json;

[[noreturn]] void fail_errno(const std::string& path, const char* what) {
  const int reason = errno;
  fail_io(path + ": " + what + ": " + std::strerror(reason));
}

std::string quoted(std::string_view text) {
  return Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

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

// Where the last whole line ends.
off_t end_of_whole_lines(int fd, off_t size, const std::string& path) {
  char buffer[4096];
  while (size > 0) {
    const off_t start =
        size > static_cast<off_t>(sizeof buffer) ? size - static_cast<off_t>(sizeof buffer) : 0;
    const ssize_t count = ::pread(fd, buffer, static_cast<std::size_t>(size - start), start);
    if (count < 0 && errno == EINTR) continue;
    if (count != size - start) fail_errno(path, "cannot read the metrics");
    for (ssize_t i = count; i > 0; --i) {
      if (buffer[i - 1] == '\n') return start + i;
    }
    size = start;
  }
  return 0;
}

// Whether a line stays when everything after step `last` goes.
bool is_kept(const std::string& line, const std::string& key, std::int64_t last) {
  const Json object = Json::parse(line, nullptr, false);
  if (!object.is_object()) return false;
  const auto step = object.find(key);
  if (step == object.end() || !step->is_number()) return true;
  if (step->is_number_unsigned())
    return last >= 0 && step->get<std::uint64_t>() <= static_cast<std::uint64_t>(last);
  if (step->is_number_integer()) return step->get<std::int64_t>() <= last;
  return step->get<double>() <= static_cast<double>(last);
}

void sync_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;  // the rename is done; that it lasts is the file system's affair
  ::fsync(fd);
  ::close(fd);
}

// Replaces `path` by `text`: after a crash at any moment the file is the old or the new one.
void replace_file(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp-" + std::to_string(::getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) fail_errno(temporary, "cannot write the metrics");
  const bool written = write_all(fd, text) && ::fsync(fd) == 0;
  const int reason = written ? 0 : errno;
  const bool closed = ::close(fd) == 0;
  if (!written) errno = reason;
  if (!written || !closed || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const int why = errno;
    ::unlink(temporary.c_str());
    errno = why;
    fail_errno(path, "cannot rewrite the metrics");
  }
  sync_folder_of(path);
}

}  // namespace

MetricsRecord& MetricsRecord::add_raw(std::string_view name, std::string_view json) {
  if (!fields_.empty()) fields_ += ',';
  fields_ += quoted(name);
  fields_ += ':';
  fields_ += json;
  return *this;
}

MetricsRecord& MetricsRecord::add(std::string_view name, double value) {
  if (!std::isfinite(value)) return add_raw(name, "null");
  char buffer[40];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return add_raw(name, std::string_view(buffer, static_cast<std::size_t>(result.ptr - buffer)));
}

MetricsRecord& MetricsRecord::add(std::string_view name, std::int64_t value) {
  return add_raw(name, std::to_string(value));
}

MetricsRecord& MetricsRecord::add(std::string_view name, std::string_view value) {
  return add_raw(name, quoted(value));
}

MetricsWriter::MetricsWriter(std::string path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd_ < 0) fail_errno(path_, "cannot open the metrics");
  try {
    struct stat info {};
    if (::fstat(fd_, &info) != 0) fail_errno(path_, "cannot open the metrics");
    if (!S_ISREG(info.st_mode)) fail_io(path_ + ": cannot open the metrics: not a regular file");
    const off_t end = end_of_whole_lines(fd_, info.st_size, path_);
    if (end != info.st_size && ::ftruncate(fd_, end) != 0)
      fail_errno(path_, "cannot cut a torn line");
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

MetricsWriter::~MetricsWriter() { ::close(fd_); }

void MetricsWriter::write(const MetricsRecord& record) {
  const off_t before = ::lseek(fd_, 0, SEEK_END);
  if (before >= 0 && write_all(fd_, record.json() + "\n")) return;
  const int reason = errno;
  // What a full disk let through of the line goes again.
  if (before < 0 || ::ftruncate(fd_, before) != 0) {
    fail_io(path_ +
            ": cannot write the metrics, and a torn line remains: " + std::strerror(reason));
  }
  fail_io(path_ + ": cannot write the metrics: " + std::strerror(reason));
}

void MetricsWriter::sync() {
  if (::fsync(fd_) != 0) fail_errno(path_, "cannot save the metrics");
}

void MetricsWriter::truncate_after(const std::string& path, const std::string& key,
                                   std::int64_t last) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return;
    fail_errno(path, "cannot read the metrics");
  }
  if (!S_ISREG(info.st_mode)) fail_io(path + ": cannot read the metrics: not a regular file");
  std::ifstream in(path, std::ios::binary);
  if (!in) fail_errno(path, "cannot read the metrics");
  std::string kept, line;
  bool same = true;
  while (std::getline(in, line)) {
    if (is_kept(line, key, last)) {
      kept += line + "\n";
      // A whole object that lost only its line break stays, and gets it back.
      if (in.eof()) same = false;
    } else {
      same = false;
    }
  }
  if (in.bad()) fail_errno(path, "cannot read the metrics");
  if (!same) replace_file(path, kept);
}

}  // namespace rollmill
