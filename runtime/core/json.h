// A JSON text in the making.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ferrule/error.h"

namespace ferrule {

//   Json j;
//   j.begin('{').key("name").text("x").key("sizes").list(sizes).end('}');
class Json {
 public:
  Json& begin(char bracket) {
    comma();
    out_ += bracket;
    first_ = true;
    return *this;
  }
  Json& end(char bracket) {
    out_ += bracket;
    first_ = false;
    return *this;
  }
  Json& key(std::string_view name) {
    text(name);
    out_ += ": ";
    first_ = true;
    return *this;
  }
  Json& text(std::string_view s) {
    comma();
    out_ += '"';
    for (char c : s) escape(c);
    out_ += '"';
    return *this;
  }
  Json& number(int64_t v) {
    comma();
    append(out_, v);
    return *this;
  }
  Json& number(double v) {  // JSON has neither infinity nor NaN
    comma();
    if (std::isfinite(v)) {
      append(out_, v);
    } else {
      out_ += "null";
    }
    return *this;
  }
  Json& boolean(bool v) {
    comma();
    out_ += v ? "true" : "false";
    return *this;
  }
  Json& list(std::span<const int64_t> v) {
    begin('[');
    for (int64_t i : v) number(i);
    return end(']');
  }
  const std::string& str() const { return out_; }

 private:
  void comma() {
    if (!first_) out_ += ", ";
    first_ = false;
  }
  void escape(char c) {
    static constexpr char kHex[] = "0123456789abcdef";
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += c;
    } else if (u < 0x20) {
      out_ += "\\u00";
      out_ += kHex[u >> 4];
      out_ += kHex[u & 15];
    } else {
      out_ += c;
    }
  }

  std::string out_;
  bool first_ = true;
};

}  // namespace ferrule
