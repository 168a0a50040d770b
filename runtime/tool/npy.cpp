// Reads and writes .npy files.
#include "runtime/tool/npy.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>

#include "runtime/format/file_out.h"
#include "runtime/format/source.h"

namespace ferrule::tool {
namespace {

struct Descr {
  std::string_view text;
  DType dtype;
};
constexpr Descr kDescr[] = {
    {"|b1", DType::bool_}, {"|u1", DType::u8},   {"|i1", DType::i8},
    {"<i2", DType::i16},   {"<i4", DType::i32},  {"<i8", DType::i64},
    {"<f2", DType::f16},   {"<V2", DType::bf16}, {"<f4", DType::f32},
    {"<f8", DType::f64},   {"<c8", DType::c64},  {"<c16", DType::c128},
    {"|V2", DType::bf16},
};

struct File {
  std::FILE* f;
  ~File() {
    if (f) std::fclose(f);
  }
  void read(void* p, size_t n) {
    if (std::fread(p, 1, n, f) != n) fail<FormatError>("the file is cut short");
  }
};

// What follows "'key':" in the header, a Python dict literal.
std::string_view field(std::string_view header, std::string_view key) {
  const size_t at = header.find(key);
  if (at == std::string_view::npos) {
    fail<FormatError>("its header has no ", key);
  }
  std::string_view rest = header.substr(at + key.size());
  while (!rest.empty() && (rest.front() == ':' || rest.front() == ' ')) {
    rest.remove_prefix(1);
  }
  return rest;
}

DType parse_descr(std::string_view text) {
  const size_t end = text.empty() ? std::string_view::npos : text.find('\'', 1);
  if (text.empty() || text[0] != '\'' || end == std::string_view::npos) {
    fail<FormatError>("it has a structured dtype; plain arrays can be read");
  }
  text = text.substr(1, end - 1);
  for (const Descr& d : kDescr) {
    if (d.text == text) return d.dtype;
  }
  fail<FormatError>("its dtype '", text,
                    "' cannot be read; convert it, e.g. "
                    "with .astype('<f4')");
}

Dims parse_shape(std::string_view text) {
  Dims shape;
  if (text.empty() || text.front() != '(') fail<FormatError>("no shape");
  text.remove_prefix(1);
  while (!text.empty() && text.front() != ')') {
    int64_t d = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), d);
    if (error != std::errc() || d < 0) fail<FormatError>("bad shape");
    shape.push(d);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    while (!text.empty() && (text.front() == ',' || text.front() == ' ')) {
      text.remove_prefix(1);
    }
  }
  return shape;
}

Tensor read(File& file) {
  unsigned char start[8];
  file.read(start, sizeof start);
  if (std::memcmp(start, "\x93NUMPY", 6) != 0) {
    fail<FormatError>("not a .npy file; numpy.save makes one");
  }
  uint32_t length = 0;
  if (start[6] < 1 || start[6] > 3) {
    fail<FormatError>(".npy version ", static_cast<int>(start[6]),
                      " is not known");
  }
  file.read(&length, start[6] == 1 ? 2 : 4);
  if (length > 1 << 20) fail<FormatError>("its header is too long");
  std::string header(length, ' ');
  file.read(header.data(), length);
  const DType dtype = parse_descr(field(header, "'descr'"));
  const Dims shape = parse_shape(field(header, "'shape'"));
  if (field(header, "'fortran_order'").starts_with("True")) {
    fail<FormatError>("it is in Fortran order; save it with "
                      "numpy.ascontiguousarray");
  }
  Tensor t = Tensor::empty(shape, dtype);
  file.read(t->bytes(), static_cast<size_t>(t->nbytes()));
  if (std::fgetc(file.f) != EOF) {
    fail<FormatError>("it has more data than its shape ", shape, " needs");
  }
  for (int64_t i = 0; dtype == DType::bool_ && i < t.numel(); ++i) {
    if (static_cast<unsigned char>(t->bytes()[i]) > 1) {
      fail<FormatError>("element ", i, " is not a bool");
    }
  }
  return t;
}

}  // namespace

Tensor read_npy(const std::string& path) {
  try {
    File file{std::fopen(path.c_str(), "rb")};
    if (!file.f) {
      fail<FormatError>("cannot open the file: ", std::strerror(errno));
    }
    return read(file);
  } catch (Error& e) {
    e.prepend(file_tag(path));
    throw;
  }
}

void write_npy(const std::string& path, const Tensor& t) {
  std::string_view descr;
  for (const Descr& d : kDescr) {
    if (d.dtype == t.dtype() && descr.empty()) descr = d.text;
  }
  std::string header =
      concat("{'descr': '", descr,
             "', 'fortran_order': False, 'shape': ", t.shape(), ", }");
  // Magic, version, length and header together are a multiple of 64 bytes.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  const uint16_t length = static_cast<uint16_t>(header.size());
  FileOut out(path);
  out.write("\x93NUMPY\x01\x00", 8);
  out.write(&length, 2);
  out.write(header.data(), header.size());
  out.write(t->bytes(), static_cast<uint64_t>(t->nbytes()));
  out.commit();
}

}  // namespace ferrule::tool
