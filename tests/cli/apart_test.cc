// What a child process did to itself, in words.
#include "cli/apart.h"

#include <unistd.h>
#include <gtest/gtest.h>

#include <csignal>

namespace rollmill {
namespace {

constexpr std::chrono::seconds kLong{600};

TEST(Apart, TellsWhatWasReturnedAndHowItEnded) {
  const std::string text(100'000, 'x');  // more than a pipe holds
  const ApartResult whole = run_apart([&] { return text; }, kLong);
  EXPECT_EQ(whole.text, text);
  EXPECT_EQ(whole.death, "");
  EXPECT_EQ(run_apart([] { return ""; }, kLong).death, "");
  const auto dies = [](int number) {
    return run_apart(
               [number]() -> std::string {
                 std::signal(number, SIG_DFL);
                 std::raise(number);
                 return "";
               },
               kLong)
        .death;
  };
  EXPECT_EQ(dies(SIGFPE).find("crashed with signal 8 ("), 0u) << dies(SIGFPE);
  EXPECT_EQ(dies(SIGKILL).find("crashed with signal 9 ("), 0u) << dies(SIGKILL);
  EXPECT_EQ(run_apart([]() -> std::string { _exit(0); }, kLong).death,
            "ended the process (exit code 0)");
}

// Neither one that never says anything nor one that has begun to.
TEST(Apart, EndsWhatDoesNotEnd) {
  const auto hang = []() -> std::string {
    for (;;) ::pause();
  };
  const auto start = std::chrono::steady_clock::now();
  const ApartResult run = run_apart(hang, std::chrono::milliseconds(200));
  EXPECT_TRUE(run.late);
  EXPECT_EQ(run.death, "did not end within 0.2 s");
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(200));
  EXPECT_FALSE(run_apart([] { return "soon"; }, kLong).late);
}

}  // namespace
}  // namespace rollmill
