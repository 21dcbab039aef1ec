#include "core/log/progress.h"

#include "core/log/console.h"

namespace rollmill {
namespace {

constexpr std::chrono::milliseconds kLiveInterval{100};
constexpr std::chrono::seconds kPlainInterval{5};

}  // namespace

Progress::Progress(bool quiet, int rank)
    : silent_(quiet || rank != 0),
      terminal_(!silent_ && stderr_is_terminal()),
      next_(Clock::now()) {}

Progress::~Progress() {
  if (!finished_) finish(last_printed_ ? "" : last_);
}

bool Progress::due() const { return !silent_ && !finished_ && Clock::now() >= next_; }

void Progress::update(const std::string& line) {
  if (silent_ || finished_) return;
  last_ = line;
  last_printed_ = false;
  const Clock::time_point now = Clock::now();
  if (now < next_) return;
  if (terminal_) {
    next_ = now + kLiveInterval;
    Console::get().set_live_line(line);
  } else {
    next_ = now + kPlainInterval;
    Console::get().print_line(line);
    last_printed_ = true;
  }
}

void Progress::finish(const std::string& line) {
  if (finished_) return;
  finished_ = true;
  if (silent_) return;
  if (terminal_) Console::get().clear_live_line();
  if (!line.empty()) Console::get().print_line(line);
}

}  // namespace rollmill
