#include "core/log/record_file.h"

#include <array>
#include <cstring>

#include "core/log/append_file.h"

namespace rollmill {
namespace {

constexpr std::size_t kHead = 12, kTail = 4;  // bytes around a record

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ (c & 1 ? 0x82f63b78u : 0u);
    table[i] = c;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kTable = crc_table();

// A CRC of data that holds its own CRC would be 0 for whatever the data: hence the mask.
std::uint32_t masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

template <class Number>
void append_number(std::string& to, Number value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  to.append(raw, sizeof value);
}

template <class Number>
Number number_at(std::string_view bytes, std::size_t at) {
  Number value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char c : bytes) crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 255u] ^ crc >> 8;
  return ~crc;
}

std::string framed_record(std::string_view bytes) {
  std::string out;
  append_number(out, std::uint64_t{bytes.size()});
  append_number(out, masked_crc(out));
  out += bytes;
  append_number(out, masked_crc(bytes));
  return out;
}

void cut_records(const std::string& path, const std::function<bool(std::string_view)>& keep) {
  AppendFile file(path, "the TensorBoard events");
  const auto size = static_cast<std::uint64_t>(file.size());
  std::uint64_t at = 0;  // all before it stays
  std::string record;
  while (size - at >= kHead + kTail) {
    char head[kHead];
    file.read(head, kHead, static_cast<std::int64_t>(at));
    const std::string_view frame(head, kHead);
    const auto length = number_at<std::uint64_t>(frame, 0);
    if (number_at<std::uint32_t>(frame, 8) != masked_crc(frame.substr(0, 8))) break;
    if (length > size - at - kHead - kTail) break;
    record.resize(length + kTail);
    file.read(record.data(), record.size(), static_cast<std::int64_t>(at + kHead));
    const std::string_view bytes = std::string_view(record).substr(0, length);
    if (number_at<std::uint32_t>(record, length) != masked_crc(bytes) || !keep(bytes)) break;
    at += kHead + length + kTail;
  }
  if (at != size) file.cut(static_cast<std::int64_t>(at));
}

}  // namespace rollmill
