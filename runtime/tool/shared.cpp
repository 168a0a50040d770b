// What the subcommands share.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "runtime/core/thread_pool.h"
#include "runtime/tool/commands.h"
#include "runtime/tool/npy.h"

namespace ferrule::tool {

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

std::string grouped(int64_t n) {
  std::string out = concat(n);
  for (int64_t i = static_cast<int64_t>(out.size()) - 3; i > (n < 0); i -= 3) {
    out.insert(static_cast<size_t>(i), 1, ',');
  }
  return out;
}

std::string bytes_text(int64_t n) {
  if (n < 1000) return concat(n, " bytes");
  static constexpr const char* kUnits[] = {"kB", "MB", "GB", "TB"};
  double v = static_cast<double>(n) / 1000;
  size_t unit = 0;
  while (v >= 999.5 && unit < 3) {
    v /= 1000;
    ++unit;
  }
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, v < 10 ? "%.1f %s" : "%.0f %s", v,
                kUnits[unit]);
  return buffer;
}

double seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

const Signature& find_signature(const Program& p, const std::string& key) {
  if (const Signature* s = p.find(key)) return *s;
  std::string known;
  for (const Signature& s : p.signatures) {
    known += concat(known.empty() ? "'" : ", '", s.key, "'");
  }
  fail<ValueError>("the model has no signature '", key, "'; it has ", known);
}

void set_threads(const Args& args, int64_t fallback) {
  const int64_t n = args.count("--threads", fallback);
  set_num_threads(static_cast<int>(std::min<int64_t>(n, 1 << 16)));
}

const Signature& entry_of(const Program& p, const Args& args,
                          const std::string& fallback) {
  return find_signature(p,
                        args.get("--entry", args.get("--signature", fallback)));
}

const Signature& entry_to_run(const Program& p, const Args& args) {
  const bool only = p.signatures.size() == 1;
  return entry_of(p, args, only ? p.signatures[0].key : "forward");
}

std::vector<Tensor> read_inputs(const Program&, const Signature& s,
                                const Args& args) {
  std::vector<Tensor> inputs(s.inputs.size());
  for (auto& [name, path] : args.pairs("--input")) {
    std::string wanted = name;
    if (wanted.empty() && s.inputs.size() == 1) wanted = s.inputs[0];
    const auto at = std::ranges::find(s.inputs, wanted);
    if (at == s.inputs.end()) {
      std::string known;
      for (const std::string& n : s.inputs) {
        known += concat(known.empty() ? "" : ", ", n);
      }
      throw UsageError{concat("--input ", wanted, "=", path, ": '", s.key,
                              "' has the inputs ", known)};
    }
    inputs[static_cast<size_t>(at - s.inputs.begin())] = read_npy(path);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]) {
      throw UsageError{concat("input '", s.inputs[i],
                              "' is missing: give it "
                              "with --input ",
                              s.inputs[i], "=FILE.npy")};
    }
  }
  return inputs;
}

Batches::Batches(const Program& p, const Signature& s,
                 std::vector<Tensor> inputs, int64_t size)
    : inputs_(std::move(inputs)),
      now_(inputs_),
      cut_(inputs_.size()),
      size_(size) {
  const Graph& g = p.graphs[s.graph];
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Value& v = g.values[g.inputs[i]];
    const Tensor& t = inputs_[i];
    if (v.dims.empty() || t.ndim() == 0) continue;
    const DimSpec& first = v.dims[0];
    // A size that the model fixes is cut to when the file has another.
    const bool fixed = first.symbol < 0;
    if (fixed && (first.value == t.size(0) || first.value < 1)) continue;
    if (fixed && size_ == 0) size_ = first.value;
    if (!fixed && size_ == 0) continue;
    if (rows_ != 0 && t.size(0) != rows_) {
      fail<ShapeError>("input '", s.inputs[i], "' has ", t.size(0),
                       " rows, an earlier input has ", rows_);
    }
    rows_ = t.size(0);
    cut_[i] = true;
    // The last rows are left out where they are too few for a fixed size.
    count_ = fixed ? rows_ / size_ : (rows_ + size_ - 1) / size_;
  }
}

const std::vector<Tensor>& Batches::at(int64_t index) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!cut_[i]) continue;
    const Tensor& t = inputs_[i];
    const int64_t begin = index * size_;
    Dims shape(t.shape());
    shape[0] = std::min(size_, rows_ - begin);
    now_[i] = t.view_as(shape, t.strides(), t->offset + begin * t.strides()[0]);
  }
  return now_;
}

}  // namespace ferrule::tool
