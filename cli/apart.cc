#include "cli/apart.h"

#include <fcntl.h>
#include <unistd.h>
#include <fmt/core.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.h"

namespace rollmill {
namespace {

// Its last byte says that all of it is there, whatever else the process writes or how it ends.
constexpr char kWhole = '\x04';

[[noreturn]] void run_child(int pipe, const std::function<std::string()>& body) {
  const std::string text = body() + kWhole;
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t n = ::write(pipe, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(1);
    at += static_cast<std::size_t>(n);
  }
  ::_exit(0);
}

std::string read_all(int pipe) {
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t n = ::read(pipe, part, sizeof part);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(part, static_cast<std::size_t>(n));
  }
}

}  // namespace

ApartResult run_apart(const std::function<std::string()>& body) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    fail_io(std::string("cannot make a pipe: ") + std::strerror(errno) + "; raise ulimit -n");
  const pid_t child = ::fork();
  const int error = errno;
  if (child == 0) run_child(ends[1], body);
  ::close(ends[1]);
  ApartResult result;
  if (child > 0) result.text = read_all(ends[0]);
  ::close(ends[0]);
  if (child < 0)
    fail_io(std::string("cannot start a process: ") + std::strerror(error) + "; raise ulimit -u");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    result.death = fmt::format("crashed with signal {} ({})", number, ::strsignal(number));
  } else if (result.text.empty() || result.text.back() != kWhole) {
    result.death = fmt::format("ended the process (exit code {})", WEXITSTATUS(status));
  } else {
    result.text.pop_back();
  }
  return result;
}

}  // namespace rollmill
