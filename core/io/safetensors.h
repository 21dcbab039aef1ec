// Safetensors: named tensors in one file without code in it (https://github.com/huggingface/safetensors, format text).
// Layout: u64 little-endian header length, compact JSON header padded with spaces so that data starts 8-aligned, then
// the tensors, row-major, back to back, sorted by element size (largest first) and name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/io/hash.h"
#include "core/schema/dtype.h"

namespace rollmill {

struct Tensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  // empty: a scalar
  std::vector<std::byte> bytes;     // product(shape) * dtype_size(dtype)
};

struct TensorFile {
  std::map<std::string, std::string> metadata;  // the header's __metadata__
  std::vector<Tensor> tensors;                  // sorted as in the file

  const Tensor* find(const std::string& name) const;  // null when absent
  // The tensor of this name, dtype and shape, or Error kBadData that says what is there instead. `where` names the file.
  const Tensor& expect(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape,
                       const std::string& where) const;
};

inline constexpr std::uint64_t kMaxTensorFileBytes = std::uint64_t{16} << 30;

std::vector<std::byte> encode_safetensors(const TensorFile& file);
// Strict: refuses (Error kBadData) a header that is cut, over 8 MiB, no JSON object, nested too deep, with
// duplicate or unknown keys or values of a wrong kind; unknown dtypes; overflowing shapes; spans that overlap, leave
// holes, run past the end, or disagree with shape x dtype; trailing bytes. Memory stays within a small multiple of the input.
TensorFile decode_safetensors(Bytes bytes, const std::string& where);

// Atomically (atomic_file.h); Error kIo.
void write_safetensors(const std::string& path, const TensorFile& file);
TensorFile read_safetensors(const std::string& path, std::uint64_t max_bytes = kMaxTensorFileBytes);

// Error kBadData with tensor name, first index and count when a float tensor holds NaN or infinity.
void check_finite(const TensorFile& file, const std::string& where);

template <typename T>
Tensor make_tensor(std::string name, std::vector<std::int64_t> shape, std::span<const T> values) {
  const auto raw = std::as_bytes(values);
  return {std::move(name), dtype_of<T>, std::move(shape), {raw.begin(), raw.end()}};
}

}  // namespace rollmill
