#include "core/io/dir_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/host_name.h"

namespace rollmill {

namespace {

struct Holder {
  std::string job = "unknown", host = "unknown", started = "unknown";
  long pid = 0;
};

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// What the file says; a half-written or foreign file tells nothing, which is fine: the lock decides, not the text.
Holder read_holder(int fd) {
  Holder holder;
  char text[4096];
  const ssize_t size = ::pread(fd, text, sizeof text, 0);
  if (size <= 0) return holder;
  const auto json = nlohmann::json::parse(text, text + size, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return holder;
  const auto take = [&](const char* key, std::string& into) {
    if (json.contains(key) && json[key].is_string()) into = json[key].get<std::string>();
  };
  take("job", holder.job);
  take("host", holder.host);
  take("started", holder.started);
  if (json.contains("pid") && json["pid"].is_number_integer()) holder.pid = json["pid"].get<long>();
  return holder;
}

void write_holder(int fd, const std::string& path, const std::string& job) {
  const nlohmann::ordered_json json = {
      {"job", job}, {"host", host_name()}, {"pid", ::getpid()}, {"started", utc_now()}};
  const std::string text =
      json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    const std::string reason = std::strerror(errno);
    ::close(fd);
    fail_io("cannot write " + path + ": " + reason + "; check the folder's space and permissions");
  }
}

[[noreturn]] void refuse(int fd, const std::string& path, const Holder& holder,
                         const std::string& cure) {
  ::close(fd);
  fail_io("the folder of " + path + " is in use by job " + holder.job + " on host " + holder.host +
          ", pid " + std::to_string(holder.pid) + ", since " + holder.started + "; " + cure);
}

bool is_gone(const Holder& holder) {
  if (holder.pid <= 0) return true;
  if (holder.host != host_name()) return false;
  return ::kill(static_cast<pid_t>(holder.pid), 0) != 0 && errno != EPERM;
}

// Without flock: the names decide.
void check_names(int fd, const std::string& path) {
  const Holder holder = read_holder(fd);
  if (is_gone(holder)) return;
  refuse(fd, path, holder,
         holder.host != host_name() ? "if that job is gone, remove the file and run again"
                                    : "wait for it or choose another --out");
}

// Who only asks (is_held) shares the lock for a moment, which must not keep anybody from taking it.
bool lock_it(int fd) {
  int seen_held = 0;  // (by somebody who may be leaving, or a killed one's child)
  for (int tries = 0;; ++tries) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK || tries == 1000) return false;
    if (::flock(fd, LOCK_SH | LOCK_NB) == 0) {
      ::flock(fd, LOCK_UN);
    } else if (errno != EWOULDBLOCK || ++seen_held == 10) {
      return false;
    }
    ::usleep(5'000);
  }
}

bool same_file(int fd, const std::string& path) {
  struct stat opened, named;
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace

DirLock::DirLock(const std::string& dir, const std::string& job_kind, const std::string& name)
    : path_(dir + "/" + name) {
  for (;;) {
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
      fail_io("cannot write " + path_ + ": " + std::strerror(errno) +
              "; check that the folder exists and may be written");
    if (!lock_it(fd)) {
      if (errno == EWOULDBLOCK)
        refuse(fd, path_, read_holder(fd), "wait for it or choose another --out");
      check_names(fd, path_);
    } else if (!same_file(fd, path_)) {  // its holder removed it between our open and our lock
      ::close(fd);
      continue;
    }
    write_holder(fd, path_, job_kind);
    fd_ = fd;
    return;
  }
}

bool is_held(const std::string& dir, const std::string& name) {
  const int fd = ::open((dir + "/" + name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return errno != ENOENT;
  bool held = false;
  if (::flock(fd, LOCK_SH | LOCK_NB) != 0) held = errno == EWOULDBLOCK || !is_gone(read_holder(fd));
  ::close(fd);
  return held;
}

DirLock::~DirLock() {
  if (fd_ < 0) return;
  ::unlink(path_.c_str());  // while still locked
  ::close(fd_);
}

DirLock::DirLock(DirLock&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

}  // namespace rollmill
