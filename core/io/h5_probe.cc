// HDF5's parser crashes on some damaged files (a flipped bit in an object header is enough for 1.10). So a file of
// unknown origin is first read whole in a forked child under limits of memory and time; only what the child survives
// is opened in this process. Forked, not executed anew: whether a parser that reads beyond its buffer crashes depends on what
// lies behind it, and a fork has the same there.
//
// A fork also has whatever locks other threads held. glibc's allocator looks after its own; AddressSanitizer's of GCC 12 and
// some that are preloaded do not, and the child waits for ever. So it must show headway, or another one is tried.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "core/base/error.h"
#include "core/io/h5_internal.h"

namespace rollmill::h5 {

namespace {

constexpr std::uint64_t kMemory = std::uint64_t{2} << 30;  // beyond what this process has mapped
constexpr std::uint64_t kBufferBytes = std::uint64_t{16} << 20;
constexpr int kAttempts = 3;

// What the child writes: headway, what went wrong (nothing if nothing did), and that this is all of it, however it ends.
constexpr char kHeadway = '\x05', kWhole = '\x04';

using Clock = std::chrono::steady_clock;

// more: the hard limit's distance. (Of CPU time only the soft one is a SIGXCPU, the hard one a SIGKILL.)
void limit(int resource, std::uint64_t value, std::uint64_t more = 0) {
  const rlimit both{value, value + more};
  ::setrlimit(static_cast<__rlimit_resource_t>(resource), &both);
}

std::uint64_t mapped_bytes() {
  unsigned long pages = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%lu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return std::uint64_t{pages} * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void restrict_child(pid_t parent, std::uint64_t file_bytes) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGXCPU})
    ::signal(number, SIG_DFL);
  // Those that reach all processes of a job at once are for the parent to act on: this one ends soon.
  sigset_t others;
  ::sigemptyset(&others);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2})
    ::sigaddset(&others, number);
  ::sigprocmask(SIG_SETMASK, &others, nullptr);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, 5 + file_bytes / (std::uint64_t{20} << 20), 2);
  if (const std::uint64_t mapped = mapped_bytes(); mapped > 0) limit(RLIMIT_AS, mapped + kMemory);
}

void say(int pipe, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t n = ::write(pipe, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(1);
    at += static_cast<std::size_t>(n);
  }
}

void read_everything(const H5Group& root, const std::vector<std::string>& paths, int pipe) {
  std::vector<std::byte> buffer;
  for (const std::string& path : paths) {
    const H5Dataset dataset = root.open_dataset(path);
    if (dataset.row_bytes() == 0) continue;
    const std::uint64_t step = std::max<std::uint64_t>(1, kBufferBytes / dataset.row_bytes());
    for (std::uint64_t row = 0; row < dataset.rows(); row += step) {
      const std::uint64_t end = std::min(dataset.rows(), row + step);
      buffer.resize(static_cast<std::size_t>((end - row) * dataset.row_bytes()));
      dataset.read_rows(row, end, buffer);
      say(pipe, {kHeadway});
    }
  }
}

// In the child: never returns.
[[noreturn]] void run_child(int pipe, pid_t parent, const std::string& path,
                            std::uint64_t file_bytes, const H5Limits& limits) noexcept {
  restrict_child(parent, file_bytes);
  std::string message;
  try {
    H5File file = H5File::open_readonly(path);
    read_everything(file.root(), inspect(path, file.id(), file_bytes, limits), pipe);
    file.close();  // closing parses too
  } catch (const Error& error) {
    message = error.what();
  } catch (...) {
    message = "cannot read " + path + ": reading it takes more memory than it may; refused";
  }
  say(pipe, message + kWhole);
  ::_exit(0);
}

struct Answer {
  std::string text;  // what came after the last sign of headway
  bool headway = false, late = false;
};

Answer read_answer(int pipe, std::chrono::milliseconds patience) {
  Answer answer;
  char part[4096];
  auto end = Clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd wait{pipe, POLLIN, 0};
    const int ready = left <= 0 ? 0 : ::poll(&wait, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    answer.late = ready == 0;
    if (answer.late) return answer;
    const ssize_t got = ::read(pipe, part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return answer;
    answer.text.append(part, static_cast<std::size_t>(got));
    if (const auto at = answer.text.rfind(kHeadway); at != answer.text.npos) {
      answer.headway = true;
      answer.text.erase(0, at + 1);
    }
    end = Clock::now() + patience;
  }
}

// Of one child. late: also where it used up its time.
Answer probe_once(const std::string& path, std::uint64_t file_bytes, const H5Limits& limits) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    fail_io("cannot make a pipe to read " + path + ": " + std::strerror(errno) +
            "; raise ulimit -n");
  const pid_t parent = ::getpid(), child = ::fork();
  const int error = errno;
  if (child == 0) run_child(ends[1], parent, path, file_bytes, limits);
  ::close(ends[1]);
  Answer answer;
  if (child > 0) answer = read_answer(ends[0], limits.patience);
  ::close(ends[0]);
  if (child < 0)
    fail_io("cannot start a process to read " + path + ": " + std::strerror(error) +
            "; raise ulimit -u");
  if (answer.late) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) answer.late = true;
  return answer;
}

}  // namespace

void probe_in_child(const std::string& path, std::uint64_t file_bytes, const H5Limits& limits) {
  Answer answer;
  // Once a part of the file has been read, what is allocated has been allocated before: who stands still then has another reason
  // than a lock.
  for (int k = 0; k < kAttempts; ++k) {
    answer = probe_once(path, file_bytes, limits);
    if (answer.headway || !answer.late) break;
  }
  if (answer.text.empty() || answer.text.back() != kWhole)
    fail_data("cannot read " + path +
              (answer.late ? ": reading it makes no headway; the file is damaged or hostile, or "
                             "its disk does not answer"
                           : ": it crashes HDF5's parser; the file is damaged or hostile"));
  answer.text.pop_back();
  if (!answer.text.empty()) fail_data(answer.text);
}

}  // namespace rollmill::h5
