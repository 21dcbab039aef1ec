// Hashes of files and of logical content. SHA-256 (FIPS 180-4, OpenSSL) names files; XXH3-128 (xxHash, seed 0, canonical
// big-endian hex) names content cheaply; Fletcher-32 is what HDF5's filter 3 appends to a chunk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace rollmill {

using Bytes = std::span<const std::byte>;

inline Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Incremental SHA-256. hex() may be called once, after the last update; 64 lower-case digits.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(Bytes bytes);
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Incremental XXH3-128. hex() may be called at any time; 32 lower-case digits.
class Xxh3_128 {
 public:
  Xxh3_128();
  ~Xxh3_128();
  Xxh3_128(Xxh3_128&&) noexcept;
  Xxh3_128& operator=(Xxh3_128&&) noexcept;
  void update(Bytes bytes);
  // Numbers as little-endian u64 and texts with their length before them, so that neighbours cannot run together.
  void update_u64(std::uint64_t value);
  void update_text(std::string_view text);
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_bytes(Bytes bytes);
// Reads the file in pieces. Throws Error kBadData when there is no such file, kIo when it cannot be read.
std::string sha256_file(const std::string& path);
std::string xxh3_128_hex(Bytes bytes);
std::uint64_t xxh3_64(Bytes bytes);

// Fletcher's checksum over big-endian 16-bit words, sums modulo 65535, an odd last byte padded with zero: the value
// that HDF5's fletcher32 filter stores (little-endian) behind a chunk.
std::uint32_t fletcher32(Bytes bytes);

}  // namespace rollmill
