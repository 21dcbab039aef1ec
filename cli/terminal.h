// The terminal a person plays in: keys as they are pressed, a screen that is redrawn, and everything put back afterwards.
#pragma once

#include <termios.h>

#include <string>

#include "core/image/picture.h"

namespace rollmill {

// Raw keys, no echo, the alternate screen, no cursor: while it lives. Ctrl-C and SIGTERM set stop_signal() (cli/output.h).
class RawTerminal {
 public:
  RawTerminal();  // Error kIo where standard input is no terminal
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  // Waits for a key: its character; arrows are 'w', 'a', 's' and 'd'. 0: an unknown key, or the window changed. -1: the
  // input ended or a signal came.
  int read_key();
  // Replaces what the screen shows. Lines end with '\n'.
  void show(const std::string& text);

 private:
  int read_byte(int timeout_ms);

  termios before_{};
};

struct TerminalSize {
  int columns = 80, rows = 24;
};
TerminalSize terminal_size();

// A picture in character cells of two pixels each (upper half block, 24-bit colours), shrunk to fit.
std::string half_blocks(const Picture& picture, int columns, int rows);

}  // namespace rollmill
