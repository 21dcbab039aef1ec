// Protocol buffers written by hand: the few messages of a TensorBoard event need no library and no generated code.
// https://protobuf.dev/programming-guides/encoding
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rollmill {

class ProtoMessage {
 public:
  // Field `number` with a value; fields may come in any order and repeat.
  ProtoMessage& integer(int number, std::int64_t value) {
    tag(number, 0);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  ProtoMessage& float64(int number, double value) {
    tag(number, 1);
    return fixed(&value, sizeof value);
  }
  ProtoMessage& float32(int number, float value) {
    tag(number, 5);
    return fixed(&value, sizeof value);
  }
  ProtoMessage& text(int number, std::string_view value) {
    tag(number, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  ProtoMessage& message(int number, const ProtoMessage& value) {
    return text(number, value.bytes_);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  void tag(int number, int wire_type) {
    varint(static_cast<std::uint64_t>(number) << 3 | static_cast<std::uint64_t>(wire_type));
  }
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>(value % 128 + 128);
    bytes_ += static_cast<char>(value);
  }
  ProtoMessage& fixed(const void* value, std::size_t size) {  // little-endian, as this machine
    bytes_.append(static_cast<const char*>(value), size);
    return *this;
  }

  std::string bytes_;
};

}  // namespace rollmill
