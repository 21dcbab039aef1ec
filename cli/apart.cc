#include "cli/apart.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "core/base/error.h"

namespace rollmill {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kLongest = 60'000;  // ms of one poll

// Its last byte says that all of it is there, whatever else the process writes or how it ends.
constexpr char kWhole = '\x04';

[[noreturn]] void run_child(int pipe, pid_t parent,
                            const std::function<std::string()>& body) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it died before the line above
  const std::string text = body() + kWhole;
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t n = ::write(pipe, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(1);
    at += static_cast<std::size_t>(n);
  }
  ::_exit(0);
}

// Everything up to the pipe's end; less where that does not come in time.
std::string read_all(int pipe, Clock::time_point end, bool& late) {
  std::string text;
  char part[4096];
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd wait{pipe, POLLIN, 0};
    const int ready = left <= 0 ? 0 : ::poll(&wait, 1, static_cast<int>(std::min(left, kLongest)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      late = Clock::now() >= end;
      if (late) return text;
      continue;
    }
    const ssize_t n = ::read(pipe, part, sizeof part);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(part, static_cast<std::size_t>(n));
  }
}

}  // namespace

ApartResult run_apart(const std::function<std::string()>& body, std::chrono::milliseconds limit) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    fail_io(std::string("cannot make a pipe: ") + std::strerror(errno) + "; raise ulimit -n");
  const pid_t parent = ::getpid(), child = ::fork();
  const int error = errno;
  if (child == 0) run_child(ends[1], parent, body);
  ::close(ends[1]);
  ApartResult result;
  if (child > 0) result.text = read_all(ends[0], Clock::now() + limit, result.late);
  ::close(ends[0]);
  if (child < 0)
    fail_io(std::string("cannot start a process: ") + std::strerror(error) + "; raise ulimit -u");
  if (result.late) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (result.late) {
    result.death =
        fmt::format("did not end within {:g} s", std::chrono::duration<double>(limit).count());
  } else if (WIFSIGNALED(status)) {
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
