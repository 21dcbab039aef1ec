// Progress of several jobs at once in this process, a line each (core/log/progress.h shows one). Calls from any thread.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "core/log/progress.h"

namespace rollmill {

class TeamProgress {
 public:
  TeamProgress(bool quiet, Progress::Style style, int members);
  ~TeamProgress();  // takes live lines off the screen

  // Whether update() would show something now: guards costly formatting.
  bool due();
  void update(int member, const std::string& line);
  // A last, lasting line above those of the others, in the place of the member's.
  void finish(int member, const std::string& line);
  // The member has nothing to show any more, or not yet.
  void clear(int member);

 private:
  void show();

  std::mutex mutex_;
  bool quiet_, live_;
  Progress progress_;
  std::vector<std::string> lines_;  // "": nothing to show
};

}  // namespace rollmill
