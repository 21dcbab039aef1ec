// The libraries' own decoders: what a viewer would show of a file, frame by frame.
#pragma once

#include <gif_lib.h>
#include <png.h>
#include <gtest/gtest.h>
#include <webp/demux.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/image/picture.h"

namespace rollmill {

struct Decoded {
  std::vector<Picture> frames;
  std::vector<int> ms;  // of each frame
  int loops = -1;       // 0: for ever; -1: the file does not say
  int palettes = 0;     // of a GIF: in the frames, not the shared one
};

inline Picture decode_png(const std::string& bytes) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()), 0)
      << image.message;
  image.format = PNG_FORMAT_RGB;
  Picture picture{static_cast<int>(image.width), static_cast<int>(image.height), {}};
  picture.rgb.resize(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, picture.rgb.data(), 0, nullptr), 0);
  return picture;
}

inline Decoded decode_webp(const std::string& bytes) {
  Decoded decoded;
  WebPAnimDecoderOptions options;
  WebPAnimDecoderOptionsInit(&options);
  options.color_mode = MODE_RGBA;
  const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  WebPAnimDecoder* decoder = WebPAnimDecoderNew(&data, &options);
  if (decoder == nullptr) {
    ADD_FAILURE() << "no WebP";
    return decoded;
  }
  WebPAnimInfo info;
  WebPAnimDecoderGetInfo(decoder, &info);
  decoded.loops = static_cast<int>(info.loop_count);
  int before = 0;
  while (WebPAnimDecoderHasMoreFrames(decoder) != 0) {
    std::uint8_t* rgba = nullptr;
    int timestamp = 0;
    if (WebPAnimDecoderGetNext(decoder, &rgba, &timestamp) == 0) break;
    Picture picture{static_cast<int>(info.canvas_width), static_cast<int>(info.canvas_height), {}};
    for (std::size_t i = 0; i < std::size_t{info.canvas_width} * info.canvas_height; ++i) {
      picture.rgb.insert(picture.rgb.end(), rgba + 4 * i, rgba + 4 * i + 3);
    }
    decoded.frames.push_back(std::move(picture));
    decoded.ms.push_back(timestamp - before);
    before = timestamp;
  }
  WebPAnimDecoderDelete(decoder);
  return decoded;
}

inline Decoded decode_gif(std::string bytes) {
  Decoded decoded;
  std::string_view rest = bytes;
  const auto read = [](GifFileType* file, GifByteType* out, int size) {
    auto& left = *static_cast<std::string_view*>(file->UserData);
    const auto n = std::min(left.size(), static_cast<std::size_t>(size));
    std::copy_n(left.data(), n, out);
    left.remove_prefix(n);
    return static_cast<int>(n);
  };
  int error = 0;
  GifFileType* file = DGifOpen(&rest, read, &error);
  if (file == nullptr || DGifSlurp(file) != GIF_OK) {
    ADD_FAILURE() << "no GIF: " << GifErrorString(file != nullptr ? file->Error : error);
    return decoded;
  }
  Picture picture{file->SWidth, file->SHeight, {}};
  picture.rgb.resize(std::size_t{3} * static_cast<std::size_t>(file->SWidth * file->SHeight));
  for (int k = 0; k < file->ImageCount; ++k) {
    const SavedImage& image = file->SavedImages[k];
    for (int e = 0; e < image.ExtensionBlockCount; ++e) {
      const ExtensionBlock& block = image.ExtensionBlocks[e];
      const std::string content(reinterpret_cast<const char*>(block.Bytes),
                                static_cast<std::size_t>(block.ByteCount));
      if (block.Function == APPLICATION_EXT_FUNC_CODE && content == "NETSCAPE2.0") {
        const GifByteType* loop = image.ExtensionBlocks[e + 1].Bytes;
        decoded.loops = loop[1] + 256 * loop[2];
      }
    }
    const GifImageDesc& d = image.ImageDesc;
    decoded.palettes += d.ColorMap != nullptr ? 1 : 0;
    const ColorMapObject* map = d.ColorMap != nullptr ? d.ColorMap : file->SColorMap;
    for (int y = 0; y < d.Height; ++y) {
      for (int x = 0; x < d.Width; ++x) {
        const GifColorType c = map->Colors[image.RasterBits[y * d.Width + x]];
        std::uint8_t* p = picture.rgb.data() + 3 * ((d.Top + y) * picture.width + d.Left + x);
        p[0] = c.Red;
        p[1] = c.Green;
        p[2] = c.Blue;
      }
    }
    GraphicsControlBlock control{};
    DGifSavedExtensionToGCB(file, k, &control);
    decoded.ms.push_back(10 * control.DelayTime);
    decoded.frames.push_back(picture);
  }
  DGifCloseFile(file, &error);
  return decoded;
}

}  // namespace rollmill
