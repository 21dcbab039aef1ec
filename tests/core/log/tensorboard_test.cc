// Framing and cutting; tests/jobs/tensorboard_test.py reads whole runs back with the tensorboard package.
#include "core/log/tensorboard.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#include "core/base/error.h"
#include "core/log/record_file.h"
#include "tests/core/io/temp_dir.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;

class Folder : public ::testing::Test {
 protected:
  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  std::vector<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.insert(entry.path());
    return {names.begin(), names.end()};
  }

  const rollmill::testing::TempDir dir_;
  const std::string folder_ = dir_.path();
};

// RFC 3720, B.4, and the check value of every catalogue of CRCs.
TEST(Crc32c, PublishedValues) {
  std::string up, down;
  for (int i = 0; i < 32; ++i) up += static_cast<char>(i), down += static_cast<char>(31 - i);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(up), 0x46dd794eu);
  EXPECT_EQ(crc32c(down), 0x113fdb5cu);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
}

TEST_F(Folder, RecordsAreCutWhereTheyEndOrAreRefused) {
  const std::string path = folder_ + "/records";
  const std::string a = framed_record("first"), b = framed_record(std::string(300, 'b')),
                    c = framed_record("");
  const std::string whole = a + b + c;
  const auto cut = [&](const std::string& text, const std::string& refused) {
    std::ofstream(path, std::ios::binary) << text;
    cut_records(path, [&](std::string_view bytes) { return bytes != refused; });
    return read(path);
  };
  EXPECT_EQ(cut(whole, "none"), whole);
  EXPECT_EQ(cut(whole, ""), a + b);
  EXPECT_EQ(cut(whole, "first"), "");
  for (std::size_t size = 0; size < whole.size(); ++size) {  // torn anywhere
    const std::string kept = cut(whole.substr(0, size), "none");
    const std::size_t expected = size < a.size()              ? 0
                                 : size < a.size() + b.size() ? a.size()
                                                              : a.size() + b.size();
    EXPECT_EQ(kept, whole.substr(0, expected)) << size;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {  // one bit wrong anywhere
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    const std::size_t expected = at < a.size()              ? 0
                                 : at < a.size() + b.size() ? a.size()
                                                            : a.size() + b.size();
    EXPECT_EQ(cut(damaged, "none"), whole.substr(0, expected)) << at;
  }
}

TEST_F(Folder, AnotherProcessKeepsWhatItGoesOnFrom) {
  std::vector<std::string> texts;
  {
    TensorboardWriter writer(folder_, 0);
    for (const std::int64_t step : {100, 200, 300}) {
      writer.write(MetricsRecord().add("step", step).add("a_loss", 0.5));
      texts.push_back(read(files().front()));
    }
  }
  { TensorboardWriter writer(folder_, 200); }
  ASSERT_EQ(files().size(), 2u);
  EXPECT_EQ(read(files()[0]), texts[1]);
  { TensorboardWriter writer(folder_, 200); }
  ASSERT_EQ(files().size(), 3u);  // even within the same second a name of its own, sorted behind
  EXPECT_EQ(read(files()[0]), texts[1]);
  { TensorboardWriter writer(folder_, 99); }
  EXPECT_LT(read(files()[0]).size(), texts[0].size());
}

TEST_F(Folder, AnUnwritableFolderIsOneError) {
  try {
    TensorboardWriter writer(folder_ + "/absent", 0);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kIo);
    EXPECT_NE(std::string(e.what()).find("absent"), std::string::npos);
  }
}

TEST(TensorboardTag, GroupsByWhatAKeySays) {
  EXPECT_EQ(tensorboard_tag("return_mean"), "rollout/return_mean");
  EXPECT_EQ(tensorboard_tag("policy_loss"), "loss/policy");
  EXPECT_EQ(tensorboard_tag("q_loss"), "loss/q");
  EXPECT_EQ(tensorboard_tag("_loss"), "train/_loss");
  EXPECT_EQ(tensorboard_tag("seconds"), "time/seconds");
  EXPECT_EQ(tensorboard_tag("learn_seconds"), "time/learn_seconds");
  EXPECT_EQ(tensorboard_tag("approx_kl"), "train/approx_kl");
}

}  // namespace
}  // namespace rollmill
