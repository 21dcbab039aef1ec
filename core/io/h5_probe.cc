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
#include <cstdio>
#include <cstring>

#include "core/base/error.h"
#include "core/io/h5_internal.h"

namespace rollmill::h5 {

namespace {

constexpr std::uint64_t kMemory = std::uint64_t{2} << 30;  // beyond what this process has mapped
constexpr std::uint64_t kBufferBytes = std::uint64_t{16} << 20;
constexpr int kPatience = 20'000;  // ms without a sign of headway: one a buffer read
constexpr int kAttempts = 3;

// What the child writes: headway, what went wrong (nothing if nothing did), and that this is all of it, however it ends.
constexpr char kHeadway = '\x05', kWhole = '\x04';

void limit(int resource, std::uint64_t value) {
  const rlimit both{value, value};
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
  ::sigprocmask(SIG_BLOCK, &others, nullptr);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, 5 + file_bytes / (std::uint64_t{20} << 20));
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
                            std::uint64_t file_bytes, const H5Limits& limits) {
  restrict_child(parent, file_bytes);
  std::string message;
  try {
    H5File file = H5File::open_readonly(path);
    const std::vector<std::string> datasets = inspect(path, file.id(), file_bytes, limits);
    say(pipe, {kHeadway});
    read_everything(file.root(), datasets, pipe);
    file.close();  // closing parses too
  } catch (const Error& error) {
    message = error.what();
  } catch (...) {
    message = "cannot read " + path + ": reading it takes more memory than it may; refused";
  }
  say(pipe, message + kWhole);
  ::_exit(0);
}

// What the child says after its last sign of headway; `late` where the next one does not come in time.
std::string read_message(int pipe, bool& late) {
  std::string message;
  char part[4096];
  for (;;) {
    pollfd wait{pipe, POLLIN, 0};
    const int ready = ::poll(&wait, 1, kPatience);
    if (ready < 0 && errno == EINTR) continue;
    late = ready == 0;
    if (late) return message;
    const ssize_t got = ::read(pipe, part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return message;
    message.append(part, static_cast<std::size_t>(got));
    message.erase(0, message.rfind(kHeadway) + 1);  // (npos + 1 is 0)
  }
}

// One child. False where it was late, or used up its time; what it said is in `message`.
bool probe_once(const std::string& path, std::uint64_t file_bytes, const H5Limits& limits,
                std::string& message) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    fail_io("cannot make a pipe to read " + path + ": " + std::strerror(errno) +
            "; raise ulimit -n");
  const pid_t parent = ::getpid(), child = ::fork();
  const int error = errno;
  if (child == 0) run_child(ends[1], parent, path, file_bytes, limits);
  ::close(ends[1]);
  bool late = false;
  message = child > 0 ? read_message(ends[0], late) : "";
  ::close(ends[0]);
  if (child < 0)
    fail_io("cannot start a process to read " + path + ": " + std::strerror(error) +
            "; raise ulimit -u");
  if (late) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return !late && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
}

}  // namespace

void probe_in_child(const std::string& path, std::uint64_t file_bytes, const H5Limits& limits) {
  std::string message;
  for (int k = 0; k < kAttempts && !probe_once(path, file_bytes, limits, message); ++k) {}
  if (message.empty() || message.back() != kWhole)
    fail_data("cannot read " + path +
              ": it crashes HDF5's parser or never ends; the file is damaged or hostile");
  message.pop_back();
  if (!message.empty()) fail_data(message);
}

}  // namespace rollmill::h5
