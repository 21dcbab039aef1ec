#include "core/log/metrics.h"

#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
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

// Where the last whole line ends.
std::int64_t end_of_whole_lines(const AppendFile& file) {
  char buffer[4096];
  std::int64_t size = file.size();
  while (size > 0) {
    const std::int64_t start = std::max<std::int64_t>(0, size - std::int64_t{sizeof buffer});
    file.read(buffer, static_cast<std::size_t>(size - start), start);
    for (std::int64_t i = size - start; i > 0; --i) {
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
  ::unlink(temporary.c_str());
  try {
    AppendFile file(temporary, "the metrics");
    file.append(text);
    file.sync();
    if (std::rename(temporary.c_str(), path.c_str()) != 0)
      fail_errno(path, "cannot rewrite the metrics");
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
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

double MetricsRecord::number(std::string_view name) const {
  for (const MetricNumber& metric : numbers_) {
    if (metric.name == name) return metric.value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

MetricsRecord& MetricsRecord::add(std::string_view name, double value) {
  numbers_.push_back({std::string(name), value});
  if (!std::isfinite(value)) return add_raw(name, "null");
  char buffer[40];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return add_raw(name, std::string_view(buffer, static_cast<std::size_t>(result.ptr - buffer)));
}

MetricsRecord& MetricsRecord::add(std::string_view name, std::int64_t value) {
  numbers_.push_back({std::string(name), static_cast<double>(value)});
  return add_raw(name, std::to_string(value));
}

MetricsRecord& MetricsRecord::add(std::string_view name, std::string_view value) {
  return add_raw(name, quoted(value));
}

MetricsWriter::MetricsWriter(std::string path) : file_(std::move(path), "the metrics") {
  const std::int64_t end = end_of_whole_lines(file_);
  if (end != file_.size()) file_.cut(end);  // a torn line
}

void MetricsWriter::write(const MetricsRecord& record) { file_.append(record.json() + "\n"); }

void MetricsWriter::sync() { file_.sync(); }

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
