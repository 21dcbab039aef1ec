#include "core/log/metrics.h"

#include <fcntl.h>
#include <unistd.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <random>
#include <sstream>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace rollmill {
namespace {

class Metrics : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/metrics_test.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/metrics.jsonl";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string read() const {
    std::ifstream in(path_, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  void put(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }

  std::string folder_, path_;
};

MetricsRecord step(std::int64_t n) { return MetricsRecord().add("step", n); }

TEST(MetricsRecord, KeepsOrderAndTypes) {
  const double inf = std::numeric_limits<double>::infinity();
  const MetricsRecord record = MetricsRecord()
                                   .add("step", std::numeric_limits<std::int64_t>::max())
                                   .add("a", 0.1)
                                   .add("n", 3)
                                   .add("nan", std::nan(""))
                                   .add("inf", -inf)
                                   .add("text \"q\"", "line\n\x01 caf\xc3\xa9 \xff");
  EXPECT_EQ(record.json(),
            "{\"step\":9223372036854775807,\"a\":0.1,\"n\":3,\"nan\":null,\"inf\":null,"
            "\"text \\\"q\\\"\":\"line\\n\\u0001 caf\xc3\xa9 \xef\xbf\xbd\"}");
  EXPECT_EQ(MetricsRecord().json(), "{}");
  std::vector<std::string> names;
  for (const MetricNumber& m : record.numbers()) names.push_back(m.name);
  EXPECT_EQ(names, (std::vector<std::string>{"step", "a", "n", "nan", "inf"}));
  EXPECT_EQ(record.number("a"), 0.1);
  EXPECT_EQ(record.number("inf"), -inf);
  EXPECT_TRUE(std::isnan(record.number("text \"q\"")));
}

TEST(MetricsRecord, DoublesRoundTripThroughAnotherParser) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t bits = random();
    double x;
    std::memcpy(&x, &bits, sizeof x);
    if (!std::isfinite(x)) continue;
    const double back =
        nlohmann::json::parse(MetricsRecord().add("x", x).json())["x"].get<double>();
    ASSERT_EQ(back, x);
  }
}

TEST_F(Metrics, AppendsWholeLinesAtOnce) {
  {
    MetricsWriter writer(path_);
    writer.write(step(1).add("loss", 0.5));
    EXPECT_EQ(read(), "{\"step\":1,\"loss\":0.5}\n");  // while it is open
    writer.write(step(2));
    writer.sync();
  }
  MetricsWriter again(path_);
  again.write(step(3));
  EXPECT_EQ(read(), "{\"step\":1,\"loss\":0.5}\n{\"step\":2}\n{\"step\":3}\n");
}

TEST_F(Metrics, CutsATornLineWhenOpened) {
  for (const std::size_t torn : {1u, 7u, 4096u, 9000u}) {
    put("{\"step\":1}\n" + std::string(torn, '{'));
    MetricsWriter writer(path_);
    writer.write(step(2));
    EXPECT_EQ(read(), "{\"step\":1}\n{\"step\":2}\n");
  }
  put(std::string(5000, 'x'));
  MetricsWriter writer(path_);
  EXPECT_EQ(read(), "");
}

void expect_io_error(const std::function<void()>& act, const std::string& start, int reason) {
  try {
    act();
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kIo);
    EXPECT_EQ(std::string(e.what()).rfind(start, 0), 0u) << e.what();
    EXPECT_NE(std::string(e.what()).find(std::strerror(reason)), std::string::npos) << e.what();
  }
}

TEST_F(Metrics, UnusablePathsAreIoErrors) {
  expect_io_error([&] { MetricsWriter w(folder_ + "/none/x"); }, folder_ + "/none/x: ", ENOENT);
  expect_io_error([&] { MetricsWriter w(folder_); }, folder_ + ": ", EISDIR);
  EXPECT_THROW(MetricsWriter("/dev/full"), Error);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THROW(MetricsWriter w(path_), Error);
  EXPECT_THROW(MetricsWriter::truncate_after(path_, "step", 1), Error);
}

// A limit on the file's size behaves like a full disk: part of the line goes in, then an error.
TEST_F(Metrics, AFullDiskLeavesWholeLines) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  MetricsWriter writer(path_);
  writer.write(step(1));
  rlimit small = before;
  small.rlim_cur = 20;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_io_error([&] { writer.write(step(2).add("text", std::string(50, 'x'))); },
                  path_ + ": cannot write the metrics: ", EFBIG);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(read(), "{\"step\":1}\n");
  writer.write(step(3));
  EXPECT_EQ(read(), "{\"step\":1}\n{\"step\":3}\n");
}

TEST_F(Metrics, TruncateAfterDropsLaterSteps) {
  put("{\"step\":1}\n{\"note\":\"x\"}\n{\"step\":3.0}\n{\"step\":2,\"a\":null}\nrubbish\n[1]\n{"
      "\"step\":18446744073709551615}\n"
      "{\"step\":\"9\"}\n{\"step\":3.5}\n{\"step\":4}\n{\"ste");
  MetricsWriter::truncate_after(path_, "step", 3);
  EXPECT_EQ(read(),
            "{\"step\":1}\n{\"note\":\"x\"}\n{\"step\":3.0}\n{\"step\":2,\"a\":null}\n{\"step\":"
            "\"9\"}\n");
  MetricsWriter::truncate_after(path_, "step", -1);
  EXPECT_EQ(read(), "{\"note\":\"x\"}\n{\"step\":\"9\"}\n");
  for (const auto& entry : std::filesystem::directory_iterator(folder_))
    EXPECT_EQ(entry.path(), path_);
}

TEST_F(Metrics, TruncateAfterEveryTear) {
  const std::string whole = "{\"step\":1,\"t\":\"}\"}\n{\"step\":2}\n";
  for (std::size_t i = 0; i <= whole.size(); ++i) {
    put(whole.substr(0, i));
    MetricsWriter::truncate_after(path_, "step", 2);
    const std::string first =
        i >= 18 ? whole.substr(0, 19) : "";  // an object that lost only its line break stays
    const std::string second = i >= 29 ? whole.substr(19) : "";
    ASSERT_EQ(read(), first + second) << i;
  }
}

TEST_F(Metrics, TruncateAfterLeavesAGoodFileAlone) {
  MetricsWriter::truncate_after(path_, "step", 3);
  EXPECT_FALSE(std::filesystem::exists(path_));
  put("{\"step\":1}\n");
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(path_.c_str(), &before), 0);
  MetricsWriter::truncate_after(path_, "step", 1);
  ASSERT_EQ(::stat(path_.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

}  // namespace
}  // namespace rollmill
