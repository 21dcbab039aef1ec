// HDF5's parser crashes on some damaged files (a flipped bit in an object header is enough for 1.10). So a file of
// unknown origin is first read whole in a forked child under limits of memory and time; only what the child survives
// is opened in this process.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
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

void restrict_child(std::uint64_t file_bytes) {
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGXCPU, SIGTERM, SIGINT})
    ::signal(number, SIG_DFL);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, 5 + file_bytes / (std::uint64_t{20} << 20));
  if (const std::uint64_t mapped = mapped_bytes(); mapped > 0) limit(RLIMIT_AS, mapped + kMemory);
}

void read_everything(const H5Group& root, const std::vector<std::string>& paths) {
  std::vector<std::byte> buffer;
  for (const std::string& path : paths) {
    const H5Dataset dataset = root.open_dataset(path);
    if (dataset.row_bytes() == 0) continue;
    const std::uint64_t step = std::max<std::uint64_t>(1, kBufferBytes / dataset.row_bytes());
    for (std::uint64_t row = 0; row < dataset.rows(); row += step) {
      const std::uint64_t end = std::min(dataset.rows(), row + step);
      buffer.resize(static_cast<std::size_t>((end - row) * dataset.row_bytes()));
      dataset.read_rows(row, end, buffer);
    }
  }
}

// In the child: never returns. What goes wrong travels to the parent as text.
[[noreturn]] void run_child(int pipe, const std::string& path, std::uint64_t file_bytes,
                            const H5Limits& limits) {
  restrict_child(file_bytes);
  std::string message;
  try {
    H5File file = H5File::open_readonly(path);
    read_everything(file.root(), inspect(path, file.id(), file_bytes, limits));
    file.close();  // closing parses too
  } catch (const Error& error) {
    message = error.what();
  } catch (...) {
    message = "cannot read " + path + ": reading it takes more memory than it may; refused";
  }
  const ssize_t written =
      message.empty() ? 0
                      : ::write(pipe, message.data(), std::min<std::size_t>(message.size(), 4000));
  ::_exit(message.empty() || written < 0 ? 0 : 1);
}

std::string read_message(int pipe) {
  std::string message(4096, '\0');
  std::size_t have = 0;
  for (;;) {
    const ssize_t got = ::read(pipe, message.data() + have, message.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
  }
  message.resize(have);
  return message;
}

}  // namespace

void probe_in_child(const std::string& path, std::uint64_t file_bytes, const H5Limits& limits) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    fail_io("cannot make a pipe to read " + path + ": " + std::strerror(errno) +
            "; raise ulimit -n");
  const pid_t child = ::fork();
  if (child == 0) run_child(ends[1], path, file_bytes, limits);
  ::close(ends[1]);
  const int error = errno;
  const std::string message = child > 0 ? read_message(ends[0]) : "";
  ::close(ends[0]);
  if (child < 0)
    fail_io("cannot start a process to read " + path + ": " + std::strerror(error) +
            "; raise ulimit -u");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  // An exit that the child did not choose counts as a crash too (a sanitizer's, say).
  if (WIFSIGNALED(status) || (message.empty() && WEXITSTATUS(status) != 0))
    fail_data("cannot read " + path +
              ": it crashes HDF5's parser or never ends; the file is damaged or hostile");
  if (!message.empty()) fail_data(message);
}

}  // namespace rollmill::h5
