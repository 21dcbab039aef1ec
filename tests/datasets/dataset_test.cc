#include <unistd.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/io/atomic_file.h"
#include "datasets/card.h"
#include "datasets/reader.h"
#include "datasets/verify.h"
#include "tests/core/io/temp_dir.h"
#include "tests/datasets/sample.h"

namespace rollmill {
namespace {

using testing::exit_code_of;
using testing::sample_shard;
using testing::sample_spec;
using testing::TempDir;
using testing::write_sample;

TEST(Dataset, RoundTripAndVerify) {
  const TempDir dir;
  const Manifest written = write_sample(dir.path(), 3, 500);
  const DatasetReader reader(dir.path());
  EXPECT_EQ(reader.manifest().shards, written.shards);
  EXPECT_EQ(reader.manifest().spec.columns, written.spec.columns);
  EXPECT_EQ(spec_difference(reader.manifest().spec, written.spec), "");
  EXPECT_EQ(reader.manifest().spec.seed, 0xfedcba9876543210ULL);
  for (int i = 0; i < 3; ++i) {
    const ShardData expected = sample_shard(written.spec, i, 500);
    const ShardData loaded = reader.load(static_cast<std::size_t>(i));
    ASSERT_EQ(loaded.columns().size(), expected.columns().size());
    for (std::size_t c = 0; c < expected.columns().size(); ++c) {
      EXPECT_EQ(loaded.columns()[c].bytes, expected.columns()[c].bytes)
          << expected.columns()[c].column.name;
    }
    EXPECT_EQ(load_shard(dir / shard_file_name(i)).content_hash(),
              written.shards[static_cast<std::size_t>(i)].content);
  }
  const VerifyReport report = verify_dataset(dir.path());
  EXPECT_TRUE(report.ok()) << report.problems[0].what;
  EXPECT_TRUE(report.finished);
  EXPECT_EQ(report.episodes, 1500);
}

TEST(Dataset, ContentHashSeesValuesAndNamesNotCompression) {
  const TempDir a, b;
  const Manifest plain = write_sample(a.path(), 2, 300);
  const Manifest packed = write_sample(b.path(), 2, 300, true);
  EXPECT_EQ(plain.content_hash(), packed.content_hash());
  EXPECT_NE(plain.shards[0].sha256, packed.shards[0].sha256);
  ShardData data = sample_shard(plain.spec, 0, 300);
  EXPECT_EQ(data.content_hash(), plain.shards[0].content);
  data.values<float>("rewards")[17] = 2.0f;
  EXPECT_NE(data.content_hash(), plain.shards[0].content);
  auto columns = plain.spec.columns;
  std::swap(columns[5].name, columns[6].name);
  ShardData renamed(columns), empty(plain.spec.columns);
  EXPECT_NE(renamed.content_hash(), empty.content_hash());
}

TEST(Dataset, WritingTwiceGivesTheSameBytes) {
  const TempDir a, b;
  EXPECT_EQ(write_sample(a.path(), 2, 300).shards, write_sample(b.path(), 2, 300).shards);
}

TEST(Dataset, EmptyShardAndOneStepEpisodes) {
  const TempDir dir;
  const DatasetSpec spec = sample_spec();
  ShardData data(spec.columns);
  const ShardInfo info = write_shard(dir.path(), 0, spec, data);
  EXPECT_EQ(load_shard(dir / info.file, spec.columns).content_hash(), info.content);
  data = sample_shard(spec, 0, 1);
  data.resize(1, 1);
  data.values<std::int32_t>("episodes/length")[0] = 1;
  data.values<std::uint8_t>("terminals")[0] = 1;
  EXPECT_EQ(exit_code_of([&] { check_structure(data, "f"); }), 0);
}

// Each damage breaks one promise.
TEST(Dataset, StructureViolationsAreFound) {
  const DatasetSpec spec = sample_spec();
  const ShardData good = sample_shard(spec, 0, 20);
  ASSERT_EQ(exit_code_of([&] { check_structure(good, "f"); }), 0);
  const std::size_t end = static_cast<std::size_t>(testing::sample_length(0)) - 1;
  const auto broken = [&](auto damage) {
    ShardData data = good;
    damage(data);
    std::string message;
    EXPECT_EQ(exit_code_of([&] { check_structure(data, "f"); }, &message), 3);
    return message;
  };
  using U8 = std::uint8_t;
  EXPECT_NE(broken([&](ShardData& d) { d.values<U8>("timeouts")[end] = 1; }).find("both"),
            std::string::npos);
  EXPECT_NE(broken([&](ShardData& d) { d.values<U8>("terminals")[end] = 0; }).find("neither"),
            std::string::npos);
  EXPECT_NE(
      broken([&](ShardData& d) { d.values<U8>("timeouts")[end - 1] = 1; }).find("before the end"),
      std::string::npos);
  EXPECT_NE(
      broken([&](ShardData& d) { d.values<U8>("terminals")[end] = 2; }).find("neither 0 nor 1"),
      std::string::npos);
  EXPECT_NE(
      broken([&](ShardData& d) { ++d.values<std::int32_t>("episodes/length")[19]; }).find("sum to"),
      std::string::npos);
  EXPECT_NE(broken([&](ShardData& d) {
              ++d.values<std::int64_t>("episodes/start")[5];
            }).find("episode 5"),
            std::string::npos);
  EXPECT_NE(
      broken([&](ShardData& d) { d.values<std::int32_t>("episodes/length")[3] = 0; }).find("empty"),
      std::string::npos);
  EXPECT_NE(
      broken([&](ShardData& d) { d.values<std::int64_t>("episodes/id")[0] = 7; }).find("count up"),
      std::string::npos);
  EXPECT_NE(broken([&](ShardData& d) {
              d.values<float>("observations")[4 * 6 + 1] = NAN;
            }).find("first in row 6"),
            std::string::npos);
  EXPECT_NE(
      broken([&](ShardData& d) { d.values<float>("rewards")[2] = INFINITY; }).find("rewards has 1"),
      std::string::npos);
}

TEST(Manifest, RefusesWhatIsNotItsOwn) {
  const TempDir dir;
  EXPECT_EQ(exit_code_of([&] { read_manifest(dir.path()); }), 3);
  write_sample(dir.path(), 2, 50);
  const std::string good = read_file(dir / "MANIFEST.json", 1 << 20);
  const std::pair<const char*, const char*> edits[] = {
      {"shard-000001.h5", "../shard-000001.h5"},
      {"shard-000001.h5", "/etc/passwd"},
      {"shard-000001.h5", "shard-000000.h5"},
      {"shard-000001.h5", "shard-1.h5"},
      {"\"first_episode\": 50", "\"first_episode\": 49"},
      {"\"first_episode\": 50", "\"first_episode\": 51"},
      {"\"first_episode\": 50", "\"first_episode\": -50"},
      {"\"episodes\": 50", "\"episodes\": 50.0"},
      {"\"format_version\": 1", "\"format_version\": 2"},
      {"\"state\": \"done\"", "\"state\": \"Done\""},
      {"\"content_hash\": \"", "\"content_hash\": \"0"},
      {"\"seed\": ", "\"seed\": -"},
      {"\"dtype\": \"int8\"", "\"dtype\": \"int9\""},
      {"\"policy\"", "\"police\""},
      {"\"state\"", "\"seed\": 1, \"state\""},
      {"\"name\": \"actions\"", "\"name\": \"../actions\""}};
  for (const auto& [from, to] : edits) {
    std::string text = good;
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write_file_atomic(dir / "MANIFEST.json", text.replace(at, std::string(from).size(), to));
    EXPECT_EQ(exit_code_of([&] { read_manifest(dir.path()); }), 3) << from << " -> " << to;
  }
  for (std::size_t size = 0; size + 2 < good.size(); size += 97) {
    write_file_atomic(dir / "MANIFEST.json", std::string_view(good).substr(0, size));
    EXPECT_EQ(exit_code_of([&] { read_manifest(dir.path()); }), 3) << size;
  }
}

TEST(Manifest, OnlyTheSameJobExtends) {
  DatasetSpec other = sample_spec();
  EXPECT_EQ(exit_code_of([&] { check_same_job("d", sample_spec(), other); }), 0);
  other.config = "more episodes";
  other.build = "another build";
  EXPECT_EQ(exit_code_of([&] { check_same_job("d", sample_spec(), other); }), 0);
  other.seed = 2;
  std::string message;
  EXPECT_EQ(exit_code_of([&] { check_same_job("d", sample_spec(), other); }, &message), 2);
  EXPECT_NE(message.find("seed: 18364758544493064720 in the dataset, 2 asked for"),
            std::string::npos)
      << message;
}

TEST(Manifest, ShardsInAnyOrderGiveTheSameDataset) {
  const TempDir a, b;
  const Manifest expected = write_sample(a.path(), 4, 40);
  Manifest manifest;
  manifest.spec = sample_spec(40);
  for (const int index : {2, 0, 3, 1}) {
    append_shards(
        b.path(), manifest,
        {write_shard(b.path(), index, manifest.spec, sample_shard(manifest.spec, index, 40))});
    EXPECT_EQ(read_manifest(b.path()).state, DatasetState::kRunning);
  }
  finish_manifest(b.path(), manifest);
  EXPECT_EQ(read_file(a / "MANIFEST.json", 1 << 20), read_file(b / "MANIFEST.json", 1 << 20));
}

TEST(Manifest, ReconcileMakesFolderAndManifestAgree) {
  const TempDir dir;
  Manifest manifest = write_sample(dir.path(), 4, 40);
  std::filesystem::remove(dir / "shard-000001.h5");
  std::filesystem::resize_file(dir / "shard-000002.h5", 1000);
  write_file_atomic(dir / "shard-000009.h5", std::string_view("stray"));
  write_file_atomic(dir / ("shard-000008.h5.tmp-" + std::to_string(::getpid())),
                    std::string_view("leftover"));
  const Reconciled result = reconcile(dir.path(), manifest);
  EXPECT_EQ(result.lost, (std::vector<std::string>{"shard-000001.h5", "shard-000002.h5"}));
  EXPECT_EQ(result.removed, (std::vector<std::string>{"shard-000009.h5"}));
  EXPECT_EQ(result.leftovers, 1);
  EXPECT_EQ(read_manifest(dir.path()).shards.size(), 2u);
  EXPECT_TRUE(verify_dataset(dir.path()).ok());
  for (const int index : {1, 2}) {
    append_shards(
        dir.path(), manifest,
        {write_shard(dir.path(), index, manifest.spec, sample_shard(manifest.spec, index, 40))});
  }
  const TempDir whole;
  EXPECT_EQ(manifest.content_hash(), write_sample(whole.path(), 4, 40).content_hash());
}

TEST(Verify, NamesTheShard) {
  const TempDir dir;
  write_sample(dir.path(), 4, 200);
  std::string bytes = read_file(dir / "shard-000001.h5", 1 << 30);
  bytes[bytes.size() / 2] ^= 1;
  write_file_atomic(dir / "shard-000001.h5", bytes);
  std::filesystem::resize_file(dir / "shard-000002.h5", bytes.size() / 2);
  std::filesystem::remove(dir / "shard-000003.h5");
  std::filesystem::create_symlink("shard-000000.h5", dir / "shard-000004.h5");
  const VerifyReport report = verify_dataset(dir.path());
  ASSERT_EQ(report.problems.size(), 4u);
  EXPECT_EQ(report.problems[0].file, "shard-000001.h5");
  EXPECT_NE(report.problems[0].what.find("sha256"), std::string::npos);
  EXPECT_EQ(report.problems[1].file, "shard-000002.h5");
  EXPECT_NE(report.problems[1].what.find("truncated"), std::string::npos);
  EXPECT_EQ(report.problems[2].file, "shard-000003.h5");
  EXPECT_EQ(report.problems[2].what, "missing");
  EXPECT_EQ(report.problems[3].file, "shard-000004.h5");
}

TEST(Verify, SymlinkInPlaceOfAShardIsRefused) {
  const TempDir dir, elsewhere;
  write_sample(dir.path(), 1, 20);
  std::filesystem::rename(dir / "shard-000000.h5", elsewhere / "shard.h5");
  std::filesystem::create_symlink(elsewhere / "shard.h5", dir / "shard-000000.h5");
  EXPECT_FALSE(verify_dataset(dir.path()).ok());
  EXPECT_EQ(exit_code_of([&] { DatasetReader(dir.path()).load(0); }), 3);
}

TEST(Card, SaysWhatIsThere) {
  const TempDir dir;
  write_sample(dir.path(), 2, 100);
  write_card(dir.path());
  const std::string card = read_file(dir / "CARD.md", 1 << 20);
  // Lengths 1 + (7 e + 3) % 50 run through 1..50 four times in 200 episodes: mean 25.5, 5100 steps.
  for (const char* part : {"# CartPole-v1, policy random", "200 episodes, 5100 steps in 2 shards",
                           "| length | 25.5 |", "x [m], x_dot [m/s]", "- time limit: 4 episodes",
                           "- fell: 196 episodes", "licence", "import glob, h5py", "seed = 1"}) {
    EXPECT_NE(card.find(part), std::string::npos) << part << "\n" << card;
  }
}

TEST(Card, HistogramCountsEverything) {
  EXPECT_EQ(text_histogram({0, 1, 2, 3, 4, 4}, 4, 4),
            "[0, 1)                    ## 1\n[1, 2)                    ## 1\n[2, 3)                "
            "    ## 1\n[3, 4]                    #### 3\n");
  EXPECT_EQ(text_histogram({5, 5}, 4, 4), "5  #### 2\n");
  EXPECT_EQ(text_histogram({}), "(no episodes)\n");
}

}  // namespace
}  // namespace rollmill
