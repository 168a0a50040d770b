// `ferrule run`: runs a signature on .npy files.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "runtime/core/json.h"
#include "runtime/cpu/strided_copy.h"
#include "runtime/tool/commands.h"
#include "runtime/tool/labels.h"
#include "runtime/tool/npy.h"

namespace ferrule::tool {
namespace {

constexpr char kHelp[] =
    R"(usage: ferrule run FILE --input NAME=FILE.npy ... [options]

Runs a model. The name may be left out where there is one input. Numbers of a
result RESULT are shown with the lines of the file's metadata "labels:RESULT".

  --input NAME=FILE.npy    an input
  --output NAME=FILE.npy   where to write a result
  --expect NAME=FILE.npy   compare a result, bit by bit, with this file
  --entry NAME             what to run (default: forward, or the only entry
                           point); --signature is the same
  --batch N                run N rows of the inputs at a time
  --passes LIST            passes over the graph: none, or e.g. -epilogues
  --threads N              threads (default: the processors there are)
  --json                   print JSON

Exit code: 0; 1 when a result differs from --expect; 2 for a wrong command
line; 3 for an error.
)";

constexpr Option kOptions[] = {
    {"--input"},   {"--output"},    {"--expect"},
    {"--entry"},   {"--signature"}, {"--batch"},
    {"--threads"}, {"--passes"},    {"--json", false},
};

// A result, put together from batches.
struct Result {
  std::string name;
  Labels labels;
  DType dtype = DType::f32;
  Dims shape = {};
  std::vector<char> bytes = {};

  Tensor tensor() {
    return Tensor::wrap(bytes.data(), shape, contiguous_strides(shape), dtype,
                        {}, nullptr, nullptr);
  }
};

void add(Result& r, const Tensor& t, bool first, const Signature& s) {
  if (first) {
    r.dtype = t.dtype();
    r.shape = Dims(t.shape());
  } else {
    const bool fits =
        t.ndim() > 0 && t.ndim() == r.shape.size() &&
        std::equal(t.shape().begin() + 1, t.shape().end(), r.shape.begin() + 1);
    if (!fits) {
      fail<ShapeError>("[", s.key, "] result '", r.name, "' of shape ",
                       t.shape(),
                       " cannot be put together from batches; "
                       "leave out --batch");
    }
    r.shape[0] += t.size(0);
  }
  r.bytes.insert(r.bytes.end(), t->bytes(), t->bytes() + t->nbytes());
}

std::vector<double> as_doubles(const Tensor& t) {
  Tensor d = Tensor::empty(t.shape(), DType::f64);
  strided_copy(*t.impl(), *d.impl());
  return {d.data<double>(), d.data<double>() + d.numel()};
}

struct Comparison {
  std::string name;
  bool same_type = false, identical = false;
  double max_difference = 0;
  int64_t rows = 0, agree = 0;  // argmax over the last dimension
  std::string text;
};

void compare_values(Comparison& c, const Tensor& got, const Tensor& want) {
  const std::vector<double> a = as_doubles(got), b = as_doubles(want);
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double d = std::fabs(a[i] - b[i]);
    c.max_difference = std::max(c.max_difference, std::isnan(d) ? INFINITY : d);
  }
  const int64_t width = got.ndim() ? got.size(got.ndim() - 1) : 0;
  if (got.ndim() < 2 || width < 2) return;
  c.rows = got.numel() / width;
  for (int64_t r = 0; r < c.rows; ++r) {
    const auto top = [&](const std::vector<double>& v) {
      const auto row = v.begin() + r * width;
      return std::max_element(row, row + width) - row;
    };
    c.agree += top(a) == top(b);
  }
}

Comparison compare(Result& result, const std::string& path) {
  Comparison c;
  c.name = result.name;
  const Tensor got = result.tensor();
  const Tensor want = read_npy(path);
  c.same_type = got.dtype() == want.dtype() &&
                std::ranges::equal(got.shape(), want.shape());
  if (!c.same_type) {
    c.text = concat(c.name, ": is ", got.dtype(), " ", got.shape(),
                    ", expected ", want.dtype(), " ", want.shape());
    return c;
  }
  c.identical = std::memcmp(got->bytes(), want->bytes(),
                            static_cast<size_t>(got->nbytes())) == 0;
  if (!is_complex(got.dtype())) compare_values(c, got, want);
  c.text = concat(c.name, ": ", got.dtype(), " ", got.shape(),
                  c.identical ? " is bitwise as expected"
                              : " differs from what was expected");
  if (!c.identical) c.text += concat(", by at most ", c.max_difference);
  if (c.rows) {
    c.text += concat("; argmax agrees in ", grouped(c.agree), " of ",
                     grouped(c.rows), " rows");
  }
  return c;
}

std::string preview(const Tensor& t, const Labels& labels) {
  constexpr int64_t kShown = 8;
  std::string out;
  if (is_complex(t.dtype())) return out;
  const int64_t n = std::min(t.numel(), kShown);
  Dims shape;
  shape.push(n);
  Tensor head = Tensor::wrap(t->bytes(), shape, contiguous_strides(shape),
                             t.dtype(), {}, nullptr, nullptr);
  const std::vector<double> values = as_doubles(head);
  const std::vector<std::string_view> texts = labels.of(head);
  for (size_t i = 0; i < values.size(); ++i) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, " %.6g", values[i]);
    out += buffer;
    if (i < texts.size()) out += concat(" (", texts[i], ")");
  }
  if (t.numel() > n) out += " ...";
  return out;
}

Result& find_result(std::vector<Result>& results, const std::string& name,
                    std::string_view option) {
  for (Result& r : results) {
    if (r.name == name || (name.empty() && results.size() == 1)) return r;
  }
  std::string known;
  for (const Result& r : results) {
    known += concat(known.empty() ? "" : ", ", r.name);
  }
  throw UsageError{
      concat(option, ": no result '", name, "'; there are ", known)};
}

void print_json(std::vector<Result>& results,
                const std::vector<Comparison>& compared, int64_t rows,
                double time) {
  Json j;
  j.begin('{').key("outputs").begin('[');
  for (Result& r : results) {
    j.begin('{').key("name").text(r.name).key("dtype").text(name(r.dtype));
    j.key("shape").list(r.shape);
    const std::vector<std::string_view> texts = r.labels.of(r.tensor());
    if (!texts.empty()) {
      j.key("labels").begin('[');
      for (std::string_view text : texts) j.text(text);
      j.end(']');
    }
    j.end('}');
  }
  j.end(']').key("compared").begin('[');
  for (const Comparison& c : compared) {
    j.begin('{').key("name").text(c.name).key("identical").boolean(c.identical);
    j.key("same_type").boolean(c.same_type);
    j.key("max_difference").number(c.max_difference);
    j.key("rows").number(c.rows).key("argmax_agrees").number(c.agree).end('}');
  }
  j.end(']').key("rows").number(rows).key("seconds").number(time).end('}');
  print(j.str());
}

int run(int argc, char** argv) {
  const Args args(argc, argv, kOptions);
  const auto program = open_program(args.file());
  const Signature& s = entry_to_run(*program, args);
  if (args.has("--threads")) set_threads(args, 1);
  Batches batches(*program, s, read_inputs(*program, s, args),
                  args.count("--batch", 0));
  std::vector<Result> results;
  for (const std::string& name : s.outputs) {
    results.push_back({name, Labels(*program, name)});
  }
  // Names are checked before the work is done.
  for (auto& [name, path] : args.pairs("--output")) {
    find_result(results, name, "--output");
  }
  for (auto& [name, path] : args.pairs("--expect")) {
    find_result(results, name, "--expect");
  }

  SessionOptions options;
  options.passes = args.get("--passes");
  Session session(program, options);
  const double start = seconds();
  for (int64_t b = 0; b < batches.count(); ++b) {
    const auto outputs = session.run(s.key, batches.at(b));
    for (size_t i = 0; i < outputs.size(); ++i) {
      add(results[i], outputs[i], b == 0, s);
    }
  }
  const double time = seconds() - start;

  for (auto& [name, path] : args.pairs("--output")) {
    write_npy(path, find_result(results, name, "--output").tensor());
  }
  std::vector<Comparison> compared;
  bool same = true;
  for (auto& [name, path] : args.pairs("--expect")) {
    compared.push_back(compare(find_result(results, name, "--expect"), path));
    same &= compared.back().identical;
  }
  if (args.has("--json")) {
    print_json(results, compared, batches.rows(), time);
    return same ? kSuccess : kDiffers;
  }
  for (Result& r : results) {
    print(concat(r.name, ": ", r.dtype, " ", r.shape,
                 preview(r.tensor(), r.labels)));
  }
  for (const Comparison& c : compared) print(c.text);
  char line[64];
  std::snprintf(line, sizeof line, "%s in %.3f s", s.key.c_str(), time);
  print(line);
  return same ? kSuccess : kDiffers;
}

}  // namespace

const Command kRun = {"run", "run a model on .npy files", kHelp, run};

}  // namespace ferrule::tool
