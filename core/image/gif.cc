// Frames after the first hold only the rectangle that changed. giflib reports errors by codes; its writer is closed by Gif.
#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/image/formats.h"

namespace rollmill {
namespace {

constexpr std::size_t kMaxColors = 256;

// 24-bit colours in order of appearance, and the index of each.
struct Palette {
  std::vector<std::uint32_t> colors;
  std::unordered_map<std::uint32_t, std::uint8_t> index;
};

// A channel without its 8 - bits lowest bits, spread over 0..255 again.
std::uint32_t shorten(std::uint32_t channel, int bits) {
  const std::uint32_t top = (1u << bits) - 1;
  return ((channel >> (8 - bits)) * 255u + top / 2) / top;
}

std::uint32_t color_at(const Picture& picture, std::size_t pixel, int bits) {
  const std::uint8_t* p = picture.rgb.data() + 3 * pixel;
  return shorten(p[0], bits) << 16 | shorten(p[1], bits) << 8 | shorten(p[2], bits);
}

// Adds a frame's colours; false when they are more than a GIF's palette holds.
bool add_colors(Palette& palette, const Picture& picture, int bits) {
  const std::size_t pixels = picture.rgb.size() / 3;
  std::uint32_t last = ~0u;
  for (std::size_t i = 0; i < pixels; ++i) {
    const std::uint32_t color = color_at(picture, i, bits);
    if (color == last) continue;
    last = color;
    if (palette.index.contains(color)) continue;
    if (palette.colors.size() == kMaxColors) return false;
    palette.index.emplace(color, static_cast<std::uint8_t>(palette.colors.size()));
    palette.colors.push_back(color);
  }
  return true;
}

// The palette of these frames with as many bits a channel as 256 colours allow, 8 down to `lowest`; 0: none.
int find_palette(std::span<const Picture> frames, int lowest, Palette& palette) {
  for (int bits = 8; bits >= lowest; --bits) {
    palette = {};
    if (std::all_of(frames.begin(), frames.end(),
                    [&](const Picture& f) { return add_colors(palette, f, bits); })) {
      return bits;
    }
  }
  return 0;
}

using ColorMap = std::unique_ptr<ColorMapObject, void (*)(ColorMapObject*)>;

ColorMap color_map(const Palette& palette) {
  int bits = 1;
  while (std::size_t{1} << bits < palette.colors.size()) ++bits;
  ColorMap map(GifMakeMapObject(1 << bits, nullptr), GifFreeMapObject);
  if (!map) throw std::bad_alloc();
  std::fill_n(map->Colors, map->ColorCount, GifColorType{0, 0, 0});
  for (std::size_t k = 0; k < palette.colors.size(); ++k) {
    const std::uint32_t c = palette.colors[k];
    map->Colors[k] = {static_cast<GifByteType>(c >> 16), static_cast<GifByteType>(c >> 8 & 255),
                      static_cast<GifByteType>(c & 255)};
  }
  return map;
}

struct Area {
  int x, y, w, h;
};

// Where two frames differ; one pixel where nowhere.
Area changed(const Picture& before, const Picture& now) {
  int left = now.width, right = -1, top = now.height, bottom = -1;
  const auto row_bytes = static_cast<std::size_t>(now.width) * 3;
  for (int y = 0; y < now.height; ++y) {
    const std::uint8_t* a = before.rgb.data() + static_cast<std::size_t>(y) * row_bytes;
    const std::uint8_t* b = now.rgb.data() + static_cast<std::size_t>(y) * row_bytes;
    if (std::equal(b, b + row_bytes, a)) continue;
    top = std::min(top, y);
    bottom = y;
    const auto first = static_cast<int>(std::mismatch(b, b + row_bytes, a).first - b) / 3;
    int last = now.width - 1;
    while (std::equal(b + 3 * last, b + 3 * last + 3, a + 3 * last)) --last;
    left = std::min(left, first);
    right = std::max(right, last);
  }
  if (bottom < 0) return {0, 0, 1, 1};
  return {left, top, right - left + 1, bottom - top + 1};
}

class Gif {
 public:
  explicit Gif(std::string& out) {
    int error = 0;
    file_ = EGifOpen(&out, append, &error);
    check(file_ != nullptr, error);
  }
  ~Gif() {
    int error = 0;
    if (file_ != nullptr) EGifCloseFile(file_, &error);
  }
  Gif(const Gif&) = delete;
  Gif& operator=(const Gif&) = delete;

  void start(const Picture& first, const ColorMapObject* map, bool animated) {
    EGifSetGifVersion(file_, true);
    check(EGifPutScreenDesc(file_, first.width, first.height, 8, 0, map));
    if (!animated) return;
    const std::array<GifByteType, 3> forever = {1, 0, 0};
    check(EGifPutExtensionLeader(file_, APPLICATION_EXT_FUNC_CODE));
    check(EGifPutExtensionBlock(file_, 11, "NETSCAPE2.0"));
    check(EGifPutExtensionBlock(file_, 3, forever.data()));
    check(EGifPutExtensionTrailer(file_));
  }

  void frame(const Picture& picture, const Area& area, const Palette& palette, int bits,
             const ColorMapObject* map, int centiseconds) {
    const GraphicsControlBlock control = {DISPOSE_DO_NOT, false, centiseconds,
                                          NO_TRANSPARENT_COLOR};
    std::array<GifByteType, 4> extension{};
    EGifGCBToExtension(&control, extension.data());
    check(EGifPutExtension(file_, GRAPHICS_EXT_FUNC_CODE, 4, extension.data()));
    check(EGifPutImageDesc(file_, area.x, area.y, area.w, area.h, false, map));
    std::vector<GifPixelType> row(static_cast<std::size_t>(area.w));
    for (int y = 0; y < area.h; ++y) {
      const auto start =
          static_cast<std::size_t>(area.y + y) * static_cast<std::size_t>(picture.width) +
          static_cast<std::size_t>(area.x);
      for (std::size_t x = 0; x < row.size(); ++x) {
        row[x] = palette.index.at(color_at(picture, start + x, bits));
      }
      check(EGifPutLine(file_, row.data(), area.w));
    }
  }

  void close() {
    int error = 0;
    GifFileType* file = std::exchange(file_, nullptr);
    check(EGifCloseFile(file, &error) == GIF_OK, error);
  }

 private:
  static int append(GifFileType* file, const GifByteType* bytes, int size) {
    static_cast<std::string*>(file->UserData)
        ->append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    return size;
  }
  static void check(bool good, int error) {
    if (good) return;
    const char* reason = GifErrorString(error);
    fail_usage(std::string("cannot make a GIF: ") + (reason != nullptr ? reason : "out of memory"));
  }
  void check(int result) { check(result == GIF_OK, file_->Error); }

  GifFileType* file_ = nullptr;
};

}  // namespace

std::string encode_gif(std::span<const Picture> frames, int ms) {
  if (frames[0].width > 65535 || frames[0].height > 65535) {
    fail_usage("a GIF has at most 65,535 pixels a side; choose a smaller --scale");
  }
  const int centiseconds = std::clamp((ms + 5) / 10, 2, 65535);
  Palette shared;
  const int shared_bits = find_palette(frames, 8, shared);
  const ColorMap shared_map =
      shared_bits != 0 ? color_map(shared) : ColorMap(nullptr, GifFreeMapObject);
  std::string out;
  Gif gif(out);
  gif.start(frames[0], shared_map.get(), frames.size() > 1);
  for (std::size_t k = 0; k < frames.size(); ++k) {
    const Area area =
        k == 0 ? Area{0, 0, frames[0].width, frames[0].height} : changed(frames[k - 1], frames[k]);
    if (shared_bits != 0) {
      gif.frame(frames[k], area, shared, shared_bits, nullptr, centiseconds);
      continue;
    }
    Palette own;
    const int bits = find_palette(frames.subspan(k, 1), 2, own);
    gif.frame(frames[k], area, own, bits, color_map(own).get(), centiseconds);
  }
  gif.close();
  return out;
}

}  // namespace rollmill
