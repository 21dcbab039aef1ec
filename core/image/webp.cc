#include <webp/encode.h>
#include <webp/mux.h>

#include <memory>

#include "core/base/error.h"
#include "core/image/formats.h"

namespace rollmill {
namespace {

[[noreturn]] void fail_webp(const char* reason) {
  fail_usage(std::string("cannot make a WebP: ") + reason);
}

using Encoder = std::unique_ptr<WebPAnimEncoder, void (*)(WebPAnimEncoder*)>;

Encoder make_encoder(const Picture& first) {
  WebPAnimEncoderOptions options;
  if (WebPAnimEncoderOptionsInit(&options) == 0) fail_webp("the library has another version");
  Encoder encoder(WebPAnimEncoderNew(first.width, first.height, &options), WebPAnimEncoderDelete);
  if (!encoder) fail_webp("out of memory");
  return encoder;
}

}  // namespace

std::string encode_webp(std::span<const Picture> frames, int ms) {
  if (frames[0].width > WEBP_MAX_DIMENSION || frames[0].height > WEBP_MAX_DIMENSION) {
    fail_usage("a WebP has at most 16,383 pixels a side; choose a smaller --scale or .gif");
  }
  WebPConfig config;
  if (WebPConfigInit(&config) == 0) fail_webp("the library has another version");
  config.lossless = 1;
  config.exact = 1;
  config.method = 1;  // drawings: higher ones take several times as long for a few per cent
  const Encoder encoder = make_encoder(frames[0]);
  int timestamp = 0;
  for (const Picture& frame : frames) {
    WebPPicture picture;
    if (WebPPictureInit(&picture) == 0) fail_webp("the library has another version");
    const std::unique_ptr<WebPPicture, void (*)(WebPPicture*)> owner(&picture, WebPPictureFree);
    picture.use_argb = 1;
    picture.width = frame.width;
    picture.height = frame.height;
    if (WebPPictureImportRGB(&picture, frame.rgb.data(), frame.width * 3) == 0) {
      fail_webp("out of memory");
    }
    if (WebPAnimEncoderAdd(encoder.get(), &picture, timestamp, &config) == 0) {
      fail_webp(WebPAnimEncoderGetError(encoder.get()));
    }
    timestamp += ms;
  }
  // An empty frame ends the last one.
  WebPData data;
  WebPDataInit(&data);
  const std::unique_ptr<WebPData, void (*)(WebPData*)> owner(&data, WebPDataClear);
  if (WebPAnimEncoderAdd(encoder.get(), nullptr, timestamp, nullptr) == 0 ||
      WebPAnimEncoderAssemble(encoder.get(), &data) == 0) {
    fail_webp(WebPAnimEncoderGetError(encoder.get()));
  }
  return {reinterpret_cast<const char*>(data.bytes), data.size};
}

}  // namespace rollmill
