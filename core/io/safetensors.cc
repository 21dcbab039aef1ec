#include "core/io/safetensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/strict_json.h"

namespace rollmill {

namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{8} << 20;
constexpr std::size_t kMaxRank = 16;

struct TypeName {
  DType dtype;
  const char* name;
};
constexpr TypeName kTypeNames[] = {
    {DType::kF64, "F64"}, {DType::kI64, "I64"},  {DType::kU64, "U64"}, {DType::kF32, "F32"},
    {DType::kI32, "I32"}, {DType::kU32, "U32"},  {DType::kI16, "I16"}, {DType::kI8, "I8"},
    {DType::kU8, "U8"},   {DType::kBool, "BOOL"}};

const char* type_name(DType dtype) {
  for (const auto& entry : kTypeNames) {
    if (entry.dtype == dtype) return entry.name;
  }
  return "?";
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

// Bytes of a tensor, or failure when the product does not fit.
std::uint64_t span_bytes(DType dtype, const std::vector<std::int64_t>& shape,
                         const std::string& where) {
  std::uint64_t total = dtype_size(dtype);
  bool empty = false;
  for (const std::int64_t side : shape) {
    empty = empty || side == 0;
    if (side != 0 &&
        total > std::numeric_limits<std::int64_t>::max() / static_cast<std::uint64_t>(side)) {
      fail_data(where + ": shape " + shape_text(shape) + " overflows; the file is damaged");
    }
    if (side != 0) total *= static_cast<std::uint64_t>(side);
  }
  return empty ? 0 : total;
}

std::uint64_t read_unsigned(const Json& value, const std::string& where) {
  if (!value.is_number_unsigned())
    fail_data(where + " must be a whole number of 0 or more; the file is damaged");
  const auto number = value.get<std::uint64_t>();
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    fail_data(where + " overflows; the file is damaged");
  }
  return number;
}

const Json& member(const Json& object, const char* key, Json::value_t kind,
                   const std::string& where) {
  const auto at = object.find(key);
  if (at == object.end() || at->type() != kind) {
    fail_data(where + ": \"" + key + "\" is missing or of the wrong kind; the file is damaged");
  }
  return *at;
}

struct Entry {
  Tensor tensor;
  std::uint64_t begin = 0, end = 0;
};

Entry parse_entry(const std::string& name, const Json& json, const std::string& file) {
  const std::string where = file + ": tensor \"" + name + "\"";
  if (!json.is_object() || json.size() != 3) {
    fail_data(where + ": exactly dtype, shape and data_offsets are expected; the file is damaged");
  }
  const auto& type =
      member(json, "dtype", Json::value_t::string, where).get_ref<const std::string&>();
  Entry entry;
  entry.tensor.name = name;
  const auto* known = std::find_if(std::begin(kTypeNames), std::end(kTypeNames),
                                   [&](const auto& t) { return type == t.name; });
  if (known == std::end(kTypeNames))
    fail_data(where + ": dtype " + type.substr(0, 16) + " is not supported; convert it to F32");
  entry.tensor.dtype = known->dtype;
  const Json& shape = member(json, "shape", Json::value_t::array, where);
  if (shape.size() > kMaxRank)
    fail_data(where + ": more than " + std::to_string(kMaxRank) +
              " dimensions; the file is damaged");
  for (const Json& side : shape) {
    entry.tensor.shape.push_back(static_cast<std::int64_t>(read_unsigned(side, where + ": shape")));
  }
  const Json& offsets = member(json, "data_offsets", Json::value_t::array, where);
  if (offsets.size() != 2)
    fail_data(where + ": data_offsets must be two numbers; the file is damaged");
  entry.begin = read_unsigned(offsets[0], where + ": data_offsets");
  entry.end = read_unsigned(offsets[1], where + ": data_offsets");
  const std::uint64_t expected = span_bytes(entry.tensor.dtype, entry.tensor.shape, where);
  if (entry.end < entry.begin || entry.end - entry.begin != expected) {
    fail_data(where + ": data_offsets [" + std::to_string(entry.begin) + "," +
              std::to_string(entry.end) + "] do not hold " + std::to_string(expected) +
              " bytes of " + type + shape_text(entry.tensor.shape) + "; the file is damaged");
  }
  return entry;
}

// Spans must tile the data area: no hole, no overlap, nothing behind the last.
void check_tiling(std::vector<Entry>& entries, std::uint64_t data_bytes, const std::string& where) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t at = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != at) {
      fail_data(where + ": tensor \"" + entry.tensor.name + "\" " +
                (entry.begin < at ? "overlaps another" : "follows a hole") + " at byte " +
                std::to_string(at) + "; the file is damaged");
    }
    at = entry.end;
  }
  if (at != data_bytes) {
    fail_data(where + ": tensors end at byte " + std::to_string(at) + " of " +
              std::to_string(data_bytes) + " bytes of data; the file is " +
              (at > data_bytes ? "truncated" : "followed by foreign bytes"));
  }
}

bool file_order(const Tensor* a, const Tensor* b) {
  const auto left = dtype_size(a->dtype), right = dtype_size(b->dtype);
  return left != right ? left > right : a->name < b->name;
}

template <typename T>
void check_finite_as(const Tensor& tensor, const std::string& where) {
  std::uint64_t bad = 0, first = 0;
  const std::size_t count = tensor.bytes.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, tensor.bytes.data() + i * sizeof(T), sizeof(T));
    if (!std::isfinite(value) && bad++ == 0) first = i;
  }
  if (bad != 0) {
    fail_data(where + ": tensor \"" + tensor.name + "\" has " + std::to_string(bad) +
              " values that are NaN or infinite, the first at " + std::to_string(first) +
              "; use an older checkpoint");
  }
}

}  // namespace

const Tensor* TensorFile::find(const std::string& name) const {
  for (const Tensor& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

const Tensor& TensorFile::expect(const std::string& name, DType dtype,
                                 const std::vector<std::int64_t>& shape,
                                 const std::string& where) const {
  const Tensor* tensor = find(name);
  if (tensor == nullptr)
    fail_data(where + ": tensor \"" + name + "\" is missing; is it another model's file?");
  if (tensor->dtype != dtype || tensor->shape != shape) {
    fail_data(where + ": tensor \"" + name + "\" is " + type_name(tensor->dtype) +
              shape_text(tensor->shape) + ", expected " + type_name(dtype) + shape_text(shape) +
              "; is it another model's file?");
  }
  return *tensor;
}

std::vector<std::byte> encode_safetensors(const TensorFile& file) {
  std::vector<const Tensor*> order;
  for (const Tensor& tensor : file.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), file_order);
  Json header = Json::object();
  if (!file.metadata.empty()) header["__metadata__"] = file.metadata;
  std::uint64_t at = 0;
  for (const Tensor* tensor : order) {
    RM_ASSERT(tensor->name != "__metadata__" && !header.contains(tensor->name));
    RM_ASSERT(tensor->bytes.size() == span_bytes(tensor->dtype, tensor->shape, tensor->name));
    const std::uint64_t end = at + tensor->bytes.size();
    header[tensor->name] = {
        {"dtype", type_name(tensor->dtype)}, {"shape", tensor->shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  std::vector<std::byte> bytes(sizeof length + text.size() + at);
  std::memcpy(bytes.data(), &length, sizeof length);
  std::memcpy(bytes.data() + sizeof length, text.data(), text.size());
  std::size_t into = sizeof length + text.size();
  for (const Tensor* tensor : order) {
    std::copy(tensor->bytes.begin(), tensor->bytes.end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(into));
    into += tensor->bytes.size();
  }
  return bytes;
}

TensorFile decode_safetensors(Bytes bytes, const std::string& where) {
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length)
    fail_data(where + ": too short for a safetensors file; it is empty or truncated");
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > kMaxHeaderBytes) {
    fail_data(where + ": claims a header of " + std::to_string(length) +
              " bytes, over the 8 MiB allowed; not a safetensors file or damaged");
  }
  if (length > bytes.size() - sizeof length)
    fail_data(where + ": ends inside its header; the file is truncated");
  const Bytes text = bytes.subspan(sizeof length, length);
  if (text.empty() || text[0] != std::byte{'{'})
    fail_data(where + ": header does not start with '{'; not a safetensors file");
  const Json header =
      parse_json_strict({reinterpret_cast<const char*>(text.data()), text.size()}, where, 3);

  TensorFile file;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name != "__metadata__") {
      entries.push_back(parse_entry(name, value, where));
      continue;
    }
    if (!value.is_object())
      fail_data(where + ": __metadata__ must map strings to strings; the file is damaged");
    for (const auto& [key, note] : value.items()) {
      if (!note.is_string())
        fail_data(where + ": __metadata__ must map strings to strings; the file is damaged");
      file.metadata[key] = note.get<std::string>();
    }
  }
  const Bytes data = bytes.subspan(sizeof length + length);
  check_tiling(entries, data.size(), where);
  for (Entry& entry : entries) {
    const Bytes part = data.subspan(entry.begin, entry.end - entry.begin);
    entry.tensor.bytes.assign(part.begin(), part.end());
    file.tensors.push_back(std::move(entry.tensor));
  }
  return file;
}

void write_safetensors(const std::string& path, const TensorFile& file) {
  write_file_atomic(path, encode_safetensors(file));
}

TensorFile read_safetensors(const std::string& path, std::uint64_t max_bytes) {
  const std::string text = read_file(path, max_bytes);
  return decode_safetensors(bytes_of(text), path);
}

void check_finite(const TensorFile& file, const std::string& where) {
  for (const Tensor& tensor : file.tensors) {
    if (tensor.dtype == DType::kF32) check_finite_as<float>(tensor, where);
    if (tensor.dtype == DType::kF64) check_finite_as<double>(tensor, where);
  }
}

}  // namespace rollmill
