#include "core/image/write.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <vector>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/image/formats.h"
#include "core/io/atomic_file.h"

namespace rollmill {
namespace {

Picture blank(int width, int height, std::uint8_t grey = 255) {
  Picture picture{width, height, {}};
  picture.rgb.assign(
      std::size_t{3} * static_cast<std::size_t>(width) * static_cast<std::size_t>(height), grey);
  return picture;
}

void paste(const Picture& from, Picture& to, int x, int y) {
  const auto bytes = static_cast<std::size_t>(from.width) * 3;
  for (int row = 0; row < from.height; ++row) {
    const auto at = 3 * (static_cast<std::size_t>(y + row) * static_cast<std::size_t>(to.width) +
                         static_cast<std::size_t>(x));
    std::copy_n(
        from.rgb.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(row) * bytes),
        bytes, to.rgb.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

struct Size {
  int width = 0, height = 0;
};

Size largest(std::span<const Picture> frames) {
  Size size;
  for (const Picture& f : frames) {
    size = {std::max(size.width, f.width), std::max(size.height, f.height)};
  }
  return size;
}

}  // namespace

PictureFormat picture_format(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension == ".png") return PictureFormat::kPng;
  if (extension == ".gif") return PictureFormat::kGif;
  if (extension == ".webp") return PictureFormat::kWebp;
  fail_usage("'" + path + "' names no picture format; end it with .png, .gif or .webp");
}

void write_picture(const std::string& path, std::span<const Picture> frames, int ms) {
  const PictureFormat format = picture_format(path);
  if (frames.empty()) fail_usage("no frame to write to " + path);
  if (ms < 1) fail_usage("a frame must stand for at least 1 millisecond");
  for (const Picture& frame : frames) {
    RM_ASSERT(frame.rgb.size() == std::size_t{3} * static_cast<std::size_t>(frame.width) *
                                      static_cast<std::size_t>(frame.height));
    if (frame.width != frames[0].width || frame.height != frames[0].height) {
      fail_usage("the frames for " + path + " have different sizes");
    }
    if (frame.rgb.empty()) fail_usage("the picture for " + path + " has no pixels");
  }
  if (format == PictureFormat::kPng && frames.size() > 1) {
    fail_usage("a PNG holds one picture, not " + std::to_string(frames.size()) +
               " frames; write .gif or .webp, or a filmstrip");
  }
  write_file_atomic(path, format == PictureFormat::kPng   ? encode_png(frames[0])
                          : format == PictureFormat::kGif ? encode_gif(frames, ms)
                                                          : encode_webp(frames, ms));
}

Picture filmstrip(std::span<const Picture> frames, int columns, int every) {
  std::vector<const Picture*> shown;
  for (std::size_t k = 0; k < frames.size(); k += static_cast<std::size_t>(std::max(every, 1))) {
    shown.push_back(&frames[k]);
  }
  if (shown.empty()) fail_usage("no frame for a filmstrip");
  const Size size = largest(frames);
  constexpr int kGap = 6;
  const int count = static_cast<int>(shown.size());
  if (columns <= 0) {
    columns = 1;
    while (columns * (size.width + kGap) <
           3 * ((count + columns - 1) / columns) * (size.height + kGap) / 2) {
      ++columns;
    }
  }
  columns = std::min(columns, count);
  const int rows = (count + columns - 1) / columns;
  const std::int64_t width = std::int64_t{columns} * (size.width + kGap) + kGap;
  const std::int64_t height = std::int64_t{rows} * (size.height + kGap) + kGap;
  if (width > 65535 || height > 65535 || width * height > (1 << 28)) {
    fail_usage("the filmstrip would have " + std::to_string(width) + " x " +
               std::to_string(height) + " pixels; show fewer frames (a higher --every)");
  }
  Picture strip = blank(static_cast<int>(width), static_cast<int>(height));
  for (int k = 0; k < count; ++k) {
    const Picture& frame = *shown[static_cast<std::size_t>(k)];
    const int x = kGap + k % columns * (size.width + kGap) + (size.width - frame.width) / 2;
    const int y = kGap + k / columns * (size.height + kGap) + (size.height - frame.height) / 2;
    paste(blank(frame.width + 2, frame.height + 2, 205), strip, x - 1,
          y - 1);  // a thin frame around it
    paste(frame, strip, x, y);
  }
  return strip;
}

Picture enlarge(const Picture& picture, int k) {
  Picture large = blank(picture.width * k, picture.height * k);
  auto out = large.rgb.begin();
  for (int y = 0; y < large.height; ++y) {
    for (int x = 0; x < large.width; ++x) {
      const auto pixel = static_cast<std::size_t>(y / k) * static_cast<std::size_t>(picture.width) +
                         static_cast<std::size_t>(x / k);
      out = std::copy_n(picture.rgb.begin() + static_cast<std::ptrdiff_t>(3 * pixel), 3, out);
    }
  }
  return large;
}

void make_same_size(std::span<Picture> frames) {
  const Size size = largest(frames);
  for (Picture& frame : frames) {
    if (frame.width == size.width && frame.height == size.height) continue;
    Picture padded = blank(size.width, size.height);
    paste(frame, padded, (size.width - frame.width) / 2, (size.height - frame.height) / 2);
    frame = std::move(padded);
  }
}

}  // namespace rollmill
