// TFRecord framing, the container of TensorBoard's event files: for each record its length (u64), the masked CRC-32C of
// the length (u32), its bytes, their masked CRC-32C (u32); all little-endian.
// https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rollmill {

// CRC-32C (Castagnoli; RFC 3720, B.4).
std::uint32_t crc32c(std::string_view bytes);

// One record with its frame.
std::string framed_record(std::string_view bytes);

// Cuts the file before the first record that `keep` refuses or that is torn or damaged. Throws Error (I/O).
void cut_records(const std::string& path, const std::function<bool(std::string_view)>& keep);

}  // namespace rollmill
