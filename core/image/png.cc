#include <png.h>

#include "core/base/error.h"
#include "core/image/formats.h"

namespace rollmill {

std::string encode_png(const Picture& picture) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = PNG_FORMAT_RGB;
  std::string bytes;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);  // a bound: one compression, not two
  bytes.resize(size);
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, picture.rgb.data(), 0, nullptr) ==
      0) {
    fail_usage(std::string("cannot make a PNG of this picture: ") + image.message);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace rollmill
