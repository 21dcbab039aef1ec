// HDF5's parser crashes on some damaged files (a flipped bit in an object header is enough for 1.10). So a file of
// unknown origin is first read whole in a child process under limits of memory and time; only what the child survives
// is opened in this process.
//
// The child is this program, executed anew. A child that was only forked has one thread and whatever locks others held at
// the fork, in an allocator say, and would wait for them for ever; of a process with a GPU's memory mapped, forking is slow.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
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

void restrict_self(std::uint64_t file_bytes) {
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

// The child's command line: what makes this program a probe, the file, then these numbers.
constexpr char kProbe[] = "--rollmill-h5-probe";

std::array<std::uint64_t, 6> numbers_of(std::uint64_t file_bytes, const H5Limits& limits) {
  return {file_bytes,
          limits.max_chunk_bytes,
          static_cast<std::uint64_t>(limits.max_objects),
          static_cast<std::uint64_t>(limits.max_depth),
          static_cast<std::uint64_t>(limits.max_rank),
          static_cast<std::uint64_t>(limits.max_attributes)};
}

// The first byte that the child writes: it is the probe. What goes wrong follows as text.
constexpr char kBegun = '\x05';

[[noreturn]] void probe(const std::string& path, std::uint64_t file_bytes, const H5Limits& limits) {
  restrict_self(file_bytes);
  if (::write(STDOUT_FILENO, &kBegun, 1) != 1) ::_exit(0);
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
  const ssize_t written = message.empty() ? 0
                                          : ::write(STDOUT_FILENO, message.data(),
                                                    std::min<std::size_t>(message.size(), 4000));
  ::_exit(message.empty() || written < 0 ? 0 : 1);
}

// Before main(), of whatever program has this library: none needs to know of it. (Nothing that a probe uses is made by a
// constructor of this program's, whose order among them is unknown.)
__attribute__((constructor)) void probe_where_asked(int argc, char** argv) {
  std::array<std::uint64_t, 6> n{};
  if (argc != 3 + static_cast<int>(n.size()) || std::strcmp(argv[1], kProbe) != 0) return;
  for (std::size_t k = 0; k < n.size(); ++k) n[k] = std::strtoull(argv[3 + k], nullptr, 10);
  H5Limits limits;
  limits.max_chunk_bytes = n[1];
  limits.max_objects = static_cast<int>(n[2]);
  limits.max_depth = static_cast<int>(n[3]);
  limits.max_rank = static_cast<int>(n[4]);
  limits.max_attributes = static_cast<int>(n[5]);
  probe(argv[2], n[0], limits);
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

// This program as a probe, writing to `pipe`; -1 and errno where the system refuses.
pid_t spawn(const std::string& path, std::uint64_t file_bytes, const H5Limits& limits, int pipe) {
  std::vector<std::string> words = {"rollmill", kProbe, path};
  for (const std::uint64_t n : numbers_of(file_bytes, limits)) words.push_back(std::to_string(n));
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (::posix_spawn_file_actions_init(&actions) != 0) return -1;
  if (::posix_spawnattr_init(&attributes) != 0) return -1;
  ::posix_spawn_file_actions_adddup2(&actions, pipe, STDOUT_FILENO);
  // What this process ignores or keeps from itself would otherwise be the child's, too.
  sigset_t set;
  ::sigfillset(&set);
  ::posix_spawnattr_setsigdefault(&attributes, &set);
  ::sigemptyset(&set);
  ::posix_spawnattr_setsigmask(&attributes, &set);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  pid_t child = -1;
  const int error =
      ::posix_spawn(&child, "/proc/self/exe", &actions, &attributes, argv.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  errno = error;
  return error == 0 ? child : -1;
}

}  // namespace

void probe_in_child(const std::string& path, std::uint64_t file_bytes, const H5Limits& limits) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    fail_io("cannot make a pipe to read " + path + ": " + std::strerror(errno) +
            "; raise ulimit -n");
  const pid_t child = spawn(path, file_bytes, limits, ends[1]);
  const int error = errno;
  ::close(ends[1]);
  std::string message = child > 0 ? read_message(ends[0]) : "";
  ::close(ends[0]);
  if (child < 0)
    fail_io("cannot start a process to read " + path + ": " + std::strerror(error) +
            "; raise ulimit -u");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (message.empty() || message.front() != kBegun)
    fail_io("cannot read " + path + ": a process to read it ended before it began (wait status " +
            std::to_string(status) + "); is /proc/self/exe this program?");
  message.erase(0, 1);
  // An exit that the child did not choose counts as a crash too (a sanitizer's, say).
  if (WIFSIGNALED(status) || (message.empty() && WEXITSTATUS(status) != 0))
    fail_data("cannot read " + path +
              ": it crashes HDF5's parser or never ends; the file is damaged or hostile");
  if (!message.empty()) fail_data(message);
}

}  // namespace rollmill::h5
