// The one way to stderr. Log lines and the live display (one line, or a block of some) share the terminal through it, so
// neither garbles the other. Writes are whole and unbuffered; a closed, full or broken stderr is
// ignored: it must not stop a job of days.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

namespace rollmill {

// Call first thing in main. Opens /dev/null for each of stdin, stdout, stderr that is closed (else
// the next file opened would take its number and receive our messages), ignores SIGPIPE and SIGXFSZ
// (a vanished `| head` or a limit on files must not kill a run: writes fail with EPIPE or EFBIG
// instead), and does not ignore SIGCHLD, whatever the launcher does.
void prepare_standard_streams();

struct ConsoleSize {
  int columns = 80, rows = 24;
};

class Console {
 public:
  static Console& get();

  // Prints one line; `text` has no line break at its end. The live display, if any, stays below it.
  void print_line(std::string_view text);

  // Rewrites the live display in place, each line cut to the terminal's width; lines are parted by '\n'. Where the window
  // has become narrower since, the rows that the old lines take by now are counted. Only for terminals.
  void set_live(std::string_view text);

  // Removes the live display from the screen.
  void clear_live();

  // Leaves the live display on the screen for good; what follows goes below it.
  void keep_live();

 private:
  std::string to_start_of_live() const;

  std::mutex mutex_;
  std::string live_;
};

// Of stderr's window; 80 x 24 where it does not tell.
ConsoleSize console_size();

// Whether the environment (LC_ALL, LC_CTYPE, LANG, the first that is set) says that the terminal shows UTF-8.
bool console_is_utf8();

// Whether stderr is a terminal that understands "\r" and "erase to the end of the line".
bool stderr_is_terminal();

// Columns that `text` may take in a terminal, counted as below.
int text_columns(std::string_view text);

// `text` cut to at most `columns` terminal columns, whole UTF-8 characters only; control characters
// become spaces. Counted wide where in doubt: all from U+1000 on but box drawing and block elements (U+2500 to U+259F).
std::string fit_columns(std::string_view text, int columns);

}  // namespace rollmill
