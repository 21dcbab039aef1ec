// HDF5 behind move-only owners: every call is checked, the library's own error stack is silent and its deepest message
// becomes part of our Error (kIo while writing, kBadData while reading). Nothing of hdf5.h leaks from here.
// Calls are serialised by one lock in the process; keep heavy writing to one thread all the same.
// Files carry no time stamps and no bytes from uninitialised memory: equal content gives equal bytes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/hash.h"
#include "core/schema/dtype.h"

namespace rollmill {

enum class H5Filter {
  kNone,          // chunked, no checksum
  kFletcher32,    // checksum a chunk: a flipped bit is found on reading
  kGzip1Shuffle,  // deflate level 1 behind byte shuffle: every reader has both
};

// Owner of one HDF5 identifier; `what` ("FILE" or "FILE:/path") names it in messages.
class H5Handle {
 public:
  H5Handle() = default;
  H5Handle(std::int64_t id, std::string what) : id_(id), what_(std::move(what)) {}
  ~H5Handle();
  H5Handle(H5Handle&& other) noexcept;
  H5Handle& operator=(H5Handle&& other) noexcept;
  std::int64_t id() const { return id_; }
  const std::string& what() const { return what_; }
  bool open() const { return id_ >= 0; }
  void close();  // checked; the destructor closes without a check

 private:
  std::int64_t id_ = -1;
  std::string what_;
};

// Attributes of a group, dataset or file root. Strings are variable-length UTF-8; numbers are scalars or lists.
class H5Object {
 public:
  void set_string(const std::string& name, std::string_view value);
  void set_strings(const std::string& name, const std::vector<std::string>& values);
  void set_int64(const std::string& name, std::int64_t value);
  void set_int64s(const std::string& name, const std::vector<std::int64_t>& values);
  void set_uint64(const std::string& name, std::uint64_t value);
  void set_double(const std::string& name, double value);
  bool has_attribute(const std::string& name) const;
  // Missing, or of another kind or size: Error kBadData.
  std::string get_string(const std::string& name) const;
  std::vector<std::string> get_strings(const std::string& name) const;
  std::int64_t get_int64(const std::string& name) const;
  std::uint64_t get_uint64(const std::string& name) const;
  double get_double(const std::string& name) const;
  const std::string& what() const { return handle_.what(); }
  void close() { handle_.close(); }

 protected:
  H5Object() = default;
  explicit H5Object(H5Handle handle) : handle_(std::move(handle)) {}
  H5Handle handle_;
};

// A row-major array; a "row" is one index of the first dimension. Data crosses as raw bytes in host byte order.
class H5Dataset : public H5Object {
 public:
  DType dtype() const { return dtype_; }
  const std::vector<std::uint64_t>& shape() const { return shape_; }
  std::uint64_t rows() const { return shape_.empty() ? 1 : shape_[0]; }
  std::uint64_t row_bytes() const { return row_bytes_; }
  std::uint64_t chunk_rows() const { return chunk_rows_; }  // 0: contiguous

  // Writes the chunk that starts at first_row (a multiple of chunk_rows), given all its rows: chunk_rows of them, or what
  // is left at the end of the array. Uncompressed chunks bypass HDF5's pipeline (H5Dwrite_chunk).
  void write_chunk(std::uint64_t first_row, Bytes rows);
  // The whole array, chunk by chunk; bytes.size() == rows() * row_bytes().
  void write_all(Bytes bytes);

  // Rows [begin, end) into out, which has (end - begin) * row_bytes() bytes.
  void read_rows(std::uint64_t begin, std::uint64_t end, std::span<std::byte> out) const;
  std::vector<std::byte> read_all() const;
  template <typename T>
  std::vector<T> read_vector() const {  // dtype must be T's, else Error kBadData
    check_dtype(dtype_of<T>);
    std::vector<T> values(static_cast<std::size_t>(rows() * row_bytes() / sizeof(T)));
    read_rows(0, rows(), std::as_writable_bytes(std::span(values)));
    return values;
  }
  void check_dtype(DType expected) const;

 private:
  friend class H5Group;
  H5Dataset(H5Handle handle, DType dtype, std::vector<std::uint64_t> shape,
            std::uint64_t chunk_rows, H5Filter filter);
  void write_raw(std::uint64_t first_row, Bytes rows);

  DType dtype_ = DType::kI8;
  std::vector<std::uint64_t> shape_;
  std::uint64_t row_bytes_ = 0;
  std::uint64_t chunk_rows_ = 0;
  H5Filter filter_ = H5Filter::kNone;
  std::vector<std::byte> scratch_;
};

class H5Group : public H5Object {
 public:
  H5Group create_group(const std::string& name);
  H5Group open_group(const std::string& name) const;
  // Creates a chunked array of fixed shape; chunk_rows rows a chunk, 0 for default_chunk_rows. An empty array
  // is contiguous and has no filter.
  H5Dataset create_dataset(const std::string& name, DType dtype, std::vector<std::uint64_t> shape,
                           H5Filter filter = H5Filter::kFletcher32, std::uint64_t chunk_rows = 0);
  H5Dataset open_dataset(const std::string& path) const;
  bool has(const std::string& name) const;  // a direct child
  std::vector<std::string> names() const;   // direct children, sorted

  // Convenience: create and write.
  template <typename T>
  void write(const std::string& name, std::vector<std::uint64_t> shape, std::span<const T> values,
             H5Filter filter = H5Filter::kFletcher32) {
    create_dataset(name, dtype_of<T>, std::move(shape), filter).write_all(std::as_bytes(values));
  }

 private:
  friend class H5File;
  explicit H5Group(H5Handle handle) : H5Object(std::move(handle)) {}
};

// Whole rows that make a chunk of about 1 MiB, at least 1 and at most `rows`.
std::uint64_t default_chunk_rows(std::uint64_t rows, std::uint64_t row_bytes);

// What open_untrusted tolerates.
struct H5Limits {
  std::uint64_t max_file_bytes = std::uint64_t{1} << 40;
  std::uint64_t max_chunk_bytes = std::uint64_t{64} << 20;
  int max_objects = 10000;
  int max_depth = 8;
  int max_rank = 8;
  int max_attributes = 1000;  // of one object
  // Read it whole in a child process first, because the parser crashes on some damaged files. Switch off only for
  // files whose hash was just found right.
  bool probe = true;
  // With that process, between signs of headway: 16 MB read.
  std::chrono::milliseconds patience{60'000};
};

class H5File {
 public:
  // Truncates; write to AtomicPath::tmp().
  static H5File create(const std::string& path);
  static H5File open_readonly(const std::string& path);
  // For files that others made. Before anything is allocated: magic and size; hard links only, no loops; no virtual or
  // external storage; filters deflate, shuffle, fletcher32 only (plugins are off for the process); plain number and bool
  // types; extents that agree with the bytes stored. Error kBadData naming file and object.
  static H5File open_untrusted(const std::string& path, const H5Limits& limits = {});

  H5Group& root() { return *root_; }
  std::int64_t id() const { return handle_.id(); }
  // Closes all, checked. After writing, an unchecked close would hide a full disk.
  void close();

 private:
  H5File(H5Handle handle, std::unique_ptr<H5Group> root)
      : handle_(std::move(handle)), root_(std::move(root)) {}
  static H5File open(const std::string& path);
  H5Handle handle_;
  std::unique_ptr<H5Group> root_;
};

}  // namespace rollmill
