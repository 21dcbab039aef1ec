#include "cli/output.h"

#include <unistd.h>
#include <fmt/core.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>

#include "core/base/error.h"

namespace rollmill {
namespace {

// Set by a signal that any thread may get, asked for by all of them: lock-free atomics, which a handler may touch.
std::atomic<int> received{0};
std::atomic<std::int64_t> received_at{0};
std::atomic<bool> nothing_begun{false};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

std::int64_t milliseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{1000} * now.tv_sec + now.tv_nsec / 1'000'000;
}

[[noreturn]] void leave(int number) {
  constexpr char kWhy[] = "rollmill: stopped before it began\n";
  if (nothing_begun.load(std::memory_order_relaxed) &&
      ::write(STDERR_FILENO, kWhy, sizeof kWhy - 1) < 0) {}
  _exit(number == SIGINT ? 130 : 75);
}

// Slurm signals every process of a job, and launchers (torchrun, rollmill sweep) pass on what they get: the same request
// may come twice within moments. A person's second one comes later.
void on_signal(int number) {
  if (nothing_begun.load(std::memory_order_relaxed)) leave(number);
  if (received != 0) {
    if (milliseconds() - received_at < 200) return;
    leave(number);
  }
  received_at = milliseconds();
  received = number;
}

}  // namespace

void print_out(const std::string& text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t n = write(STDOUT_FILENO, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) return;  // the reader has seen enough
    if (n < 0) fail_io(std::string("cannot write to standard output: ") + std::strerror(errno));
    at += static_cast<std::size_t>(n);
  }
}

void install_signal_handlers() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (int number : {SIGINT, SIGTERM, SIGUSR1}) sigaction(number, &action, nullptr);
  std::signal(SIGHUP, SIG_IGN);  // a lost terminal must not end a job
}

void restore_signal_handlers() {
  for (int number : {SIGINT, SIGTERM, SIGUSR1}) std::signal(number, SIG_DFL);
}

LeaveOnSignal::LeaveOnSignal() {
  nothing_begun = true;
  if (received != 0) leave(received);
}
LeaveOnSignal::~LeaveOnSignal() { nothing_begun = false; }

int stop_signal() { return received; }

std::string human(double v) {
  if (v >= 1e9) return fmt::format("{:.2f} G", v / 1e9);
  if (v >= 1e6) return fmt::format("{:.2f} M", v / 1e6);
  if (v >= 1e4) return fmt::format("{:.1f} k", v / 1e3);
  return fmt::format("{:.0f}", v);
}

}  // namespace rollmill
