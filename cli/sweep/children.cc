#include "cli/sweep/children.h"

#include <fcntl.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/base/error.h"

namespace rollmill {
namespace {

constexpr int kStopSignals[] = {SIGINT, SIGTERM, SIGUSR1};

// Between fork and exec: system calls only.
[[noreturn]] void become(char* const* argv, int log, pid_t parent, const sigset_t& mask) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(75);  // it died before the line above
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
      dup2(log, STDERR_FILENO) < 0)
    _exit(126);
  for (const int number : kStopSignals) std::signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  // Not by its path: a program that was built anew in the meantime is another one, with other bits.
  execv("/proc/self/exe", argv);
  _exit(127);
}

}  // namespace

Children::~Children() {
  signal_all(SIGTERM);
  for (const Child& child : running_) {
    while (waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {}
  }
}

void Children::start(std::size_t id, const std::vector<std::string>& arguments,
                     const std::string& log) {
  const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (file < 0) fail_io("cannot write " + log + ": " + std::strerror(errno));
  std::vector<std::string> words = {"rollmill"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  // A signal for the child in this moment must find a process that obeys it, not this one's handlers.
  sigset_t blocked, before;
  sigemptyset(&blocked);
  for (const int number : kStopSignals) sigaddset(&blocked, number);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become(argv.data(), file, parent, before);
  const int error = errno;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  close(file);
  if (pid < 0)
    fail_io(std::string("cannot start a training process: ") + std::strerror(error) +
            "; lower --jobs");
  setpgid(pid, pid);  // as the child does: whoever comes first
  running_.push_back({pid, id});
}

std::vector<Children::Ended> Children::take_ended() {
  std::vector<Ended> ended;
  for (const Child& child : running_) {
    int status = 0;
    const pid_t pid = waitpid(child.pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR)) continue;
    const bool by_signal = pid > 0 && WIFSIGNALED(status);
    ended.push_back({child.id, pid < 0     ? 127
                               : by_signal ? 128 + WTERMSIG(status)
                                           : WEXITSTATUS(status)});
  }
  std::erase_if(running_, [&](const Child& child) {
    return std::any_of(ended.begin(), ended.end(),
                       [&](const Ended& e) { return e.id == child.id; });
  });
  return ended;
}

void Children::signal_all(int number) const {
  for (const Child& child : running_) kill(child.pid, number);
}

}  // namespace rollmill
