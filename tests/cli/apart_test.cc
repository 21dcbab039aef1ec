// What a child process did to itself, in words.
#include "cli/apart.h"

#include <unistd.h>
#include <gtest/gtest.h>

#include <csignal>

namespace rollmill {
namespace {

TEST(Apart, TellsWhatWasReturnedAndHowItEnded) {
  const std::string text(100'000, 'x');  // more than a pipe holds
  const ApartResult whole = run_apart([&] { return text; });
  EXPECT_EQ(whole.text, text);
  EXPECT_EQ(whole.death, "");
  EXPECT_EQ(run_apart([] { return ""; }).death, "");
  const auto dies = [](int number) {
    return run_apart([number]() -> std::string {
             std::signal(number, SIG_DFL);
             std::raise(number);
             return "";
           })
        .death;
  };
  EXPECT_EQ(dies(SIGFPE).find("crashed with signal 8 ("), 0u) << dies(SIGFPE);
  EXPECT_EQ(dies(SIGKILL).find("crashed with signal 9 ("), 0u) << dies(SIGKILL);
  EXPECT_EQ(run_apart([]() -> std::string { _exit(0); }).death, "ended the process (exit code 0)");
}

}  // namespace
}  // namespace rollmill
