// What a foreign HDF5 file may not contain, checked by walking it before any of its data is read. HDF5's parser itself
// is not hardened: h5_probe.cc runs all this in a child process first.
#include <limits>
#include <set>

#include "core/base/error.h"
#include "core/io/h5_internal.h"

namespace rollmill::h5 {

namespace {

constexpr std::uint64_t kMaxAttributeBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxDeflateRatio = 1032;  // what the deflate format can reach at most
constexpr std::size_t kMaxNameBytes = 255;

[[noreturn]] void refuse(const std::string& what, const std::string& why) {
  fail_data("cannot read " + what + ": " + why + "; refused");
}

std::uint64_t multiply(std::uint64_t a, std::uint64_t b, const std::string& what) {
  if (a != 0 && b > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / a)
    refuse(what, "its size overflows");
  return a * b;
}

struct Link {
  std::string name;
  H5L_type_t type;
};

class Inspector {
 public:
  Inspector(const std::string& path, std::uint64_t file_bytes, const H5Limits& limits)
      : path_(path), file_bytes_(file_bytes), limits_(limits) {}

  const std::vector<std::string>& datasets() const { return datasets_; }

  void group(hid_t group, const std::string& name, int depth) {
    const std::string what = path_ + ":" + (name.empty() ? "/" : name);
    if (depth > limits_.max_depth) refuse(what, "groups are nested too deep");
    attributes(group, what);
    for (const Link& link : links(group, what)) child(group, link, name + "/" + link.name, depth);
  }

 private:
  std::vector<Link> links(hid_t group, const std::string& what) {
    H5G_info_t info;
    check_read(H5Gget_info(group, &info), what);
    objects_ += info.nlinks;
    if (info.nlinks > static_cast<hsize_t>(limits_.max_objects) ||
        objects_ > static_cast<hsize_t>(limits_.max_objects)) {
      refuse(what, "more than " + std::to_string(limits_.max_objects) + " objects");
    }
    std::vector<Link> found;
    const auto collect = [](hid_t, const char* name, const H5L_info_t* link, void* into) -> herr_t {
      auto& list = *static_cast<std::vector<Link>*>(into);
      list.push_back({name, link->type});
      return list.size() > 10'000'000 ? 1 : 0;  // a looping tree of links ends here
    };
    check_read(H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, collect, &found), what);
    if (found.size() != info.nlinks) refuse(what, "the number of links is not what the group says");
    return found;
  }

  void child(hid_t parent, const Link& link, const std::string& name, int depth) {
    const std::string what = path_ + ":" + name;
    if (link.name.empty() || link.name.size() > kMaxNameBytes)
      refuse(what, "an object name is empty or too long");
    if (link.type != H5L_TYPE_HARD) refuse(what, "a soft, external or user-defined link");
    const H5Handle object(check_read(H5Oopen(parent, link.name.c_str(), H5P_DEFAULT), what), what);
    H5O_info_t info;
    check_read(H5Oget_info2(object.id(), &info, H5O_INFO_BASIC), what);
    if (!seen_.insert(info.addr).second)
      refuse(what, "an object with two names");  // covers loops of groups
    if (info.type == H5O_TYPE_GROUP) return group(object.id(), name, depth + 1);
    if (info.type != H5O_TYPE_DATASET)
      refuse(what, "an object that is neither a group nor a dataset");
    attributes(object.id(), what);
    dataset(object.id(), what);
    datasets_.push_back(name.substr(1));
  }

  void attributes(hid_t object, const std::string& what) {
    H5O_info_t info;
    check_read(H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS), what);
    if (info.num_attrs > static_cast<hsize_t>(limits_.max_attributes))
      refuse(what, "too many attributes");
    for (hsize_t i = 0; i < info.num_attrs; ++i) {
      const H5Handle attribute(check_read(H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_NATIVE,
                                                         i, H5P_DEFAULT, H5P_DEFAULT),
                                          what),
                               what);
      const H5Handle space(check_read(H5Aget_space(attribute.id()), what), what);
      const H5Handle type(check_read(H5Aget_type(attribute.id()), what), what);
      const hssize_t count = check_read(H5Sget_simple_extent_npoints(space.id()), what);
      if (multiply(static_cast<std::uint64_t>(count), H5Tget_size(type.id()), what) >
          kMaxAttributeBytes) {
        refuse(what, "an attribute over 1 MiB");
      }
      const H5T_class_t kind = H5Tget_class(type.id());
      if (kind == H5T_VLEN || kind == H5T_REFERENCE || kind == H5T_COMPOUND || kind == H5T_OPAQUE) {
        refuse(what, "an attribute that is neither numbers nor text");
      }
      read_attribute(attribute.id(), type.id(), space.id(), static_cast<std::size_t>(count), what);
    }
  }

  // Text of variable length lives in heaps of the file that the parser trusts: whatever breaks must break here.
  static void read_attribute(hid_t attribute, hid_t type, hid_t space, std::size_t count,
                             const std::string& what) {
    std::vector<std::byte> values(count * H5Tget_size(type) + 1);
    check_read(H5Aread(attribute, type, values.data()), what);
    if (H5Tis_variable_str(type) > 0)
      check_read(H5Dvlen_reclaim(type, space, H5P_DEFAULT, values.data()), what);
  }

  // True when deflate is among the filters.
  bool filters(hid_t plist, const std::string& what) {
    bool deflate = false;
    const int count = check_read(H5Pget_nfilters(plist), what);
    if (count > 8) refuse(what, "too many filters");
    for (int i = 0; i < count; ++i) {
      unsigned flags = 0, values[8] = {}, config = 0;
      std::size_t value_count = 8;
      char name[64] = {};
      const H5Z_filter_t filter =
          check_read(H5Pget_filter2(plist, static_cast<unsigned>(i), &flags, &value_count, values,
                                    sizeof name, name, &config),
                     what);
      if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE &&
          filter != H5Z_FILTER_FLETCHER32) {
        refuse(what, "filter " + std::to_string(filter) + " is not deflate, shuffle or fletcher32");
      }
      deflate = deflate || filter == H5Z_FILTER_DEFLATE;
    }
    return deflate;
  }

  void dataset(hid_t dataset, const std::string& what) {
    const H5Handle plist(check_read(H5Dget_create_plist(dataset), what), what);
    const H5D_layout_t layout = H5Pget_layout(plist.id());
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
      refuse(what, "a virtual dataset");
    if (check_read(H5Pget_external_count(plist.id()), what) != 0) refuse(what, "external storage");
    const bool deflate = filters(plist.id(), what);
    const H5Handle type(check_read(H5Dget_type(dataset), what), what);
    const std::uint64_t element = dtype_size(dtype_of_file_type(type.id(), what));

    const H5Handle space(check_read(H5Dget_space(dataset), what), what);
    if (H5Sget_simple_extent_type(space.id()) == H5S_NULL)
      refuse(what, "a dataset without a shape");
    const int rank = check_read(H5Sget_simple_extent_ndims(space.id()), what);
    if (rank > limits_.max_rank) refuse(what, "too many dimensions");
    std::vector<hsize_t> dims(static_cast<std::size_t>(rank) + 1),
        chunk(static_cast<std::size_t>(rank) + 1);
    check_read(H5Sget_simple_extent_dims(space.id(), dims.data(), nullptr), what);
    std::uint64_t bytes = element;
    for (int i = 0; i < rank; ++i) bytes = multiply(bytes, dims[static_cast<std::size_t>(i)], what);
    if (layout == H5D_CHUNKED) {
      if (H5Pget_chunk(plist.id(), rank, chunk.data()) != rank)
        refuse(what, "its chunks have another rank");
      std::uint64_t chunk_bytes = element;
      for (int i = 0; i < rank; ++i)
        chunk_bytes = multiply(chunk_bytes, chunk[static_cast<std::size_t>(i)], what);
      if (chunk_bytes > limits_.max_chunk_bytes)
        refuse(what, "a chunk of " + std::to_string(chunk_bytes) + " bytes");
    }
    extent(dataset, bytes, deflate, what);
  }

  // What is declared must be there: a small file can declare terabytes, and missing chunks read as fill values.
  void extent(hid_t dataset, std::uint64_t bytes, bool deflate, const std::string& what) {
    const std::uint64_t stored = H5Dget_storage_size(dataset);
    H5Eclear2(H5E_DEFAULT);
    if (stored > file_bytes_ - stored_) refuse(what, "its data is larger than the file");
    stored_ += stored;
    const std::uint64_t reach = deflate ? multiply(stored, kMaxDeflateRatio, what) : stored;
    if (bytes > reach) {
      refuse(what, std::to_string(bytes) + " bytes are declared, " + std::to_string(stored) +
                       " are stored: the file is incomplete");
    }
  }

  const std::string& path_;
  std::uint64_t file_bytes_;
  const H5Limits& limits_;
  hsize_t objects_ = 0;
  std::uint64_t stored_ = 0;
  std::set<haddr_t> seen_;
  std::vector<std::string> datasets_;
};

}  // namespace

std::vector<std::string> inspect(const std::string& path, hid_t file, std::uint64_t file_bytes,
                                 const H5Limits& limits) {
  const H5Handle root(check_read(H5Gopen2(file, "/", H5P_DEFAULT), path), path);
  Inspector inspector(path, file_bytes, limits);
  inspector.group(root.id(), "", 0);
  return inspector.datasets();
}

}  // namespace rollmill::h5
