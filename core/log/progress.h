// Progress of a long job on stderr. On a terminal one live line, rewritten in place at most 10
// times a second; elsewhere plain lines, at most one every 5 seconds, and always the last. Log
// lines pass above it undisturbed.
#pragma once

#include <chrono>
#include <string>

namespace rollmill {

class Progress {
 public:
  // Shows nothing when quiet or when this is not rank 0. One live Progress at a time.
  explicit Progress(bool quiet, int rank = 0);
  // Keeps the last line that was given, as finish() would: after an error one sees how far it came.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Whether update() would show something now: guards costly formatting.
  bool due() const;

  // Shows `line` (one line, no line break) if it is time to.
  void update(const std::string& line);

  // Replaces the live line by a last, lasting one; "" leaves nothing new. Later calls do nothing.
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
