// Puts file descriptor 2 elsewhere for the life of the object, to see what a user would see.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>
#include <gtest/gtest.h>

#include <string>

namespace rollmill {

class CaptureStderr {
 public:
  enum class Kind { kPipe, kTerminal };

  explicit CaptureStderr(Kind kind, int columns = 40) : saved_(::dup(STDERR_FILENO)) {
    int ends[2] = {-1, -1};
    if (kind == Kind::kPipe) {
      EXPECT_EQ(::pipe(ends), 0);
    } else {
      winsize size{};
      size.ws_col = static_cast<unsigned short>(columns);
      size.ws_row = 24;
      EXPECT_EQ(::openpty(&ends[0], &ends[1], nullptr, nullptr, &size), 0);
    }
    reader_ = ends[0];
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
  }
  ~CaptureStderr() {
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    ::close(reader_);
  }
  CaptureStderr(const CaptureStderr&) = delete;
  CaptureStderr& operator=(const CaptureStderr&) = delete;

  // What was written since the last call. The terminal's "\r\n" stays as it is.
  std::string take() {
    std::string text;
    pollfd ready{reader_, POLLIN, 0};
    // A terminal's bytes come by a thread of the kernel, which may have to wait for a core.
    while (::poll(&ready, 1, text.empty() ? 300 : 30) > 0 && (ready.revents & POLLIN) != 0) {
      char buffer[4096];
      const ssize_t count = ::read(reader_, buffer, sizeof buffer);
      if (count <= 0) break;
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }

 private:
  int saved_;
  int reader_ = -1;
};

}  // namespace rollmill
