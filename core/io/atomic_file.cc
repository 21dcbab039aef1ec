#include "core/io/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/base/error.h"

namespace rollmill {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail_write(const std::string& path, int error) {
  const char* cure = "check that the folder exists and may be written";
  if (error == ENOSPC || error == EDQUOT)
    cure = "free some space or choose another folder, then run again with --resume";
  if (error == EFBIG) cure = "raise the file size limit (ulimit -f), then run again with --resume";
  if (error == EMFILE || error == ENFILE) cure = "raise the limit of open files (ulimit -n)";
  if (error == EIO) cure = "check the disk";
  fail_io("cannot write " + path + ": " + std::strerror(error) + "; " + cure);
}

// A file descriptor that is closed on the way out of a failure.
class Fd {
 public:
  Fd(const std::string& path, int flags) : path_(path) {
    do fd_ = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    while (fd_ < 0 && errno == EINTR);
    if (fd_ < 0) fail_write(path, errno);
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;

  void write_all(Bytes bytes) {
    while (!bytes.empty()) {
      const ssize_t wrote = ::write(fd_, bytes.data(), bytes.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) fail_write(path_, errno);
      bytes = bytes.subspan(static_cast<std::size_t>(wrote));
    }
  }
  void sync() {
    while (::fsync(fd_) != 0) {
      if (errno == EINTR) continue;
      if (errno == EINVAL || errno == EROFS)
        return;  // not a file system that syncs (some network mounts' folders)
      fail_write(path_, errno);
    }
  }
  void close() {
    const int fd = std::exchange(fd_, -1);
    if (::close(fd) != 0 && errno != EINTR)
      fail_write(path_, errno);  // NFS reports a full disk here
  }

 private:
  const std::string& path_;
  int fd_ = -1;
};

std::string folder_of(const std::string& path) {
  const std::string dir = fs::path(path).parent_path().string();
  return dir.empty() ? "." : dir;
}

void sync_path(const std::string& path, int flags) {
  Fd fd(path, flags);
  fd.sync();
  fd.close();
}

// The pid in NAME.tmp-<pid>, or 0 for any other name.
pid_t pid_of_leftover(const std::string& name) {
  const auto at = name.rfind(".tmp-");
  if (at == std::string::npos) return 0;
  long pid = 0;
  const char* first = name.data() + at + 5;
  const char* last = name.data() + name.size();
  const auto [end, error] = std::from_chars(first, last, pid);
  return error == std::errc() && end == last && pid > 0 && pid <= 0x7fffffff
             ? static_cast<pid_t>(pid)
             : 0;
}

}  // namespace

std::string tmp_name(const std::string& path) {
  return path + ".tmp-" + std::to_string(::getpid());
}

void write_file_atomic(const std::string& path, Bytes bytes) {
  AtomicPath target(path);
  {
    Fd fd(target.tmp(), O_WRONLY | O_CREAT | O_TRUNC);
    fd.write_all(bytes);
    fd.close();
  }
  target.commit();
}

AtomicPath::AtomicPath(std::string path) : path_(std::move(path)), tmp_(tmp_name(path_)) {}

AtomicPath::~AtomicPath() {
  if (!committed_) ::unlink(tmp_.c_str());
}

void AtomicPath::commit() {
  fsync_file(tmp_);
  rename_durable(tmp_, path_);
  committed_ = true;
}

void rename_durable(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_write(to, errno);
  fsync_dir(folder_of(to));
}

void fsync_file(const std::string& path) { sync_path(path, O_RDONLY); }
void fsync_dir(const std::string& dir) { sync_path(dir, O_RDONLY | O_DIRECTORY); }

int remove_leftovers(const std::string& dir) {
  int removed = 0;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const pid_t pid = pid_of_leftover(it->path().filename().string());
    if (pid == 0) continue;
    const bool gone = pid == ::getpid() || (::kill(pid, 0) != 0 && errno == ESRCH);
    if (!gone) continue;
    std::error_code failed;
    fs::remove_all(it->path(), failed);
    if (failed)
      fail_io("cannot remove " + it->path().string() + ": " + failed.message() +
              "; remove it by hand");
    ++removed;
  }
  if (error)
    fail_io("cannot list " + dir + ": " + error.message() + "; check that the folder may be read");
  return removed;
}

std::string read_file(const std::string& path, std::uint64_t max_bytes) {
  const std::uint64_t size = [&] {
    struct stat info;
    if (::stat(path.c_str(), &info) != 0) {
      fail_data("cannot read " + path + ": " + std::strerror(errno) + "; check the path");
    }
    if (!S_ISREG(info.st_mode))
      fail_data("cannot read " + path + ": it is not a regular file; name a file");
    return static_cast<std::uint64_t>(info.st_size);
  }();
  if (size > max_bytes) {
    fail_data("cannot read " + path + ": it has " + std::to_string(size) +
              " bytes, more than the " + std::to_string(max_bytes) +
              " allowed here; check that it is the right file");
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    fail_io("cannot read " + path + ": " + std::strerror(errno) + "; check its permissions");
  std::string text(static_cast<std::size_t>(size), '\0');
  std::size_t have = 0;
  int error = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(fd, text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) error = errno;
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
  }
  ::close(fd);
  if (error != 0) fail_io("cannot read " + path + ": " + std::strerror(error) + "; check the disk");
  text.resize(
      have);  // shorter when the file shrank meanwhile; the caller's parser or hash finds that
  return text;
}

std::uint64_t file_bytes(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0)
    fail_data("cannot read " + path + ": " + std::strerror(errno) + "; check the path");
  if (!S_ISREG(info.st_mode))
    fail_data("cannot read " + path + ": it is not a regular file; links and folders are refused");
  return static_cast<std::uint64_t>(info.st_size);
}

bool file_exists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

void make_dirs(const std::string& dir) {
  std::error_code error;
  fs::create_directories(dir, error);
  if (!error && !fs::is_directory(dir, error))
    error = std::make_error_code(std::errc::not_a_directory);
  if (error)
    fail_io("cannot create folder " + dir + ": " + error.message() + "; choose another --out");
}

void check_writable(const std::string& dir) {
  const AtomicPath probe((fs::path(dir) / "probe").string());
  Fd fd(probe.tmp(), O_WRONLY | O_CREAT | O_TRUNC);
  fd.write_all(bytes_of("x"));
  fd.close();
}

std::uint64_t free_bytes(const std::string& dir) {
  struct statvfs info;
  if (::statvfs(dir.c_str(), &info) != 0) {
    fail_io("cannot measure the space in " + dir + ": " + std::strerror(errno) +
            "; check that the folder exists");
  }
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace rollmill
