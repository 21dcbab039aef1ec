#include "core/io/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/core/io/temp_dir.h"

namespace rollmill {
namespace {

using testing::exit_code_of;

TensorFile sample() {
  TensorFile file;
  file.metadata = {{"format_version", "1"}, {"env", "CartPole-v1"}};
  file.tensors.push_back(make_tensor<float>("w", {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}));
  file.tensors.push_back(make_tensor<std::int8_t>("a", {3}, std::vector<std::int8_t>{1, -2, 3}));
  file.tensors.push_back(make_tensor<double>("m", {}, std::vector<double>{0.5}));
  file.tensors.push_back(make_tensor<float>("b", {0}, std::vector<float>{}));
  return file;
}

std::string with_header(const std::string& header, std::size_t data) {
  const std::uint64_t size = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, 8);
  return bytes + header + std::string(data, 'x');
}

int code_of(const std::string& bytes, std::string* message = nullptr) {
  return exit_code_of([&] { decode_safetensors(bytes_of(bytes), "f"); }, message);
}

TEST(Safetensors, RoundTripIsSortedAlignedAndEqual) {
  const testing::TempDir dir;
  write_safetensors(dir / "p.safetensors", sample());
  const TensorFile file = read_safetensors(dir / "p.safetensors");
  EXPECT_EQ(file.metadata, sample().metadata);
  ASSERT_EQ(file.tensors.size(), 4u);
  EXPECT_EQ(file.tensors[0].name, "m");
  EXPECT_EQ(file.tensors[3].name, "a");
  EXPECT_EQ(file.expect("w", DType::kF32, {2, 3}, "f").bytes, sample().tensors[0].bytes);
  const auto bytes = encode_safetensors(sample());
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ(header % 8, 0u);
  EXPECT_NO_THROW(check_finite(file, "f"));
}

TEST(Safetensors, ExpectNamesBothShapes) {
  std::string message;
  EXPECT_EQ(exit_code_of([] { sample().expect("w", DType::kF32, {4, 3}, "f"); }, &message), 3);
  EXPECT_NE(message.find("[2,3]"), std::string::npos) << message;
  EXPECT_NE(message.find("[4,3]"), std::string::npos) << message;
  EXPECT_EQ(exit_code_of([] { sample().expect("q", DType::kF32, {}, "f"); }), 3);
}

TEST(Safetensors, FiniteCheckNamesTheTensor) {
  TensorFile file = sample();
  const float nan = std::nanf("");
  std::memcpy(file.tensors[0].bytes.data() + 8, &nan, 4);
  std::string message;
  EXPECT_EQ(exit_code_of([&] { check_finite(file, "f"); }, &message), 3);
  EXPECT_NE(message.find("\"w\" has 1 values"), std::string::npos) << message;
  EXPECT_NE(message.find("first at 2"), std::string::npos) << message;
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const auto bytes = encode_safetensors(sample());
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  ASSERT_EQ(code_of(text), 0);
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_EQ(code_of(text.substr(0, size)), 3) << size;
  EXPECT_EQ(code_of(text + "x"), 3);
}

TEST(Safetensors, HostileHeadersAreRefused) {
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& span) {
    return "\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + span + "}";
  };
  const std::string good = one("\"F32\"", "[1]", "[0,4]");
  ASSERT_EQ(code_of(with_header("{" + good + "}", 4)), 0);
  const std::string b = "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":";
  const std::pair<std::string, std::size_t> bad[] = {
      {"{" + good + "," + good + "}", 4},                             // duplicate name
      {"{" + one("\"F32\"", "[1]", "[0,4],\"shape\":[1]") + "}", 4},  // duplicate key inside
      {"{" + good + "," + b + "[2,6]}}", 6},                          // overlap
      {"{" + good + "," + b + "[8,12]}}", 12},                        // hole
      {"{" + good + "}", 5},                                          // trailing byte
      {"{" + good + "}", 3},                                          // truncated data
      {"{" + one("\"F32\"", "[2]", "[0,4]") + "}", 4},                // span is not shape x dtype
      {"{" + one("\"F32\"", "[4294967296,4294967296]", "[0,0]") + "}", 0},  // overflow to zero
      {"{" + one("\"F32\"", "[9223372036854775807,3]", "[0,4]") + "}", 4},  // overflow
      {"{" + one("\"F32\"", "[18446744073709551615]", "[0,4]") + "}", 4},
      {"{" + one("\"F32\"", "[-1]", "[0,4]") + "}", 4},
      {"{" + one("\"F32\"", "[1.0]", "[0,4]") + "}", 4},
      {"{" + one("\"F32\"", "[1]", "[4,0]") + "}", 4},
      {"{" + one("\"F32\"", "[1]", "[0]") + "}", 4},
      {"{" + one("\"F16\"", "[2]", "[0,4]") + "}", 4},  // not one of ours
      {"{" + one("7", "[1]", "[0,4]") + "}", 4},
      {"{" + one("\"F32\"", "[[1]]", "[0,4]") + "}", 4},
      {"{\"__metadata__\":{\"k\":1}," + good + "}", 4},  // metadata that is no text
      {"{\"__metadata__\":[]," + good + "}", 4},
      {"{" + good + "} x", 4},
      {" {" + good + "}", 4},  // leading blank
      {"[1]", 0},
      {"{", 0},
      {"{\"a\xff\":1}", 0},                        // not UTF-8
      {"{\"a\":" + std::string(100'000, '['), 0},  // nesting
      {"", 0},
  };
  for (const auto& [header, data] : bad)
    EXPECT_EQ(code_of(with_header(header, data)), 3) << header.substr(0, 80);
  std::string huge = with_header("{}", 0);
  huge[5] = 1;  // a header of 2^40 bytes
  EXPECT_EQ(code_of(huge), 3);
}

// A million short keys must not take quadratic time.
TEST(Safetensors, ManyKeysEndInTime) {
  std::string header = "{\"__metadata__\":{";
  for (int i = 0; i < 500'000; ++i) header += (i ? ",\"" : "\"") + std::to_string(i) + "\":\"\"";
  EXPECT_EQ(code_of(with_header(header + "}}", 0)), 0);
}

}  // namespace
}  // namespace rollmill
