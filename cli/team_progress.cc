#include "cli/team_progress.h"

#include "core/log/console.h"

namespace rollmill {

TeamProgress::TeamProgress(bool quiet, Progress::Style style, int members)
    : quiet_(quiet),
      live_(style == Progress::Style::kLive && stderr_is_terminal()),
      progress_(quiet, 0, style),
      lines_(static_cast<std::size_t>(members)) {}

TeamProgress::~TeamProgress() {
  if (live_) progress_.update("");
  progress_.finish("");
}

bool TeamProgress::due() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return progress_.due();
}

// All lines, or as many as a small terminal has rows for.
void TeamProgress::show() {
  std::string all;
  for (std::size_t m = 0, shown = 0; m < lines_.size(); ++m) {
    if (lines_[m].empty()) continue;
    if (live_ && shown > 0 && !progress_.has_room(1, static_cast<int>(shown) + 2)) break;
    all += (all.empty() ? "" : "\n") + lines_[m];
    ++shown;
  }
  if (live_ || !all.empty()) progress_.update(all);
}

void TeamProgress::update(int member, const std::string& line) {
  const std::lock_guard<std::mutex> lock(mutex_);
  lines_[static_cast<std::size_t>(member)] = line;
  show();
}

void TeamProgress::finish(int member, const std::string& line) {
  const std::lock_guard<std::mutex> lock(mutex_);
  lines_[static_cast<std::size_t>(member)].clear();
  if (live_) show();
  if (!quiet_) Console::get().print_line(line);
}

void TeamProgress::clear(int member) {
  const std::lock_guard<std::mutex> lock(mutex_);
  lines_[static_cast<std::size_t>(member)].clear();
  if (live_) show();
}

}  // namespace rollmill
