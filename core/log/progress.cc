#include "core/log/progress.h"

#include "core/log/console.h"

namespace rollmill {
namespace {

constexpr std::chrono::milliseconds kLiveInterval{100};
constexpr std::chrono::seconds kPlainInterval{5};

}  // namespace

Progress::Progress(bool quiet, int rank, Style style)
    : silent_(quiet || rank != 0),
      terminal_(!silent_ && style == Style::kLive && stderr_is_terminal()),
      next_(Clock::now()) {}

Progress::~Progress() {
  if (!finished_) finish(last_printed_ ? "" : last_);
}

bool Progress::has_room(int columns, int rows) const {
  const ConsoleSize size = console_size();
  return terminal_ && size.columns >= columns && size.rows >= rows;
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
    Console::get().set_live(line);
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
  const bool block = terminal_ && last_.find('\n') != std::string::npos;
  if (block) {
    Console::get().set_live(last_);
    Console::get().keep_live();
  } else if (terminal_) {
    Console::get().clear_live();
  }
  if (!line.empty() && !(block && line == last_)) Console::get().print_line(line);
}

}  // namespace rollmill
