// Protocol buffers, written by hand: a message is a string of fields in the order of the calls
// (https://protobuf.dev/programming-guides/encoding). As much of it as ONNX files need.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rollmill {

class ProtobufMessage {
 public:
  // int32, int64, enums.
  ProtobufMessage& integer(int field, std::int64_t value) {
    key(field, kVarint);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  // Texts, raw bytes and messages within this one.
  ProtobufMessage& bytes(int field, std::string_view value) {
    key(field, kLengthDelimited);
    varint(value.size());
    encoded_ += value;
    return *this;
  }
  ProtobufMessage& message(int field, const ProtobufMessage& inner) {
    return bytes(field, inner.encoded_);
  }

  const std::string& encoded() const { return encoded_; }

 private:
  static constexpr std::uint64_t kVarint = 0, kLengthDelimited = 2;

  void key(int field, std::uint64_t wire_type) {
    varint(static_cast<std::uint64_t>(field) << 3 | wire_type);
  }
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) encoded_ += static_cast<char>((value & 127) | 128);
    encoded_ += static_cast<char>(value);
  }

  std::string encoded_;
};

}  // namespace rollmill
