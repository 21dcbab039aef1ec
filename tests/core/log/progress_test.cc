#include "core/log/progress.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

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

// What a terminal shows after `text`: understands "\r", "\n", cursor up, both erasures, and wrapping's switch.
std::string screen(const std::string& text) {
  std::vector<std::string> rows(1);
  std::size_t row = 0, column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      column = 0;
    } else if (text[i] == '\n') {
      column = 0;
      if (++row == rows.size()) rows.emplace_back();
    } else if (text[i] == '\x1b') {
      const std::size_t end = text.find_first_of("AKJhl", i);
      if (text[end] == 'A') row -= std::stoul(text.substr(i + 2));
      if (text[end] == 'K' || text[end] == 'J')
        rows[row].resize(std::min(column, rows[row].size()));
      if (text[end] == 'J') rows.resize(row + 1);
      i = end;
    } else {
      rows[row].resize(std::max(rows[row].size(), column + 1));
      rows[row][column++] = text[i];
    }
  }
  std::string shown;
  for (std::size_t r = 0; r < rows.size(); ++r) shown += (r > 0 ? "\n" : "") + rows[r];
  return shown;
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
  const auto shown = std::chrono::steady_clock::now();
  progress.update("step 2");
  const bool due = progress.due();
  if (std::chrono::steady_clock::now() - shown < milliseconds(100)) EXPECT_FALSE(due);
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
  progress.update("x");  // the second, if this thread had to wait all the time
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

TEST_F(OnTerminal, ABlockIsRedrawnInPlaceAndStays) {
  CaptureStderr capture(CaptureStderr::Kind::kTerminal, 80);
  Progress progress(false);
  EXPECT_TRUE(progress.has_room(80, 24));
  EXPECT_FALSE(progress.has_room(81, 24));
  EXPECT_FALSE(progress.has_room(80, 25));
  log_info("before");
  progress.update("one\ntwo is long\nthree");
  std::string all = capture.take();
  EXPECT_EQ(screen(all), "before\none\ntwo is long\nthree");
  log_warn("careful");
  EXPECT_EQ(screen(all += capture.take()),
            "before\nrollmill: warning: careful\none\ntwo is long\nthree");
  for (const char* next : {"1\n2", "a\nb\nc\nd", "line", "x\ny"}) {  // fewer rows, more, one, more
    std::this_thread::sleep_for(milliseconds(120));
    progress.update(next);
    EXPECT_EQ(screen(all += capture.take()),
              std::string("before\nrollmill: warning: careful\n") + next);
  }
  progress.update("last\nblock");  // too soon to be shown, but the last
  progress.finish("done");
  EXPECT_EQ(screen(all += capture.take()),
            "before\nrollmill: warning: careful\nlast\nblock\ndone\n");
}

// A terminal that reflows shows a block of 30 columns in a window of 20 in two rows a line.
TEST_F(OnTerminal, ANarrowerWindowIsCounted) {
  CaptureStderr capture(CaptureStderr::Kind::kTerminal, 40);
  Console::get().set_live(std::string(30, 'x') + "\nshort");
  capture.take();
  winsize size{};
  size.ws_col = 20;
  size.ws_row = 24;
  ASSERT_EQ(::ioctl(STDERR_FILENO, TIOCSWINSZ, &size), 0);
  Console::get().set_live("new\nblock");
  EXPECT_EQ(capture.take().substr(0, 4), "\x1b[2A");
  Console::get().clear_live();
}

TEST_F(OnTerminal, PlainByChoice) {
  CaptureStderr capture(CaptureStderr::Kind::kTerminal, 80);
  Progress progress(false, 0, Progress::Style::kPlain);
  EXPECT_FALSE(progress.has_room(80, 24));
  progress.update("line");
  progress.finish("done");
  EXPECT_EQ(screen(capture.take()), "line\ndone\n");
}

TEST(ConsoleLocale, TheFirstThatIsSetDecides) {
  const auto set = [](const char* all, const char* type, const char* lang) {
    ::setenv("LC_ALL", all, 1);
    ::setenv("LC_CTYPE", type, 1);
    ::setenv("LANG", lang, 1);
    return console_is_utf8();
  };
  EXPECT_TRUE(set("", "", "de_DE.UTF-8"));
  EXPECT_TRUE(set("C.utf8", "C", "C"));
  EXPECT_FALSE(set("C", "", "en_US.UTF-8"));
  EXPECT_FALSE(set("", "POSIX", "en_US.UTF-8"));
  EXPECT_FALSE(set("", "", ""));
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
  EXPECT_EQ(fit_columns("\u2501\u2581\u259f\u25a0", 4),
            "\u2501\u2581\u259f");  // lines and blocks: one
  EXPECT_EQ(text_columns("\u2501\u2581\u259f\u25a0"), 5);
  EXPECT_EQ(fit_columns("a\nb\x1b[2J", 10), "a b [2J");
  EXPECT_EQ(fit_columns("abc", 0), "");
  EXPECT_EQ(fit_columns("abc", -1), "");
  EXPECT_EQ(fit_columns("\xc3", 5), "\xc3");
}

}  // namespace
}  // namespace rollmill
