// Program -> file (whole library only). What it writes, the reader accepts:
// the program is checked first, with the reader's own rules.
#include <algorithm>
#include <cstring>

#include "ferrule/program.h"
#include "runtime/core/crc32c.h"
#include "runtime/format/container.h"
#include "runtime/format/file_out.h"
#include "runtime/format/model_generated.h"

namespace ferrule {
namespace {

namespace fb = ::flatbuffers;

template <class T>
using Offsets = std::vector<fb::Offset<T>>;

// Tensors in the order of their bytes in the file.
struct Segment {
  std::string label;
  uint64_t size = 0;
  std::vector<Tensor> blobs;

  uint64_t add(const Tensor& t) {
    const uint64_t offset = file::align_up(size, file::kTensorAlign);
    size = offset + static_cast<uint64_t>(t->nbytes());
    blobs.push_back(t);
    return offset;
  }
};

class Writer {
 public:
  explicit Writer(const Program& program) : program_(program) {
    // The size of every table is then known from its type alone.
    builder_.ForceDefaults(true);
  }

  // Metadata with its header; the data's place is filled in.
  std::vector<std::byte> metadata() {
    const auto symbols = write_symbols();
    const auto constants = write_constants();
    const auto goldens = write_goldens();
    Offsets<file::Graph> graphs;
    for (const Graph& g : program_.graphs) graphs.push_back(write_graph(g));
    const auto ops = write_ops();
    const auto signatures = write_signatures();
    const auto segments = write_segments();
    const auto metadata = write_metadata();
    const file::Rng rng(program_.rng_seed, program_.rng_offset);
    builder_.Finish(
        file::CreateModel(builder_, builder_.CreateVector(graphs),
                          builder_.CreateVector(ops), signatures, &rng, symbols,
                          constants, segments, goldens, metadata),
        "FER1");
    return with_header();
  }

  const std::vector<Segment>& segments() const { return segments_; }
  const file::Header& header() const { return header_; }

 private:
  fb::Offset<fb::String> text(const std::string& s) {
    return builder_.CreateSharedString(s);
  }
  fb::Offset<fb::Vector<fb::Offset<fb::String>>> texts(
      const std::vector<std::string>& list) {
    Offsets<fb::String> out;
    for (const std::string& s : list) out.push_back(text(s));
    return builder_.CreateVector(out);
  }

  size_t segment(const char* label) {
    for (size_t i = 0; i < segments_.size(); ++i) {
      if (segments_[i].label == label) return i;
    }
    segments_.emplace_back().label = label;
    return segments_.size() - 1;
  }

  fb::Offset<file::Blob> write_blob(const Tensor& t, const char* label) {
    if (!t || !t.is_contiguous() || !t.device().is_cpu()) {
      fail<FormatError>("only contiguous CPU tensors can be written");
    }
    const size_t s = segment(label);
    const uint64_t bytes = static_cast<uint64_t>(t->nbytes());
    const file::Extent extent(segments_[s].add(t), bytes,
                              static_cast<uint32_t>(s),
                              crc32c(t->bytes(), bytes));
    const auto shape =
        builder_.CreateVector(t.shape().data(), t.shape().size());
    return file::CreateBlob(builder_, shape, &extent,
                            static_cast<file::DType>(t.dtype()));
  }

  fb::Offset<fb::Vector<fb::Offset<file::Symbol>>> write_symbols() {
    Offsets<file::Symbol> out;
    for (const Symbol& s : program_.symbols) {
      out.push_back(file::CreateSymbol(builder_, text(s.name), s.min, s.max,
                                       s.multiple, s.of, s.factor, s.offset));
    }
    return builder_.CreateVector(out);
  }

  // What a training step changes lies apart from what nothing does.
  fb::Offset<fb::Vector<fb::Offset<file::Constant>>> write_constants() {
    std::vector<bool> state(program_.constants.size());
    for (const Graph& g : program_.graphs) {
      for (const Value& v : g.values) {
        if (v.role == ValueRole::state) state[v.constant] = true;
      }
    }
    Offsets<file::Constant> out;
    for (size_t i = 0; i < program_.constants.size(); ++i) {
      const Constant& c = program_.constants[i];
      const auto blob = write_blob(c.data, state[i] ? "state" : "constants");
      out.push_back(
          file::CreateConstant(builder_, text(c.name), blob, c.trainable));
    }
    return builder_.CreateVector(out);
  }

  fb::Offset<fb::Vector<fb::Offset<file::Golden>>> write_goldens() {
    Offsets<file::Golden> out;
    for (const Golden& g : program_.goldens) {
      const auto blobs = [&](const std::vector<Tensor>& list) {
        Offsets<file::Blob> v;
        for (const Tensor& t : list) v.push_back(write_blob(t, "goldens"));
        return builder_.CreateVector(v);
      };
      const auto inputs = blobs(g.inputs);
      const auto outputs = blobs(g.outputs);
      out.push_back(
          file::CreateGolden(builder_, text(g.signature), inputs, outputs));
    }
    return builder_.CreateVector(out);
  }

  uint32_t op_index(const OpDef* op) {
    const auto at = std::find(ops_.begin(), ops_.end(), op);
    const auto index = static_cast<uint32_t>(at - ops_.begin());
    if (at == ops_.end()) ops_.push_back(op);
    return index;
  }
  Offsets<file::OpCode> write_ops() {
    Offsets<file::OpCode> out;
    for (const OpDef* op : ops_) {
      out.push_back(
          file::CreateOpCode(builder_, text(op->name), 0, op->version));
    }
    return out;
  }

  fb::Offset<file::Graph> write_graph(const Graph& g) {
    Offsets<file::Value> values;
    for (const Value& v : g.values) values.push_back(write_value(v));
    Offsets<file::Node> nodes;
    for (const Node& n : g.nodes) nodes.push_back(write_node(n));
    std::vector<file::Expr> exprs;
    for (const Expr& e : g.exprs) {
      exprs.emplace_back(e.value, e.a, e.b, static_cast<file::ExprKind>(e.kind),
                         static_cast<file::IntOp>(e.op));
    }
    return file::CreateGraph(
        builder_, text(g.name), builder_.CreateVector(values),
        builder_.CreateVector(nodes), builder_.CreateVector(g.inputs),
        builder_.CreateVector(g.outputs),
        builder_.CreateVectorOfStructs(exprs));
  }

  fb::Offset<file::Value> write_value(const Value& v) {
    std::vector<file::Dim> dims;
    for (const DimSpec& d : v.dims) {
      const file::DimKind kind = d.symbol >= 0 ? file::DimKind::symbol
                                 : d.fixed     ? file::DimKind::fixed
                                               : file::DimKind::derived;
      dims.emplace_back(d.value, d.symbol, kind);
    }
    const auto list = builder_.CreateVectorOfStructs(dims);
    const auto name = v.name.empty() ? 0 : text(v.name);
    return file::CreateValue(
        builder_, list, name, static_cast<file::DType>(v.dtype),
        static_cast<file::Role>(v.role), v.constant, v.alias_of);
  }

  fb::Offset<file::Node> write_node(const Node& n) {
    const Schema& schema = info_of(*n.op).schema;
    Offsets<file::Arg> args;
    for (size_t i = 0; i < n.args.size(); ++i) {
      // None is what a reader takes for a missing argument without a default.
      if (n.args[i].tag == ArgTag::none) continue;
      args.push_back(write_arg(schema.params[i], n.args[i]));
    }
    const auto list = builder_.CreateVector(args);
    const auto outputs = builder_.CreateVector(n.outputs);
    const auto where = n.where.empty() ? 0 : text(n.where);
    const auto regions =
        n.regions.empty() ? 0 : builder_.CreateVector(n.regions);
    return file::CreateNode(builder_, list, outputs, op_index(n.op), where,
                            regions);
  }

  fb::Offset<file::Arg> write_arg(const Param& p, const NodeArg& a) {
    file::Integer integer(0, -1);
    double number = 0;
    fb::Offset<fb::String> string = 0;
    fb::Offset<fb::Vector<const file::Integer*>> integers = 0;
    fb::Offset<fb::Vector<int32_t>> tensors = 0;
    switch (a.tag) {
      case ArgTag::none:
        break;
      case ArgTag::tensor:
        integer = file::Integer(a.value, -1);
        break;
      case ArgTag::int_:
        integer = file::Integer(a.i, a.expr);
        break;
      case ArgTag::bool_:
        integer = file::Integer(a.b, -1);
        break;
      case ArgTag::dtype:
        integer = file::Integer(static_cast<int64_t>(a.dtype), -1);
        break;
      case ArgTag::float_:
        number = a.f;
        break;
      case ArgTag::tensors:
        tensors = builder_.CreateVector(a.values);
        break;
      case ArgTag::ints: {
        std::vector<file::Integer> list;
        for (const Int& v : a.ints) list.emplace_back(v.value, v.expr);
        integers = builder_.CreateVectorOfStructs(list);
        break;
      }
      case ArgTag::str:
        string = text(a.str);
        break;
      case ArgTag::device:
        string = text(to_string(a.device));
        break;
    }
    return file::CreateArg(builder_, text(std::string(p.name)),
                           static_cast<file::ArgType>(a.tag), &integer, number,
                           string, integers, tensors);
  }

  fb::Offset<fb::Vector<fb::Offset<file::Signature>>> write_signatures() {
    Offsets<file::Signature> out;
    for (const Signature& s : program_.signatures) {
      std::vector<file::StateUpdate> updates;
      for (const StateUpdate& u : s.state_updates) {
        updates.emplace_back(u.constant, u.value);
      }
      const auto inputs = texts(s.inputs);
      const auto outputs = texts(s.outputs);
      out.push_back(file::CreateSignature(
          builder_, text(s.key), inputs, outputs,
          static_cast<uint32_t>(s.graph),
          builder_.CreateVectorOfStructs(updates), text(s.structure)));
    }
    return builder_.CreateVector(out);
  }

  fb::Offset<fb::Vector<fb::Offset<file::Segment>>> write_segments() {
    Offsets<file::Segment> out;
    for (const Segment& s : segments_) {
      const uint64_t at =
          file::align_up(header_.data_size, file::kSegmentAlign);
      out.push_back(file::CreateSegment(builder_, text(s.label), at, s.size));
      header_.data_size = at + s.size;
    }
    return builder_.CreateVector(out);
  }

  fb::Offset<fb::Vector<fb::Offset<file::KeyValue>>> write_metadata() {
    Offsets<file::KeyValue> out;
    for (const auto& [key, value] : program_.metadata) {
      out.push_back(file::CreateKeyValue(builder_, text(key), text(value)));
    }
    return builder_.CreateVector(out);
  }

  // The builder puts the root at byte 8; the header goes between. Offsets are
  // relative, so only the root's own changes. Nothing in the metadata is
  // aligned to more than 8 bytes.
  std::vector<std::byte> with_header() {
    constexpr uint64_t kGap = file::kHeaderBytes - 8;
    const auto* p =
        reinterpret_cast<const std::byte*>(builder_.GetBufferPointer());
    const size_t n = builder_.GetSize();
    std::vector<std::byte> out(n + kGap);
    std::memcpy(out.data(), p, 8);
    std::memcpy(out.data() + file::kHeaderBytes, p + 8, n - 8);
    uint32_t root;
    std::memcpy(&root, p, 4);
    root += kGap;
    std::memcpy(out.data(), &root, 4);
    if (out.size() > file::kMaxMetadata) {
      fail<FormatError>("the metadata has ", out.size(), " bytes; at most ",
                        file::kMaxMetadata, " are allowed");
    }
    header_.metadata_size = out.size();
    header_.data_offset = file::align_up(out.size(), file::kSegmentAlign);
    file::write_header(out.data(), header_);
    return out;
  }

  const Program& program_;
  fb::FlatBufferBuilder builder_;
  file::Header header_;
  std::vector<Segment> segments_;
  std::vector<const OpDef*> ops_;
};

// Calls write(data, size) and pad_to(offset) for the whole file in order.
template <class Out>
void write_to(const Program& program, Out& out) {
  check_program(program);
  Writer writer(program);
  const std::vector<std::byte> metadata = writer.metadata();
  out.write(metadata.data(), metadata.size());
  out.pad_to(writer.header().data_offset);
  for (const Segment& s : writer.segments()) {
    out.pad_to(file::align_up(out.size(), file::kSegmentAlign));
    for (const Tensor& t : s.blobs) {
      out.pad_to(file::align_up(out.size(), file::kTensorAlign));
      out.write(t->bytes(), static_cast<uint64_t>(t->nbytes()));
    }
  }
}

struct MemoryOut {
  std::vector<std::byte> bytes;
  uint64_t size() const { return bytes.size(); }
  void write(const void* data, uint64_t n) {
    const auto* p = static_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), p, p + n);
  }
  void pad_to(uint64_t offset) { bytes.resize(offset); }
};

}  // namespace

void write_program(const Program& program, const std::string& path) {
  FileOut out(path);
  write_to(program, out);
  out.commit();
}

std::vector<std::byte> write_program(const Program& program) {
  MemoryOut out;
  write_to(program, out);
  return std::move(out.bytes);
}

}  // namespace ferrule
