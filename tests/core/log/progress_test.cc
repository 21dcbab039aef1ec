#include "core/log/progress.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "core/log/console.h"
#include "core/log/log.h"
#include "tests/core/log/capture.h"

namespace rollmill {
namespace {

using std::chrono::milliseconds;

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

// What a terminal shows after `text`: understands "\r", "\n" and "erase to the end of the line".
std::string screen(const std::string& text) {
  std::string done, row;
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      column = 0;
    } else if (text[i] == '\n') {
      done += row + "\n";
      row.clear();
      column = 0;
    } else if (text.compare(i, 3, "\x1b[K") == 0) {
      row.resize(std::min(column, row.size()));
      i += 2;
    } else {
      row.resize(std::max(row.size(), column + 1));
      row[column++] = text[i];
    }
  }
  return done + row;
}

class OnTerminal : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TERM", "xterm", 1);
    init_logging(LogLevel::kInfo);
  }
};

TEST_F(OnTerminal, RewritesInPlaceAndEndsWithTheLastLine) {
  CaptureStderr capture(CaptureStderr::Kind::kTerminal);
  Progress progress(false);
  progress.update("step 1 of 100 and more");
  EXPECT_EQ(screen(capture.take()), "step 1 of 100 and more");
  std::this_thread::sleep_for(milliseconds(120));
  EXPECT_TRUE(progress.due());
  progress.update("step 2");
  EXPECT_FALSE(progress.due());
  EXPECT_EQ(screen("step 1 of 100 and more" + capture.take()), "step 2");
  progress.finish("done");
  progress.update("late");
  progress.finish("late");
  EXPECT_EQ(screen("step 2" + capture.take()), "done\n");
}

TEST_F(OnTerminal, AtMostTenTimesASecond) {
  CaptureStderr capture(CaptureStderr::Kind::kTerminal);
  Progress progress(false);
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < milliseconds(350)) progress.update("x");
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const int shown = count(capture.take(), "\r");
  EXPECT_GE(shown, 2);
  EXPECT_LE(shown, 1 + seconds * 10);
}

TEST_F(OnTerminal, LogLinesPassAbove) {
  CaptureStderr capture(CaptureStderr::Kind::kTerminal);
  Progress progress(false);
  progress.update("working on something long");
  log_info("note");
  log_warn("careful");
  EXPECT_EQ(screen(capture.take()), "note\nrollmill: warning: careful\nworking on something long");
  progress.finish("");
  log_info("after");
  EXPECT_EQ(screen("working on something long" + capture.take()), "after\n");
}

TEST_F(OnTerminal, CutToTheWidth) {
  CaptureStderr capture(CaptureStderr::Kind::kTerminal, 20);
  Progress progress(false);
  progress.update(std::string(100, 'x'));
  EXPECT_EQ(screen(capture.take()), std::string(19, 'x'));
}

TEST_F(OnTerminal, AnErrorKeepsHowFarItCame) {
  CaptureStderr capture(CaptureStderr::Kind::kTerminal);
  try {
    Progress progress(false);
    progress.update("step 1");
    progress.update("step 2");  // too soon to be shown
    throw std::runtime_error("x");
  } catch (const std::runtime_error&) {
    log_error("x");
  }
  EXPECT_EQ(screen(capture.take()), "step 2\nrollmill: error: x\n");
}

TEST(ProgressPlain, FewLinesAndTheLast) {
  init_logging(LogLevel::kInfo);
  CaptureStderr capture(CaptureStderr::Kind::kPipe);
  {
    Progress progress(false);
    for (int i = 0; i < 1000; ++i) progress.update("step " + std::to_string(i));
    progress.finish("done");
  }
  EXPECT_EQ(capture.take(), "step 0\ndone\n");
  {
    Progress progress(false);
    for (int i = 0; i < 1000; ++i) progress.update("step " + std::to_string(i));
  }
  EXPECT_EQ(capture.take(), "step 0\nstep 999\n");
  {
    Progress progress(false);
    progress.update("only");
  }
  EXPECT_EQ(capture.take(), "only\n");  // not twice
}

TEST(ProgressPlain, ADumbTerminalIsNoTerminal) {
  CaptureStderr capture(CaptureStderr::Kind::kTerminal);
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(stderr_is_terminal());
  ::setenv("TERM", "xterm", 1);
  EXPECT_TRUE(stderr_is_terminal());
}

TEST(ProgressSilent, QuietAndOtherRanks) {
  for (const auto kind : {CaptureStderr::Kind::kPipe, CaptureStderr::Kind::kTerminal}) {
    CaptureStderr capture(kind);
    Progress quiet(true), other(false, 1);
    for (Progress* progress : {&quiet, &other}) {
      EXPECT_FALSE(progress->due());
      progress->update("x");
      progress->finish("y");
    }
    EXPECT_EQ(capture.take(), "");
  }
}

TEST(FitColumns, CutsWholeCharacters) {
  EXPECT_EQ(fit_columns("abcdef", 3), "abc");
  EXPECT_EQ(fit_columns("\xc3\xa9\xc3\xa9\xc3\xa9", 2), "\xc3\xa9\xc3\xa9");
  EXPECT_EQ(fit_columns("a\xe4\xb8\xad\xe6\x96\x87", 4), "a\xe4\xb8\xad");  // two columns each
  EXPECT_EQ(fit_columns("a\nb\x1b[2J", 10), "a b [2J");
  EXPECT_EQ(fit_columns("abc", 0), "");
  EXPECT_EQ(fit_columns("abc", -1), "");
  EXPECT_EQ(fit_columns("\xc3", 5), "\xc3");
}

}  // namespace
}  // namespace rollmill
