// Progress of a long job on stderr. On a terminal one live line or a block of some, rewritten in place at most 10
// times a second; elsewhere plain lines, at most one every 5 seconds, and always the last. Log
// lines pass above it undisturbed.
#pragma once

#include <chrono>
#include <string>

namespace rollmill {

class Progress {
 public:
  enum class Style { kLive, kPlain };  // kPlain: as if there were no terminal

  // Shows nothing when quiet or when this is not rank 0. One live Progress at a time.
  explicit Progress(bool quiet, int rank = 0, Style style = Style::kLive);
  // Keeps the last line that was given, as finish() would: after an error one sees how far it came.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Whether update() would show something now: guards costly formatting.
  bool due() const;

  // Whether a block of that size may be given to update() instead of a line.
  bool has_room(int columns, int rows) const;

  // Shows `line` (no line break at its end; several lines only where has_room()) if it is time to.
  void update(const std::string& line);

  // Replaces the live line by a last, lasting one; "" leaves nothing new. A block stays above it, as it was given last.
  // Later calls do nothing.
  void finish(const std::string& line);

 private:
  using Clock = std::chrono::steady_clock;

  bool silent_;
  bool terminal_;
  bool finished_ = false;
  Clock::time_point next_;  // when the next update may show
  std::string last_;        // given last
  bool last_printed_ = false;
};

}  // namespace rollmill
