#include "cli/terminal.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include <fmt/core.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "cli/output.h"
#include "core/base/error.h"

namespace rollmill {
namespace {

constexpr char kEscape = 27;
constexpr int kEscapeWaitMs =
    50;  // an arrow's bytes come together; a lone Escape is followed by nothing
constexpr const char* kEnter =
    "\x1b[?1049h\x1b[?25l\x1b[?7l";  // other screen, no cursor, no wrapping
constexpr const char* kLeave = "\x1b[?7h\x1b[?25h\x1b[?1049l";

constexpr int kLookMs = 200;             // from one look at the signals to the next
constexpr int kNothing = -2, kEnd = -1;  // of read_byte: no byte yet, none any more

volatile std::sig_atomic_t resized = 0;
void on_resize(int) { resized = 1; }

struct Rgb {
  int r = 0, g = 0, b = 0;
};

// The mean colour of a rectangle of pixels.
Rgb mean_of(const Picture& p, int x0, int y0, int x1, int y1) {
  std::int64_t r = 0, g = 0, b = 0;
  for (int y = y0; y < y1; ++y) {
    for (int x = x0; x < x1; ++x) {
      const std::uint8_t* pixel =
          p.rgb.data() + 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(p.width) +
                              static_cast<std::size_t>(x));
      r += pixel[0];
      g += pixel[1];
      b += pixel[2];
    }
  }
  const std::int64_t n = std::int64_t{x1 - x0} * (y1 - y0);
  return {static_cast<int>(r / n), static_cast<int>(g / n), static_cast<int>(b / n)};
}

}  // namespace

RawTerminal::RawTerminal() {
  if (tcgetattr(STDIN_FILENO, &before_) != 0) {
    fail_io(std::string("cannot use the terminal: ") + std::strerror(errno));
  }
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
  raw.c_iflag &= ~static_cast<tcflag_t>(IXON | ICRNL);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  raw.c_cc[VSUSP] = _POSIX_VDISABLE;  // stopped, it would leave the terminal raw
  if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) != 0) {
    fail_io(std::string("cannot use the terminal: ") + std::strerror(errno));
  }
  struct sigaction action = {};
  action.sa_handler = on_resize;
  sigaction(SIGWINCH, &action, nullptr);
  print_out(kEnter);
}

RawTerminal::~RawTerminal() {
  try {
    print_out(kLeave);
  } catch (const Error&) {  // nobody is there to see it
  }
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
}

int RawTerminal::read_byte(int timeout_ms) {
  pollfd waited = {STDIN_FILENO, POLLIN, 0};
  if (poll(&waited, 1, timeout_ms) <= 0) return kNothing;
  unsigned char byte = 0;
  return read(STDIN_FILENO, &byte, 1) == 1 ? byte : kEnd;
}

int RawTerminal::read_key() {
  int byte = kNothing;
  while (byte ==
         kNothing) {  // a signal between a look at the flag and the wait is seen at the next look
    if (stop_signal() != 0) return -1;
    if (resized != 0) {
      resized = 0;
      return 0;
    }
    byte = read_byte(kLookMs);
  }
  if (byte == kEnd) return -1;
  if (byte == 4) return -1;  // Ctrl-D
  if (byte != kEscape) return byte;
  const int kind = read_byte(kEscapeWaitMs);
  if (kind != '[' && kind != 'O') return 0;
  switch (read_byte(kEscapeWaitMs)) {
    case 'A': return 'w';
    case 'B': return 's';
    case 'C': return 'd';
    case 'D': return 'a';
    default: return 0;
  }
}

void RawTerminal::show(const std::string& text) {
  std::string out = "\x1b[H";  // home; each line is cut clean, and all below: no flicker
  for (const char c : text) {
    if (c == '\n') {
      out += "\x1b[K\r\n";
    } else {
      out += c;
    }
  }
  print_out(out + "\x1b[J");
}

TerminalSize terminal_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 10 || size.ws_row < 5)
    return {};
  return {size.ws_col, size.ws_row};
}

std::string half_blocks(const Picture& picture, int columns, int rows) {
  // Both axes shrink alike: a cell is two square pixels high.
  const int shrink = std::max({1, (picture.width + columns - 1) / std::max(columns, 1),
                               (picture.height + 2 * rows - 1) / std::max(2 * rows, 1)});
  const int width = std::max(1, picture.width / shrink),
            height = std::max(1, picture.height / shrink);
  const auto cell = [&](int x, int y) {
    return mean_of(picture, x * shrink, y * shrink, std::min((x + 1) * shrink, picture.width),
                   std::min((y + 1) * shrink, picture.height));
  };
  std::string out;
  for (int y = 0; y < height; y += 2) {
    std::string before;
    for (int x = 0; x < width; ++x) {
      const Rgb top = cell(x, y);
      std::string colors = fmt::format("\x1b[38;2;{};{};{}m", top.r, top.g, top.b);
      if (y + 1 < height) {
        const Rgb bottom = cell(x, y + 1);
        colors += fmt::format("\x1b[48;2;{};{};{}m", bottom.r, bottom.g, bottom.b);
      }
      if (colors != before) out += colors;
      before = colors;
      out += "\u2580";
    }
    out += "\x1b[0m\n";
  }
  return out;
}

}  // namespace rollmill
