#include "core/log/console.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

namespace rollmill {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";
constexpr std::string_view kEraseBelow = "\x1b[J";
// A character that turns out wider than it was counted must not wrap: the rows would be counted wrongly.
constexpr std::string_view kNoWrap = "\x1b[?7l", kWrap = "\x1b[?7h";
constexpr int kStalledMs = 200;  // how long a reader that does not read may hold us up

void write_stderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, text.data(), text.size());
    if (count > 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EAGAIN) {
      pollfd ready{STDERR_FILENO, POLLOUT, 0};
      if (::poll(&ready, 1, kStalledMs) <= 0) return;
    } else if (count == 0 || errno != EINTR) {
      return;
    }
  }
}

// Bytes of the character at text[i], and the columns it may take.
std::pair<std::size_t, int> character_at(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  std::size_t length = 1;
  while (byte(i) >= 0xc0 && i + length < text.size() && (byte(i + length) & 0xc0) == 0x80) ++length;
  // From U+1000 on (lead byte 0xe1) a character may be two columns wide: guess on the safe side, or the line wraps.
  const bool line_or_block =
      length == 3 && byte(i) == 0xe2 &&
      (byte(i + 1) == 0x94 || byte(i + 1) == 0x95 || (byte(i + 1) == 0x96 && byte(i + 2) <= 0x9f));
  return {length, byte(i) >= 0xe1 && !line_or_block ? 2 : 1};
}

bool is_block(std::string_view live) { return live.find('\n') != std::string_view::npos; }

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  std::size_t at = 0;
  for (std::size_t end; (end = text.find('\n', at)) != std::string_view::npos; at = end + 1)
    lines.push_back(text.substr(at, end - at));
  lines.push_back(text.substr(at));
  return lines;
}

}  // namespace

void prepare_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // open() takes the lowest free number, which is this one: those below it are open by now.
    if (::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) < 0) return;
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);  // ignored by whoever started this, no child's end could be told
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is an error of write(2), not a death
}

Console& Console::get() {
  static Console* console =
      new Console;  // never destroyed: destructors of other statics may still log
  return *console;
}

void Console::print_line(std::string_view text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string out;
  if (!live_.empty()) out += to_start_of_live();
  if (is_block(live_)) out += kEraseBelow;
  out += text;
  out += '\n';
  out += live_;
  write_stderr(out);
}

void Console::set_live(std::string_view text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string out = to_start_of_live(), fitted;
  const int room = console_size().columns - 1;  // a full row would wrap
  const bool block = is_block(text) || is_block(live_);
  if (block) out += kNoWrap;
  for (const std::string_view line : lines_of(text)) {
    if (line.data() != text.data()) {
      fitted += '\n';
      out += "\n\r\x1b[K";  // row by row: nothing is blank between two pictures
    }
    fitted += fit_columns(line, room);
    out += fit_columns(line, room);
  }
  if (block) out += std::string(kEraseBelow) + std::string(kWrap);
  live_ = fitted;
  write_stderr(out);
}

void Console::clear_live() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!live_.empty())
    write_stderr(to_start_of_live() + std::string(is_block(live_) ? kEraseBelow : ""));
  live_.clear();
}

void Console::keep_live() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!live_.empty()) write_stderr("\n");
  live_.clear();
}

// Takes the cursor from the end of the live display to its first row and blanks that row.
std::string Console::to_start_of_live() const {
  const int columns = console_size().columns;
  int rows = 0;
  for (const std::string_view line : lines_of(live_))
    rows += std::max(1, (text_columns(line) + columns - 1) / columns);
  std::string out;
  if (rows > 1) out = "\x1b[" + std::to_string(rows - 1) + "A";
  return out + std::string(kEraseLine);
}

ConsoleSize console_size() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  return {size.ws_col, size.ws_row};
}

bool console_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    return ::strcasestr(value, "utf-8") != nullptr || ::strcasestr(value, "utf8") != nullptr;
  }
  return false;
}

bool stderr_is_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && (term == nullptr || std::strcmp(term, "dumb") != 0);
}

int text_columns(std::string_view text) {
  int width = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto [length, columns] = character_at(text, i);
    width += columns;
    i += length;
  }
  return width;
}

std::string fit_columns(std::string_view text, int columns) {
  std::string out;
  int used = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const auto [length, width] = character_at(text, i);
    if (used + width > columns) break;
    used += width;
    if (lead < 0x20 || lead == 0x7f) {
      out += ' ';
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  return out;
}

}  // namespace rollmill
