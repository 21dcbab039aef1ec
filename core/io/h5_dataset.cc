#include <algorithm>
#include <cstring>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/io/h5.h"
#include "core/io/h5_internal.h"

namespace rollmill {

namespace {

constexpr std::uint64_t kTargetChunkBytes = std::uint64_t{1} << 20;

std::uint64_t bytes_of_row(DType dtype, const std::vector<std::uint64_t>& shape) {
  std::uint64_t bytes = dtype_size(dtype);
  for (std::size_t i = 1; i < shape.size(); ++i) bytes *= shape[i];
  return bytes;
}

H5Handle simple_space(const std::vector<std::uint64_t>& shape, const std::string& what) {
  const std::vector<hsize_t> dims(shape.begin(), shape.end());
  const hid_t space = dims.empty()
                          ? H5Screate(H5S_SCALAR)
                          : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
  return {h5::check_write(space, what), what};
}

H5Handle dataset_creation(const std::vector<std::uint64_t>& shape, std::uint64_t chunk_rows,
                          H5Filter filter, const std::string& what) {
  H5Handle plist(h5::check_write(H5Pcreate(H5P_DATASET_CREATE), what), what);
  h5::check_write(H5Pset_obj_track_times(plist.id(), false), what);
  h5::check_write(H5Pset_fill_time(plist.id(), H5D_FILL_TIME_NEVER),
                  what);  // every chunk is written, none needs fill values
  if (chunk_rows == 0) return plist;
  std::vector<hsize_t> chunk(shape.begin(), shape.end());
  chunk[0] = chunk_rows;
  h5::check_write(H5Pset_chunk(plist.id(), static_cast<int>(chunk.size()), chunk.data()), what);
  if (filter == H5Filter::kFletcher32) h5::check_write(H5Pset_fletcher32(plist.id()), what);
  if (filter == H5Filter::kGzip1Shuffle) {
    h5::check_write(H5Pset_shuffle(plist.id()), what);
    h5::check_write(H5Pset_deflate(plist.id(), 1), what);
  }
  return plist;
}

// Rows [begin, begin + count) of a dataset's space.
H5Handle select_rows(hid_t dataset, const std::vector<std::uint64_t>& shape, std::uint64_t begin,
                     std::uint64_t count, const std::string& what) {
  H5Handle space(h5::check_read(H5Dget_space(dataset), what), what);
  std::vector<hsize_t> start(shape.size(), 0);
  std::vector<hsize_t> extent(shape.begin(), shape.end());
  start[0] = begin;
  extent[0] = count;
  h5::check_read(H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, start.data(), nullptr,
                                     extent.data(), nullptr),
                 what);
  return space;
}

std::vector<std::uint64_t> shape_with_rows(std::vector<std::uint64_t> shape, std::uint64_t rows) {
  shape[0] = rows;
  return shape;
}

}  // namespace

// As few chunks of at most 1 MiB as hold all rows, and those of equal size, so that little of the last is padding.
std::uint64_t default_chunk_rows(std::uint64_t rows, std::uint64_t row_bytes) {
  const std::uint64_t most =
      std::max<std::uint64_t>(1, kTargetChunkBytes / std::max<std::uint64_t>(1, row_bytes));
  if (rows <= most) return std::max<std::uint64_t>(1, rows);
  const std::uint64_t chunks = (rows + most - 1) / most;
  return (rows + chunks - 1) / chunks;
}

H5Dataset::H5Dataset(H5Handle handle, DType dtype, std::vector<std::uint64_t> shape,
                     std::uint64_t chunk_rows, H5Filter filter)
    : H5Object(std::move(handle)),
      dtype_(dtype),
      shape_(std::move(shape)),
      row_bytes_(bytes_of_row(dtype_, shape_)),
      chunk_rows_(chunk_rows),
      filter_(filter) {}

H5Dataset H5Group::create_dataset(const std::string& name, DType dtype,
                                  std::vector<std::uint64_t> shape, H5Filter filter,
                                  std::uint64_t chunk_rows) {
  const h5::Call call;
  const std::string what = this->what() + "/" + name;
  const std::uint64_t row_bytes = bytes_of_row(dtype, shape);
  const bool chunked = !shape.empty() && shape[0] > 0 && row_bytes > 0;
  if (!chunked)
    chunk_rows = 0;
  else
    chunk_rows =
        std::min(shape[0], chunk_rows > 0 ? chunk_rows : default_chunk_rows(shape[0], row_bytes));
  const H5Handle type = h5::file_type(dtype);
  const H5Handle space = simple_space(shape, what);
  const H5Handle plist = dataset_creation(shape, chunk_rows, filter, what);
  H5Handle handle(h5::check_write(H5Dcreate2(handle_.id(), name.c_str(), type.id(), space.id(),
                                             H5P_DEFAULT, plist.id(), H5P_DEFAULT),
                                  what),
                  what);
  return H5Dataset(std::move(handle), dtype, std::move(shape), chunk_rows, filter);
}

H5Dataset H5Group::open_dataset(const std::string& path) const {
  const h5::Call call;
  const std::string what = this->what() + "/" + path;
  H5Handle handle(h5::check_read(H5Dopen2(handle_.id(), path.c_str(), H5P_DEFAULT), what), what);
  const H5Handle type(h5::check_read(H5Dget_type(handle.id()), what), what);
  const H5Handle space(h5::check_read(H5Dget_space(handle.id()), what), what);
  const int rank = h5::check_read(H5Sget_simple_extent_ndims(space.id()), what);
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  if (rank > 0) h5::check_read(H5Sget_simple_extent_dims(space.id(), dims.data(), nullptr), what);
  const H5Handle plist(h5::check_read(H5Dget_create_plist(handle.id()), what), what);
  std::vector<hsize_t> chunk(dims.size() + 1);
  const bool chunked = rank > 0 && H5Pget_layout(plist.id()) == H5D_CHUNKED &&
                       H5Pget_chunk(plist.id(), rank, chunk.data()) == rank;
  const DType dtype = h5::dtype_of_file_type(type.id(), what);
  return H5Dataset(std::move(handle), dtype, {dims.begin(), dims.end()}, chunked ? chunk[0] : 0,
                   H5Filter::kNone);
}

void H5Dataset::write_raw(std::uint64_t first_row, Bytes rows) {
  const std::size_t chunk_bytes = static_cast<std::size_t>(chunk_rows_ * row_bytes_);
  if (rows.size() < chunk_bytes || filter_ == H5Filter::kFletcher32) {
    scratch_.resize(chunk_bytes + sizeof(std::uint32_t));
    std::memcpy(scratch_.data(), rows.data(), rows.size());
    std::memset(scratch_.data() + rows.size(), 0,
                chunk_bytes - rows.size());  // the last chunk is stored whole
    rows = Bytes(scratch_).first(chunk_bytes);
  }
  if (filter_ == H5Filter::kFletcher32) {
    const std::uint32_t checksum = fletcher32(rows);
    std::memcpy(scratch_.data() + chunk_bytes, &checksum, sizeof checksum);
    rows = Bytes(scratch_);
  }
  std::vector<hsize_t> offset(shape_.size(), 0);
  offset[0] = first_row;
  h5::check_write(
      H5Dwrite_chunk(handle_.id(), H5P_DEFAULT, 0, offset.data(), rows.size(), rows.data()),
      what());
}

void H5Dataset::write_chunk(std::uint64_t first_row, Bytes rows) {
  RM_ASSERT(chunk_rows_ > 0 && first_row % chunk_rows_ == 0 && first_row < this->rows());
  const std::uint64_t count = std::min(chunk_rows_, this->rows() - first_row);
  RM_ASSERT(rows.size() == count * row_bytes_);
  const h5::Call call;
  if (filter_ != H5Filter::kGzip1Shuffle) {
    write_raw(first_row, rows);
    return;
  }
  const H5Handle type = h5::memory_type(dtype_);
  const H5Handle into = select_rows(handle_.id(), shape_, first_row, count, what());
  const H5Handle from = simple_space(shape_with_rows(shape_, count), what());
  h5::check_write(H5Dwrite(handle_.id(), type.id(), from.id(), into.id(), H5P_DEFAULT, rows.data()),
                  what());
}

void H5Dataset::write_all(Bytes bytes) {
  RM_ASSERT(bytes.size() == rows() * row_bytes_);
  if (chunk_rows_ == 0) {
    if (bytes.empty()) return;
    const h5::Call call;
    const H5Handle type = h5::memory_type(dtype_);
    h5::check_write(H5Dwrite(handle_.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()),
                    what());
    return;
  }
  for (std::uint64_t row = 0; row < rows(); row += chunk_rows_) {
    const std::uint64_t count = std::min(chunk_rows_, rows() - row);
    write_chunk(row, bytes.subspan(row * row_bytes_, count * row_bytes_));
  }
}

void H5Dataset::read_rows(std::uint64_t begin, std::uint64_t end, std::span<std::byte> out) const {
  RM_ASSERT(begin <= end && end <= rows() && out.size() == (end - begin) * row_bytes_);
  if (out.empty()) return;
  const h5::Call call;
  const H5Handle type = h5::memory_type(dtype_);
  if (shape_.empty()) {
    h5::check_read(H5Dread(handle_.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()),
                   what());
    return;
  }
  const H5Handle from = select_rows(handle_.id(), shape_, begin, end - begin, what());
  const H5Handle into = simple_space(shape_with_rows(shape_, end - begin), what());
  h5::check_read(H5Dread(handle_.id(), type.id(), into.id(), from.id(), H5P_DEFAULT, out.data()),
                 what());
}

std::vector<std::byte> H5Dataset::read_all() const {
  std::vector<std::byte> bytes(static_cast<std::size_t>(rows() * row_bytes_));
  read_rows(0, rows(), bytes);
  return bytes;
}

void H5Dataset::check_dtype(DType expected) const {
  if (dtype_ == expected) return;
  fail_data(what() + " holds " + dtype_name(dtype_) + ", expected " + dtype_name(expected) +
            "; the file is of another version or kind");
}

}  // namespace rollmill
