#include "core/io/hash.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "core/io/atomic_file.h"
#include "tests/core/io/temp_dir.h"

namespace rollmill {
namespace {

// FIPS 180-4 examples (NIST CSRC, "SHA256.pdf").
TEST(Hash, Sha256MatchesFips) {
  EXPECT_EQ(sha256_bytes(bytes_of("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_bytes({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Hash, FileAndPiecesEqualTheWhole) {
  std::string text(3'000'001, 'x');
  std::iota(text.begin(), text.end(), 0);
  const testing::TempDir dir;
  write_file_atomic(dir / "f", text);
  Sha256 sha;
  Xxh3_128 xxh;
  for (std::size_t at = 0; at < text.size(); at += 777) {
    const auto piece = std::string_view(text).substr(at, 777);
    sha.update(bytes_of(piece));
    xxh.update(bytes_of(piece));
  }
  const std::string whole = sha256_bytes(bytes_of(text));
  EXPECT_EQ(sha.hex(), whole);
  EXPECT_EQ(sha256_file(dir / "f"), whole);
  EXPECT_EQ(xxh.hex(), xxh3_128_hex(bytes_of(text)));
  EXPECT_EQ(testing::exit_code_of([&] { sha256_file(dir / "absent"); }), 3);
}

// xxHash's published values for empty input and seed 0.
TEST(Hash, Xxh3MatchesReference) {
  EXPECT_EQ(xxh3_64({}), 0x2d06800538d394c2ULL);
  EXPECT_EQ(xxh3_128_hex({}), "99aa06d3014798d86001c324468d497f");
}

// The definition, word by word; HDF5's own check of it is in h5_test.cc.
std::uint32_t plain_fletcher32(const std::vector<std::byte>& bytes) {
  std::uint32_t s1 = 0, s2 = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const auto high = std::to_integer<std::uint32_t>(bytes[i]);
    const auto low = i + 1 < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i + 1]) : 0;
    s1 += (high << 8) | low;
    s1 = (s1 & 0xffff) + (s1 >> 16);
    s2 += s1;
    s2 = (s2 & 0xffff) + (s2 >> 16);
  }
  return (s2 << 16) | s1;
}

TEST(Hash, Fletcher32MatchesItsDefinition) {
  std::uint32_t x = 1;
  for (const std::size_t size : {0u, 1u, 2u, 3u, 31u, 32u, 33u, 8191u, 8192u, 8193u, 100'001u}) {
    std::vector<std::byte> bytes(size);
    EXPECT_EQ(fletcher32(bytes), 0u) << "zeros, " << size;
    for (auto& byte : bytes) byte = std::byte((x = x * 1664525 + 1013904223) >> 24);
    EXPECT_EQ(fletcher32(bytes), plain_fletcher32(bytes)) << size;
    for (auto& byte : bytes) byte = std::byte{0xff};
    EXPECT_EQ(fletcher32(bytes), plain_fletcher32(bytes)) << "ones, " << size;
  }
}

}  // namespace
}  // namespace rollmill
