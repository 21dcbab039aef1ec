#include "core/log/console.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace rollmill {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";
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

int terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

void prepare_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // open() takes the lowest free number, which is this one: those below it are open by now.
    if (::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) < 0) return;
  }
  std::signal(SIGPIPE, SIG_IGN);
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
  if (!live_.empty()) out += kEraseLine;
  out += text;
  out += '\n';
  out += live_;
  write_stderr(out);
}

void Console::set_live_line(std::string_view text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  live_ = fit_columns(text, terminal_columns() - 1);  // a full row would wrap
  write_stderr(std::string(kEraseLine) + live_);
}

void Console::clear_live_line() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!live_.empty()) write_stderr(kEraseLine);
  live_.clear();
}

bool stderr_is_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && (term == nullptr || std::strcmp(term, "dumb") != 0);
}

std::string fit_columns(std::string_view text, int columns) {
  std::string out;
  int used = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    std::size_t length = 1;
    while (lead >= 0xc0 && i + length < text.size() &&
           (static_cast<unsigned char>(text[i + length]) & 0xc0) == 0x80) {
      ++length;
    }
    // From U+1000 on (lead byte 0xe1) a character may be two columns wide: guess on the safe side,
    // or the line wraps.
    const int width = lead >= 0xe1 ? 2 : 1;
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
