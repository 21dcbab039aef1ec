#include "core/io/h5.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/h5_internal.h"

namespace rollmill {

namespace h5 {

namespace {

// Recursive by a count of our own: a std::recursive_mutex knows its owner by thread id, which changes in a forked child
// (h5_probe.cc forks while it holds the lock).
std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}
thread_local int call_depth = 0;

void set_up_library() {
  // After a full disk HDF5's atexit handler crashes on what it could not write.
  H5dont_atexit();
  H5open();
  H5PLset_loading_state(0);  // a plugin named by a file is code
}

// The part of a low-level driver's message that says why: "error message = 'No space left on device'".
std::string reason_in(const std::string& text) {
  const std::string mark = "error message = '";
  const auto at = text.find(mark);
  if (at == std::string::npos) return text;
  const auto begin = at + mark.size();
  return text.substr(begin, text.find('\'', begin) - begin);
}

H5Handle copy_type(hid_t type) { return {check_read(H5Tcopy(type), "HDF5 type"), "HDF5 type"}; }

H5Handle bool_type() {
  H5Handle type(check_read(H5Tenum_create(H5T_STD_I8LE), "HDF5 bool"), "HDF5 bool");
  const signed char no = 0, yes = 1;
  check_read(H5Tenum_insert(type.id(), "FALSE", &no), "HDF5 bool");
  check_read(H5Tenum_insert(type.id(), "TRUE", &yes), "HDF5 bool");
  return type;
}

bool is_bool_enum(hid_t type) {
  if (H5Tget_size(type) != 1 || H5Tget_nmembers(type) != 2) return false;
  signed char no = -1, yes = -1;
  return H5Tenum_valueof(type, "FALSE", &no) >= 0 && H5Tenum_valueof(type, "TRUE", &yes) >= 0 &&
         no == 0 && yes == 1;
}

}  // namespace

Call::Call() {
  if (call_depth++ == 0) library_mutex().lock();
  static const bool ready = (set_up_library(), true);
  thread_local const bool silent = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  (void)ready;
  (void)silent;
}

Call::~Call() {
  if (--call_depth == 0) library_mutex().unlock();
}

std::string last_error() {
  std::string text;
  const auto take_first = [](unsigned, const H5E_error2_t* error, void* into) -> herr_t {
    auto& found = *static_cast<std::string*>(into);
    if (found.empty() && error->desc != nullptr) found = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &text);
  H5Eclear2(H5E_DEFAULT);
  text = reason_in(text).substr(0, 200);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.empty() ? "HDF5 gives no reason" : text;
}

void fail_write(const std::string& what) {
  fail_io("cannot write " + what + ": " + last_error() +
          "; check the space and permissions of the folder, then run again with --resume");
}

void fail_read(const std::string& what) {
  const std::string reason = last_error();
  if (reason.find("already open for write") != std::string::npos ||
      reason.find("not properly closed") != std::string::npos) {
    fail_data("cannot read " + what +
              ": unfinished file, its writer was killed; remove it, or try h5clear -s on a copy");
  }
  fail_data("cannot read " + what + ": " + reason +
            "; the file is damaged or not what is expected here");
}

H5Handle file_type(DType dtype) {
  switch (dtype) {
    case DType::kI8: return copy_type(H5T_STD_I8LE);
    case DType::kU8: return copy_type(H5T_STD_U8LE);
    case DType::kBool: return bool_type();
    case DType::kI16: return copy_type(H5T_STD_I16LE);
    case DType::kI32: return copy_type(H5T_STD_I32LE);
    case DType::kI64: return copy_type(H5T_STD_I64LE);
    case DType::kU32: return copy_type(H5T_STD_U32LE);
    case DType::kU64: return copy_type(H5T_STD_U64LE);
    case DType::kF32: return copy_type(H5T_IEEE_F32LE);
    case DType::kF64: return copy_type(H5T_IEEE_F64LE);
  }
  fail_data("HDF5: unknown dtype");
}

// Hosts are little-endian (hash.cc asserts it), so memory and file types are the same.
H5Handle memory_type(DType dtype) { return file_type(dtype); }

DType dtype_of_file_type(hid_t type, const std::string& what) {
  const std::size_t size = H5Tget_size(type);
  const H5T_class_t kind = H5Tget_class(type);
  if (kind == H5T_ENUM && is_bool_enum(type)) return DType::kBool;
  if (kind == H5T_FLOAT && size == 4) return DType::kF32;
  if (kind == H5T_FLOAT && size == 8) return DType::kF64;
  if (kind == H5T_INTEGER) {
    const bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
    if (size == 1) return is_signed ? DType::kI8 : DType::kU8;
    if (size == 2 && is_signed) return DType::kI16;
    if (size == 4) return is_signed ? DType::kI32 : DType::kU32;
    if (size == 8) return is_signed ? DType::kI64 : DType::kU64;
  }
  fail_data("cannot read " + what +
            ": its element type is none of ours (int8..int64, uint8, uint32, uint64, float32, "
            "float64, bool); convert it");
}

H5Handle string_type() {
  H5Handle type(check_write(H5Tcopy(H5T_C_S1), "HDF5 string"), "HDF5 string");
  check_write(H5Tset_size(type.id(), H5T_VARIABLE), "HDF5 string");
  check_write(H5Tset_cset(type.id(), H5T_CSET_UTF8), "HDF5 string");
  return type;
}

}  // namespace h5

namespace {

herr_t close_id(hid_t id) {
  switch (H5Iget_type(id)) {
    case H5I_FILE: return H5Fclose(id);
    case H5I_GROUP: return H5Gclose(id);
    case H5I_DATASET: return H5Dclose(id);
    case H5I_DATATYPE: return H5Tclose(id);
    case H5I_DATASPACE: return H5Sclose(id);
    case H5I_ATTR: return H5Aclose(id);
    case H5I_GENPROP_LST: return H5Pclose(id);
    default: return H5Oclose(id);
  }
}

H5Handle file_access() {
  H5Handle plist(h5::check_read(H5Pcreate(H5P_FILE_ACCESS), "HDF5 file access"),
                 "HDF5 file access");
  // Lock where the file system can. Nobody opens a file that is being written: it has a temporary name.
  h5::check_read(H5Pset_file_locking(plist.id(), true, true), "HDF5 file access");
  // Closing a file with objects still open fails instead of leaving it open unseen.
  h5::check_read(H5Pset_fclose_degree(plist.id(), H5F_CLOSE_SEMI), "HDF5 file access");
  return plist;
}

// No time stamps: equal content, equal bytes.
H5Handle creation(hid_t list_class) {
  H5Handle plist(h5::check_write(H5Pcreate(list_class), "HDF5 creation"), "HDF5 creation");
  h5::check_write(H5Pset_obj_track_times(plist.id(), false), "HDF5 creation");
  return plist;
}

}  // namespace

H5Handle::~H5Handle() {
  if (id_ < 0) return;
  const h5::Call call;
  close_id(id_);
}

H5Handle::H5Handle(H5Handle&& other) noexcept
    : id_(std::exchange(other.id_, -1)), what_(std::move(other.what_)) {}

H5Handle& H5Handle::operator=(H5Handle&& other) noexcept {
  H5Handle old(std::exchange(id_, std::exchange(other.id_, -1)), std::move(what_));
  what_ = std::move(other.what_);
  return *this;
}

void H5Handle::close() {
  if (id_ < 0) return;
  const h5::Call call;
  h5::check_write(close_id(std::exchange(id_, -1)),
                  what_);  // an id is never closed twice, even after a failure
}

H5Group H5Group::create_group(const std::string& name) {
  const h5::Call call;
  const std::string what = this->what() + "/" + name;
  const H5Handle plist = creation(H5P_GROUP_CREATE);
  return H5Group(H5Handle(
      h5::check_write(H5Gcreate2(handle_.id(), name.c_str(), H5P_DEFAULT, plist.id(), H5P_DEFAULT),
                      what),
      what));
}

H5Group H5Group::open_group(const std::string& name) const {
  const h5::Call call;
  const std::string what = this->what() + "/" + name;
  return H5Group(
      H5Handle(h5::check_read(H5Gopen2(handle_.id(), name.c_str(), H5P_DEFAULT), what), what));
}

bool H5Group::has(const std::string& name) const {
  const h5::Call call;
  return h5::check_read(H5Lexists(handle_.id(), name.c_str(), H5P_DEFAULT), what()) > 0;
}

std::vector<std::string> H5Group::names() const {
  const h5::Call call;
  std::vector<std::string> found;
  const auto collect = [](hid_t, const char* name, const H5L_info_t*, void* into) -> herr_t {
    static_cast<std::vector<std::string>*>(into)->emplace_back(name);
    return 0;
  };
  h5::check_read(H5Literate(handle_.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &found),
                 what());
  return found;
}

H5File H5File::create(const std::string& path) {
  const h5::Call call;
  const H5Handle access = file_access();
  const H5Handle plist = creation(H5P_FILE_CREATE);
  H5Handle file(
      h5::check_write(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, plist.id(), access.id()), path), path);
  H5Handle root(h5::check_write(H5Gopen2(file.id(), "/", H5P_DEFAULT), path), path);
  return H5File(std::move(file), std::unique_ptr<H5Group>(new H5Group(std::move(root))));
}

H5File H5File::open(const std::string& path) {
  const H5Handle access = file_access();
  H5Handle file(h5::check_read(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id()), path), path);
  H5Handle root(h5::check_read(H5Gopen2(file.id(), "/", H5P_DEFAULT), path), path);
  return H5File(std::move(file), std::unique_ptr<H5Group>(new H5Group(std::move(root))));
}

H5File H5File::open_readonly(const std::string& path) {
  const h5::Call call;
  file_bytes(path);
  return open(path);
}

H5File H5File::open_untrusted(const std::string& path, const H5Limits& limits) {
  const h5::Call call;
  const std::uint64_t size = file_bytes(path);
  if (size > limits.max_file_bytes) {
    fail_data("cannot read " + path + ": " + std::to_string(size) +
              " bytes are more than the limit of " + std::to_string(limits.max_file_bytes) +
              "; raise the limit if you trust the file");
  }
  if (limits.probe)
    h5::probe_in_child(path, size,
                       limits);  // under the lock: no other thread is inside HDF5 at the fork
  H5File file = open(path);
  h5::inspect(path, file.handle_.id(), size, limits);
  return file;
}

void H5File::close() {
  if (root_) root_->close();
  root_.reset();
  handle_.close();
}

}  // namespace rollmill
