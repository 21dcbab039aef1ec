// What a command answers on standard output, and the signals that ask it to stop.
#pragma once

#include <string>

namespace rollmill {

// Writes all of it; a closed pipe or full disk is an Error(kIo).
void print_out(const std::string& text);

// SIGINT, SIGTERM and SIGUSR1 set a flag that jobs poll; a second one of any, 0.2 s or more later, leaves at once (exit 130 or
// 75).
void install_signal_handlers();
// While it lives a signal ends the process at once: nothing has begun, and the wait for other ranks may be long.
class LeaveOnSignal {
 public:
  LeaveOnSignal();
  ~LeaveOnSignal();
  LeaveOnSignal(const LeaveOnSignal&) = delete;
  LeaveOnSignal& operator=(const LeaveOnSignal&) = delete;
};
// Back to the system's defaults: for work after which nothing is lost.
void restore_signal_handlers();
// 0 or the signal's number.
int stop_signal();

// "1.23 M" and the like, for people.
std::string human(double value);

}  // namespace rollmill
