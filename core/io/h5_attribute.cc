#include <cstring>

#include "core/base/error.h"
#include "core/io/h5.h"
#include "core/io/h5_internal.h"

namespace rollmill {

namespace {

constexpr hssize_t kMaxStrings = 65536;
constexpr std::size_t kMaxStringBytes = std::size_t{16} << 20;

std::string attribute_name(const H5Object& object, const std::string& name) {
  return object.what() + " attribute " + name;
}

// Replaces an attribute of that name: a writer may set one twice.
void write_attribute(hid_t object, const std::string& name, hid_t type, hid_t space,
                     const void* value, const std::string& what) {
  if (H5Aexists(object, name.c_str()) > 0) h5::check_write(H5Adelete(object, name.c_str()), what);
  H5Handle attribute(
      h5::check_write(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                      what),
      what);
  // An empty list's data may be a null pointer, which HDF5 refuses.
  const std::int64_t nothing = 0;
  h5::check_write(H5Awrite(attribute.id(), type, value == nullptr ? &nothing : value), what);
  attribute.close();
}

void write_scalar(hid_t object, const std::string& name, hid_t type, const void* value,
                  const std::string& what) {
  const H5Handle space(h5::check_write(H5Screate(H5S_SCALAR), what), what);
  write_attribute(object, name, type, space.id(), value, what);
}

H5Handle open_attribute(hid_t object, const std::string& name, const std::string& what) {
  if (H5Aexists(object, name.c_str()) <= 0)
    fail_data(what + " is missing; the file is of another version or kind");
  return {h5::check_read(H5Aopen(object, name.c_str(), H5P_DEFAULT), what), what};
}

hssize_t count_of(hid_t attribute, const std::string& what) {
  const H5Handle space(h5::check_read(H5Aget_space(attribute), what), what);
  return h5::check_read(H5Sget_simple_extent_npoints(space.id()), what);
}

void read_number(hid_t object, const std::string& name, H5T_class_t kind, hid_t memory_type,
                 void* value, const std::string& what) {
  const H5Handle attribute = open_attribute(object, name, what);
  const H5Handle type(h5::check_read(H5Aget_type(attribute.id()), what), what);
  const H5T_class_t found = H5Tget_class(type.id());
  const bool fits = found == kind || (kind == H5T_FLOAT && found == H5T_INTEGER);
  if (!fits || count_of(attribute.id(), what) != 1)
    fail_data(what + " is not one number; the file is of another version or kind");
  h5::check_read(H5Aread(attribute.id(), memory_type, value), what);
}

std::vector<std::string> read_fixed(hid_t attribute, hid_t type, std::size_t count,
                                    const std::string& what) {
  const std::size_t size = H5Tget_size(type);
  if (size == 0 || size * count > kMaxStringBytes) fail_data(what + " is too long; refused");
  std::vector<char> raw(size * count);
  h5::check_read(H5Aread(attribute, type, raw.data()), what);
  std::vector<std::string> values;
  for (std::size_t i = 0; i < count; ++i)
    values.emplace_back(raw.data() + i * size, ::strnlen(raw.data() + i * size, size));
  return values;
}

std::vector<std::string> read_variable(hid_t attribute, hid_t type, std::size_t count,
                                       const std::string& what) {
  std::vector<char*> raw(count, nullptr);
  h5::check_read(H5Aread(attribute, type, raw.data()), what);
  std::vector<std::string> values;
  std::size_t total = 0;
  for (char* text : raw) {
    const std::size_t size = text == nullptr ? 0 : ::strnlen(text, kMaxStringBytes);
    total += size;
    if (total < kMaxStringBytes) values.emplace_back(text == nullptr ? "" : text, size);
    H5free_memory(text);
  }
  if (total >= kMaxStringBytes) fail_data(what + " is too long; refused");
  return values;
}

std::vector<std::string> read_strings(hid_t object, const std::string& name,
                                      const std::string& what) {
  const H5Handle attribute = open_attribute(object, name, what);
  const H5Handle type(h5::check_read(H5Aget_type(attribute.id()), what), what);
  const hssize_t count = count_of(attribute.id(), what);
  if (H5Tget_class(type.id()) != H5T_STRING || count > kMaxStrings)
    fail_data(what + " is not text; the file is of another version or kind");
  if (count == 0) return {};
  const auto size = static_cast<std::size_t>(count);
  return H5Tis_variable_str(type.id()) > 0 ? read_variable(attribute.id(), type.id(), size, what)
                                           : read_fixed(attribute.id(), type.id(), size, what);
}

}  // namespace

void H5Object::set_string(const std::string& name, std::string_view value) {
  const h5::Call call;
  const std::string text(value);
  const char* pointer = text.c_str();
  const H5Handle type = h5::string_type();
  write_scalar(handle_.id(), name, type.id(), &pointer, attribute_name(*this, name));
}

void H5Object::set_strings(const std::string& name, const std::vector<std::string>& values) {
  const h5::Call call;
  const std::string what = attribute_name(*this, name);
  std::vector<const char*> pointers;
  for (const std::string& value : values) pointers.push_back(value.c_str());
  const H5Handle type = h5::string_type();
  const hsize_t count = values.size();
  const H5Handle space(h5::check_write(H5Screate_simple(1, &count, nullptr), what), what);
  write_attribute(handle_.id(), name, type.id(), space.id(), pointers.data(), what);
}

void H5Object::set_int64s(const std::string& name, const std::vector<std::int64_t>& values) {
  const h5::Call call;
  const std::string what = attribute_name(*this, name);
  const hsize_t count = values.size();
  const H5Handle space(h5::check_write(H5Screate_simple(1, &count, nullptr), what), what);
  write_attribute(handle_.id(), name, H5T_STD_I64LE, space.id(), values.data(), what);
}

void H5Object::set_int64(const std::string& name, std::int64_t value) {
  const h5::Call call;
  write_scalar(handle_.id(), name, H5T_STD_I64LE, &value, attribute_name(*this, name));
}

void H5Object::set_uint64(const std::string& name, std::uint64_t value) {
  const h5::Call call;
  write_scalar(handle_.id(), name, H5T_STD_U64LE, &value, attribute_name(*this, name));
}

void H5Object::set_double(const std::string& name, double value) {
  const h5::Call call;
  write_scalar(handle_.id(), name, H5T_IEEE_F64LE, &value, attribute_name(*this, name));
}

bool H5Object::has_attribute(const std::string& name) const {
  const h5::Call call;
  return h5::check_read(H5Aexists(handle_.id(), name.c_str()), attribute_name(*this, name)) > 0;
}

std::string H5Object::get_string(const std::string& name) const {
  const h5::Call call;
  const std::string what = attribute_name(*this, name);
  auto values = read_strings(handle_.id(), name, what);
  if (values.size() != 1)
    fail_data(what + " is not one text; the file is of another version or kind");
  return values[0];
}

std::vector<std::string> H5Object::get_strings(const std::string& name) const {
  const h5::Call call;
  return read_strings(handle_.id(), name, attribute_name(*this, name));
}

std::int64_t H5Object::get_int64(const std::string& name) const {
  const h5::Call call;
  std::int64_t value = 0;
  read_number(handle_.id(), name, H5T_INTEGER, H5T_NATIVE_INT64, &value,
              attribute_name(*this, name));
  return value;
}

std::uint64_t H5Object::get_uint64(const std::string& name) const {
  const h5::Call call;
  std::uint64_t value = 0;
  read_number(handle_.id(), name, H5T_INTEGER, H5T_NATIVE_UINT64, &value,
              attribute_name(*this, name));
  return value;
}

double H5Object::get_double(const std::string& name) const {
  const h5::Call call;
  double value = 0;
  read_number(handle_.id(), name, H5T_FLOAT, H5T_NATIVE_DOUBLE, &value,
              attribute_name(*this, name));
  return value;
}

}  // namespace rollmill
