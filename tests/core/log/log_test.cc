#include "core/log/log.h"

#include <regex.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/log/console.h"
#include "tests/core/log/capture.h"

namespace rollmill {
namespace {

std::string temporary(const std::string& name) {
  const std::string path =
      testing::TempDir() + "/log_test_" + std::to_string(::getpid()) + "_" + name;
  std::filesystem::remove_all(path);
  return path;
}

std::string contents(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// POSIX extended expressions: std::regex costs seconds to compile.
bool matches(const std::string& text, const std::string& pattern) {
  regex_t expression;
  EXPECT_EQ(::regcomp(&expression, ("^" + pattern + "$").c_str(), REG_EXTENDED | REG_NOSUB), 0)
      << pattern;
  const bool found = ::regexec(&expression, text.c_str(), 0, nullptr, 0) == 0;
  ::regfree(&expression);
  return found;
}

TEST(Log, ConsoleFormat) {
  CaptureStderr capture(CaptureStderr::Kind::kPipe);
  init_logging(LogLevel::kInfo);
  log_debug("hidden");
  log_info("plain {} text");  // no arguments: no format
  log_info("{} episodes, {:.2f}", 3, 0.5);
  log_warn("careful");
  log_error("broken: {}", "x");
  EXPECT_EQ(
      capture.take(),
      "plain {} text\n3 episodes, 0.50\nrollmill: warning: careful\nrollmill: error: broken: x\n");
  EXPECT_FALSE(log_enabled(LogLevel::kDebug));
  init_logging(LogLevel::kDebug);
  log_debug("shown {}", 1);
  EXPECT_EQ(capture.take(), "rollmill: debug: shown 1\n");
  init_logging(LogLevel::kError);
  log_warn("hidden");
  EXPECT_EQ(capture.take(), "");
  init_logging(LogLevel::kInfo);
}

TEST(Log, OtherRanksOnlyWarn) {
  CaptureStderr capture(CaptureStderr::Kind::kPipe);
  init_logging(LogLevel::kDebug, "", 3);
  log_debug("hidden");
  log_info("hidden");
  log_warn("careful");
  EXPECT_EQ(capture.take(), "rollmill: rank 3: warning: careful\n");
  init_logging(LogLevel::kInfo);
}

TEST(Log, FileHasTimeLevelRankAndIsAppendedTo) {
  const std::string path = temporary("file");
  std::ofstream(path) << "before\n";
  CaptureStderr capture(CaptureStderr::Kind::kPipe);
  init_logging(LogLevel::kInfo, path, 2);
  log_info("hello");
  log_warn("careful");
  // Read while the logger is open: what is logged is in the file at once, a kill loses nothing.
  const std::string time =
      "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}[+-][0-9]{2}:[0-9]{2}";
  EXPECT_TRUE(matches(contents(path), "before\n" + time + " info rank2 hello\n" + time +
                                          " warning rank2 careful\n"))
      << contents(path);
  init_logging(LogLevel::kInfo);
  std::filesystem::remove(path);
}

TEST(Log, UnusableFileIsAnIoError) {
  for (const std::string& path : {std::string("/proc/none/x.log"), testing::TempDir()}) {
    try {
      init_logging(LogLevel::kInfo, path);
      ADD_FAILURE() << path;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kIo);
      EXPECT_EQ(std::string(e.what()).rfind(path + ": cannot open the log file: ", 0), 0u)
          << e.what();
    }
  }
}

TEST(Log, FullDiskWarnsOnceAndGoesOn) {
  CaptureStderr capture(CaptureStderr::Kind::kPipe);
  init_logging(LogLevel::kInfo, "/dev/full");
  for (int i = 0; i < 5; ++i) log_info("line");
  const std::string text = capture.take();
  std::size_t warnings = 0;
  for (std::size_t at = 0; (at = text.find("cannot log to /dev/full", at)) != std::string::npos;
       ++at)
    ++warnings;
  EXPECT_EQ(warnings, 1u) << text;
  EXPECT_NE(text.rfind("line\n"), std::string::npos);
  init_logging(LogLevel::kInfo);
}

TEST(Log, LinesOfManyThreadsStayWhole) {
  const std::string path = temporary("threads");
  {
    CaptureStderr capture(CaptureStderr::Kind::kPipe);
    init_logging(LogLevel::kInfo, path, 1);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < 200; ++i) log_info("thread {} line {} end", t, i);
      });
    }
    for (std::thread& thread : threads) thread.join();
    init_logging(LogLevel::kInfo);
  }
  std::ifstream in(path);
  std::string line;
  int count = 0;
  for (; std::getline(in, line); ++count) {
    ASSERT_TRUE(matches(line, "[^ ]+ info rank1 thread [0-9] line [0-9]+ end")) << line;
  }
  EXPECT_EQ(count, 800);
  std::filesystem::remove(path);
}

// Runs `act` in a child process; returns its exit code, or 1000 + signal.
template <typename F>
int in_child(F&& act) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(act());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(Log, SurvivesAVanishedReader) {
  EXPECT_EQ(in_child([] {
              int ends[2];
              if (::pipe(ends) != 0) return 1;
              ::dup2(ends[1], STDERR_FILENO);
              ::close(ends[1]);
              ::close(ends[0]);
              init_logging(LogLevel::kInfo);
              for (int i = 0; i < 100; ++i) log_error("nobody reads");
              return 7;
            }),
            7);
}

TEST(Log, ClosedStreamsDoNotCaptureOtherFiles) {
  const std::string path = temporary("victim");
  EXPECT_EQ(in_child([&] {
              ::close(STDIN_FILENO);
              ::close(STDOUT_FILENO);
              ::close(STDERR_FILENO);
              init_logging(LogLevel::kInfo);
              const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY, 0600);
              log_error("must not land in the file");
              return fd > STDERR_FILENO ? 7 : fd;  // the parent may have left higher numbers open
            }),
            7);
  EXPECT_EQ(contents(path), "");
  std::filesystem::remove(path);
}

TEST(Log, AStalledReaderDoesNotHangUs) {
  EXPECT_EQ(in_child([] {
              int ends[2];
              if (::pipe2(ends, O_NONBLOCK) != 0) return 1;
              ::dup2(ends[1], STDERR_FILENO);
              ::alarm(20);  // kills the child, which fails the test
              init_logging(LogLevel::kInfo);
              log_error(std::string(1 << 20, 'x'));
              return 7;
            }),
            7);
}

}  // namespace
}  // namespace rollmill
