// Pieces of C that every exported header is put together from (c_header.cc). {0} is the policy's name; braces are doubled.
#pragma once

#include <charconv>
#include <sstream>
#include <string>
#include <vector>

namespace rollmill {

// core/math/hyperbolic.h without its bit tricks, for compilers that reorder sums (-ffast-math) or keep more digits (x87).
// |x| = n ln(2)/2 + r; t = e^(2|x|) - 1 = 2^n (e^(2r) - 1) + (2^n - 1); tanh|x| = t / (t + 2).
inline constexpr char kCTanh[] = R"(
static inline float {0}_tanh(float x) {{
  const float size = x < 0.0f ? -x : x;
  if (size >= 10.0f) return x < 0.0f ? -1.0f : 1.0f;
  if (!(size < 10.0f)) return x;  // not a number
  const long n = (long)(size * 2.88539004f + 0.5f);
  const float scale = (float)(1L << n);
  const float r = (size - (float)n * 0.346573830f) + (float)n * 2.39370905e-7f;
  const float p = (((0.0887391046f * r + 0.267735213f) * r + 0.666679919f) * r + 1.33332336f) * r;
  const float t = scale * (r * (2.0f + r * (2.0f + p))) + (scale - 1.0f);
  return x < 0.0f ? -t / (t + 2.0f) : t / (t + 2.0f);
}}
)";

// max(x, 0) + log(1 + t), t = e^-|x| from tanh(|x| / 2), the logarithm by the series of atanh(t / (2 + t)).
inline constexpr char kCSoftplus[] = R"(
static inline float {0}_softplus(float x) {{
  const float h = {0}_tanh(x < 0.0f ? -0.5f * x : 0.5f * x);
  const float t = (1.0f - h) / (1.0f + h), s = t / (2.0f + t), z = s * s;
  const float odd = 0.333333333f + z * (0.2f + z * (0.142857143f + z * (0.111111111f + z * (0.0909090909f + z * 0.0769230769f))));
  return (x < 0.0f ? 0.0f : x) + 2.0f * (s + s * z * odd);
}}
)";

inline constexpr char kCDense[] = R"(
// y[outputs] = bias + x[inputs] W, weight [inputs][outputs]
static inline void {0}_dense(
    const float* x, int inputs, const float* weight, const float* bias, int outputs, float* y) {{
  for (int j = 0; j < outputs; ++j) y[j] = bias[j];
  for (int k = 0; k < inputs; ++k) {{
    for (int j = 0; j < outputs; ++j) y[j] += x[k] * weight[k * outputs + j];
  }}
}}
)";

inline constexpr char kCConv[] = R"(
// x [channels_in][height][width], weight [channels][channels_in][kernel][kernel], y [channels][][]; no padding
static inline void {0}_conv(
    const float* x, int channels_in, int height, int width, const float* weight, const float* bias,
    int channels, int kernel, int stride, float* y) {{
  for (int c = 0; c < channels; ++c) {{
    for (int top = 0; top + kernel <= height; top += stride) {{
      for (int left = 0; left + kernel <= width; left += stride) {{
        const float* w = weight + c * channels_in * kernel * kernel;
        float sum = bias[c];
        for (int in = 0; in < channels_in; ++in) {{
          for (int i = 0; i < kernel; ++i) {{
            const float* row = x + (in * height + top + i) * width + left;
            for (int j = 0; j < kernel; ++j) sum += row[j] * *w++;
          }}
        }}
        *y++ = sum;
      }}
    }}
  }}
}}
)";

inline constexpr char kCArgmax[] = R"(
static inline int {0}_argmax(const float* x, int size) {{
  int best = 0;
  for (int i = 1; i < size; ++i) best = x[i] > x[best] ? i : best;
  return best;
}}
)";

// The shortest decimal that reads back as the same float, as C writes it.
inline std::string c_number(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  std::string s(text, end);
  if (s.find_first_of(".e") == std::string::npos) s += ".0";
  return s + "f";
}

// A comment, in lines of at most 100 columns.
inline std::string c_comment(const std::string& words) {
  std::string text, line = "//";
  std::istringstream in(words);
  for (std::string word; in >> word;) {
    if (line.size() + 1 + word.size() > 100) {
      text += line + "\n";
      line = "//  ";
    }
    line += " " + word;
  }
  return text + line + "\n";
}

// A constant array, in lines of at most 100 columns.
inline std::string c_array(const std::string& name, const std::vector<float>& values) {
  std::string text =
      "\nstatic const float " + name + "[" + std::to_string(values.size()) + "] = {\n";
  std::string line = " ";
  for (const float v : values) {
    const std::string next = " " + c_number(v) + ",";
    if (line.size() + next.size() > 100) {
      text += line + "\n";
      line = " ";
    }
    line += next;
  }
  return text + line + "\n};\n";
}

}  // namespace rollmill
