// The one way to stderr. Log lines and the live progress line share the terminal through it, so
// neither garbles the other. Writes are whole and unbuffered; a closed, full or broken stderr is
// ignored: it must not stop a job of days.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

namespace rollmill {

// Call first thing in main. Opens /dev/null for each of stdin, stdout, stderr that is closed (else
// the next file opened would take its number and receive our messages) and ignores SIGPIPE (a
// vanished `| head` must not kill a run; writes to stdout then fail with EPIPE instead).
void prepare_standard_streams();

class Console {
 public:
  static Console& get();

  // Prints one line; `text` has no line break at its end. The live line, if any, stays below it.
  void print_line(std::string_view text);

  // Rewrites the live line in place, cut to the terminal's width. Only for terminals.
  void set_live_line(std::string_view text);

  // Removes the live line from the screen.
  void clear_live_line();

 private:
  std::mutex mutex_;
  std::string live_;
};

// Whether stderr is a terminal that understands "\r" and "erase to the end of the line".
bool stderr_is_terminal();

// `text` cut to at most `columns` terminal columns, whole UTF-8 characters only; control characters
// become spaces.
std::string fit_columns(std::string_view text, int columns);

}  // namespace rollmill
