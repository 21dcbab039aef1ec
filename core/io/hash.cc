#include "core/io/hash.h"

#include <fcntl.h>
#include <unistd.h>
#define XXH_INLINE_ALL  // header only: nothing to link
#include <xxhash.h>
#include <openssl/evp.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "core/base/assert.h"
#include "core/base/error.h"

namespace rollmill {

static_assert(std::endian::native == std::endian::little,
              "formats are written in host order, which must be little-endian");

namespace {

std::string hex_of(const unsigned char* bytes, std::size_t count) {
  static const char digits[] = "0123456789abcdef";
  std::string text(2 * count, '0');
  for (std::size_t i = 0; i < count; ++i) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  return text;
}

std::string hex_of(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  return hex_of(canonical.digest, sizeof canonical.digest);
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = nullptr;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  state_->context = EVP_MD_CTX_new();
  if (state_->context == nullptr ||
      EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) != 1) {
    fail_io("OpenSSL offers no SHA-256; check the OpenSSL installation and its policy");
  }
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(Bytes bytes) {
  RM_ASSERT(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  RM_ASSERT(EVP_DigestFinal_ex(state_->context, digest, &size) == 1);
  return hex_of(digest, size);
}

struct Xxh3_128::State {
  XXH3_state_t* state = XXH3_createState();
  ~State() { XXH3_freeState(state); }
};

Xxh3_128::Xxh3_128() : state_(std::make_unique<State>()) {
  RM_ASSERT(state_->state != nullptr && XXH3_128bits_reset(state_->state) == XXH_OK);
}
Xxh3_128::~Xxh3_128() = default;
Xxh3_128::Xxh3_128(Xxh3_128&&) noexcept = default;
Xxh3_128& Xxh3_128::operator=(Xxh3_128&&) noexcept = default;

void Xxh3_128::update(Bytes bytes) {
  if (!bytes.empty())
    RM_ASSERT(XXH3_128bits_update(state_->state, bytes.data(), bytes.size()) == XXH_OK);
}

void Xxh3_128::update_u64(std::uint64_t value) { update(std::as_bytes(std::span(&value, 1))); }

void Xxh3_128::update_text(std::string_view text) {
  update_u64(text.size());
  update(bytes_of(text));
}

std::string Xxh3_128::hex() const { return hex_of(XXH3_128bits_digest(state_->state)); }

std::string sha256_bytes(Bytes bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const std::string reason = std::strerror(errno);
    if (errno == ENOENT || errno == ENOTDIR)
      fail_data("cannot hash " + path + ": " + reason + "; restore the file");
    fail_io("cannot read " + path + ": " + reason + "; check its permissions");
  }
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  Sha256 hash;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const std::string reason = std::strerror(errno);
      ::close(fd);
      fail_io("cannot read " + path + ": " + reason + "; check the disk");
    }
    if (got == 0) break;
    hash.update(Bytes(buffer).first(static_cast<std::size_t>(got)));
  }
  ::close(fd);
  return hash.hex();
}

std::string xxh3_128_hex(Bytes bytes) { return hex_of(XXH3_128bits(bytes.data(), bytes.size())); }

std::uint64_t xxh3_64(Bytes bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

// Modulo 65535 a byte swap of a word is a multiplication by 256, so the sums run over host-order words and only the
// results are swapped. Over a block of n words from lane sums: s1 += sum w_i, s2 += n * s1 + sum (n - i) * w_i.
std::uint32_t fletcher32(Bytes bytes) {
  constexpr std::size_t kLanes = 16;
  constexpr std::size_t kSteps = 256;  // lane sums of sums stay below 2^32: 256 * 257 / 2 * 65535
  const auto fold = [](std::uint64_t x) {  // x modulo 65535 in 1..65535, and 0 only for 0
    while (x >> 16) x = (x & 0xffff) + (x >> 16);
    return x;
  };
  std::uint64_t s1 = 0;
  std::uint64_t s2 = 0;
  const std::size_t words = (bytes.size() + 1) / 2;
  for (std::size_t at = 0; at < words; at += kLanes * kSteps) {
    const std::size_t count = std::min(words - at, kLanes * kSteps);
    const std::size_t steps = (count + kLanes - 1) / kLanes;
    std::uint32_t sum[kLanes] = {};
    std::uint32_t sum_of_sums[kLanes] = {};
    for (std::size_t step = 0; step < steps; ++step) {
      std::uint16_t word[kLanes] = {};
      const std::size_t first = 2 * (at + step * kLanes);
      if (first + sizeof word <= bytes.size()) {
        std::memcpy(word, bytes.data() + first, sizeof word);
      } else {
        std::memcpy(word, bytes.data() + first, bytes.size() - first);
      }
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        sum[lane] += word[lane];
        sum_of_sums[lane] += sum[lane];
      }
    }
    // The padded block has steps * kLanes words, all zeros past `count`: weights shrink by the padding.
    std::uint64_t block1 = 0;
    std::uint64_t block2 = 0;
    const std::uint64_t padding = steps * kLanes - count;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      block1 += sum[lane];
      block2 +=
          kLanes * std::uint64_t{sum_of_sums[lane]} - (lane + padding) * std::uint64_t{sum[lane]};
    }
    s2 = fold(s2 + count * s1 + block2);
    s1 = fold(s1 + block1);
  }
  const auto swap = [](std::uint64_t x) {
    return static_cast<std::uint32_t>(((x & 0xff) << 8) | (x >> 8));
  };
  return (swap(s2) << 16) | swap(s1);
}

}  // namespace rollmill
